package keyholder

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/statement"
)

// ErrInUse says that another process holds the directory.
var ErrInUse = errors.New("another key holder is running on this directory")

const (
	maxBatch    = 1024 // keys made on one request
	maxFresh    = 64   // of those, how many are kept ready in memory; others are read when they are used
	keptAnswers = 4    // newest rounds whose answers are kept for a server that lost them
)

// Config is what a key holder is started with.
type Config struct {
	// Dir holds journal, keys and answers, mode 0700. Back up the journal if
	// anything, never the keys.
	Dir     string
	Signing ed25519.PrivateKey
	Record  *keyshare.SignedRecord
	Ring    keyshare.Ring // of the record's preset
	Policy  policy.Policy
	// Limits reads a canonical contract.
	Limits func(contract []byte) (keyshare.Limits, error)
	// Restored closes rounds for ever: an operator gives it once after restoring
	// the directory from a copy.
	Restored []Head
}

// Holder is an open key holder. Its methods are for one goroutine.
type Holder struct {
	cfg     Config
	point   int
	hash    statement.Digest // of the record
	lock    *os.File
	journal *journal
	memory  memory
	keys    roundFiles
	answers roundFiles
	fresh   map[Head]*keyshare.PrivateRoundKey // made by this process and not erased; at most maxFresh
	known   keyshare.Known
	pending *pending
}

// pending is the last set that the holder said yes to and has not signed.
type pending struct {
	head      Head
	collector *keyshare.Collector
}

// Open checks record and policy, reads the journal, and finishes what a crash
// interrupted. Close releases the directory.
func Open(cfg Config) (*Holder, error) {
	if err := cfg.Record.Verify(); err != nil {
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	if err := cfg.Policy.CheckRecord(&cfg.Record.Record); err != nil {
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	if err := cfg.Ring.Validate(); err != nil {
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	owner := statement.PublicKey(cfg.Signing)
	h := &Holder{cfg: cfg, point: cfg.Record.Record.Point(owner), hash: cfg.Record.Record.Hash()}
	if h.point == 0 {
		return nil, fmt.Errorf("open key holder: %w: the signing key is none of its members'", keyshare.ErrRecord)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	var err error
	if h.lock, err = lock(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	if err := h.open(owner); err != nil {
		h.Close()
		return nil, fmt.Errorf("open key holder: %w", err)
	}
	return h, nil
}

func (h *Holder) open(owner statement.Key) error {
	var err error
	if h.keys, err = newRoundFiles(filepath.Join(h.cfg.Dir, "keys")); err != nil {
		return err
	}
	if h.answers, err = newRoundFiles(filepath.Join(h.cfg.Dir, "answers")); err != nil {
		return err
	}
	h.journal, err = openJournal(filepath.Join(h.cfg.Dir, "journal"), func(b []byte) error {
		e, err := parseEntry(b)
		if err != nil {
			return err
		}
		return h.memory.apply(e)
	})
	if err != nil {
		return err
	}
	if !h.memory.started {
		if err := h.write(entry{kind: kindOwner, key: owner}); err != nil {
			return err
		}
		if err := (roundFiles{h.cfg.Dir}).sync(); err != nil {
			return err
		}
	}
	if h.memory.owner != owner {
		return fmt.Errorf("%w: it belongs to another signing key", ErrJournal)
	}
	for _, r := range h.cfg.Restored {
		if err := h.raise(r); err != nil {
			return err
		}
	}
	// A crash may have come between journal entry and erasure.
	runs := map[string]bool{}
	for head := range h.memory.signed {
		runs[head.Run] = true
	}
	for run := range runs {
		if err := h.erase(run, h.memory.vows.Floor(run)); err != nil {
			return fmt.Errorf("erase keys of closed rounds: %w", err)
		}
	}
	return nil
}

// Close ends the holder. Its promises stay.
func (h *Holder) Close() error {
	var err error
	if h.journal != nil {
		err = h.journal.close()
	}
	return errors.Join(err, h.lock.Close())
}

// Point is the holder's place in the record.
func (h *Holder) Point() int { return h.point }

func (h *Holder) write(e entry) error {
	if err := h.journal.append(e.bytes()); err != nil {
		return err
	}
	return h.memory.apply(e)
}

// raise closes a run's rounds for ever, up to a ledger's head.
func (h *Holder) raise(to Head) error {
	if len(to.Run) > maxRun {
		return fmt.Errorf("run of %d bytes, want at most %d", len(to.Run), maxRun)
	}
	if to.Round <= h.memory.vows.Floor(to.Run) {
		return nil
	}
	if err := h.write(entry{kind: kindClosed, run: to.Run, round: to.Round}); err != nil {
		return err
	}
	return h.erase(to.Run, to.Round)
}

// Keys makes or repeats the public keys of rounds. Rounds that are closed, or whose
// key was made before and is gone, are left out: the server needs other rounds. If
// none is left the error is ErrSpent.
func (h *Holder) Keys(w KeysWanted) ([]keyshare.RoundKey, error) {
	if w.Run == "" || len(w.Run) > maxRun || w.First < 1 || w.Count < 1 || w.Count > maxBatch || w.First+uint64(w.Count) < w.First {
		return nil, fmt.Errorf("%w: %d rounds from %d of run %.80q, want 1 to %d", keyshare.ErrRoundKey, w.Count, w.First, w.Run, maxBatch)
	}
	type roundKey struct {
		round uint64
		key   *keyshare.PrivateRoundKey
	}
	var keys []roundKey
	last, made := w.First+uint64(w.Count)-1, false
	for round := w.First; round <= last; round++ {
		if round <= h.memory.vows.Floor(w.Run) {
			continue
		}
		k, err := h.private(w.Run, round)
		if errors.Is(err, fs.ErrNotExist) {
			if round <= h.memory.published[w.Run] {
				continue
			}
			k, err = h.generate(w.Run, round)
			made = true
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, roundKey{round, k})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: rounds %d to %d of run %q are closed, or their keys were made before and are gone; if this run is new, its name was used before: its operator has to choose another (run.name)", keyshare.ErrSpent, w.First, last, w.Run)
	}
	if made {
		if err := h.keys.sync(); err != nil {
			return nil, fmt.Errorf("keep round keys: %w", err)
		}
	}
	if last > h.memory.published[w.Run] {
		if err := h.write(entry{kind: kindPublished, run: w.Run, round: w.First, count: w.Count}); err != nil {
			return nil, err
		}
	}
	public := make([]keyshare.RoundKey, len(keys))
	for i, k := range keys {
		public[i] = keyshare.PublishRoundKey(k.key, w.Run, k.round, h.hash, h.point, h.cfg.Signing)
	}
	return public, nil
}

func (h *Holder) generate(run string, round uint64) (*keyshare.PrivateRoundKey, error) {
	k, err := keyshare.GenerateRoundKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	if err := h.keys.put(run, round, b); err != nil {
		return nil, fmt.Errorf("keep a round key: %w", err)
	}
	if h.fresh == nil {
		h.fresh = map[Head]*keyshare.PrivateRoundKey{}
	}
	if len(h.fresh) < maxFresh {
		h.fresh[Head{run, round}] = k
	}
	return k, nil
}

func (h *Holder) private(run string, round uint64) (*keyshare.PrivateRoundKey, error) {
	b, err := h.keys.get(run, round)
	if err != nil {
		return nil, err
	}
	if k := h.fresh[Head{run, round}]; k != nil {
		return k, nil
	}
	return keyshare.ParsePrivateRoundKey(b)
}

// erase forgets the private keys of a run's rounds up to round.
func (h *Holder) erase(run string, round uint64) error {
	for head := range h.fresh {
		if head.Run == run && head.Round <= round {
			delete(h.fresh, head)
		}
	}
	return h.keys.eraseThrough(run, round)
}

// Look gives the verdict on a proposed set. An error means that the boxes could not
// be read; what is wrong with the set is in the verdict.
func (h *Holder) Look(p Proposal) (keyshare.Verdict, error) {
	h.pending = nil
	set := p.Set.Hash()
	a := &p.Set.Announcement
	refuse := func(err error) (keyshare.Verdict, error) { return keyshare.Refuse(set, h.point, err), nil }
	if err := h.memory.vows.Check(a.Run, a.Round, set); err != nil {
		return refuse(err)
	}
	if _, ok := h.memory.vows.Signed(a.Run, a.Round); ok {
		return keyshare.Verdict{Set: set, Point: h.point}, nil
	}
	limits, err := h.cfg.Limits(p.Contract)
	if err != nil {
		return refuse(fmt.Errorf("contract: %w", err))
	}
	limits = h.cfg.Policy.Raise(limits)
	limits.Contract = statement.Hash(p.Contract)
	key, err := h.private(a.Run, a.Round)
	if err != nil {
		return refuse(fmt.Errorf("%w: no key for round %d of run %q", keyshare.ErrSpent, a.Round, a.Run))
	}
	c, err := keyshare.NewCollector(&h.cfg.Record.Record, h.cfg.Ring, limits, h.point, key, p.Set, uint64(time.Now().Unix()), &h.known)
	if err != nil {
		return refuse(err)
	}
	i := 0
	for box, err := range p.Boxes {
		if err != nil {
			return keyshare.Verdict{}, fmt.Errorf("read the sealed shares of round %d: %w", a.Round, err)
		}
		if err := c.Add(i, box); err != nil {
			return refuse(err)
		}
		i++
	}
	v := c.Verdict()
	if v.Yes() {
		h.pending = &pending{Head{a.Run, a.Round}, c}
	}
	return v, nil
}

// Sign signs the set that the last Look said yes to, or repeats the signature of a
// set that was signed before. For any other set it returns ErrSecondSet, ErrSpent
// or ErrSet. When it returns a signature, the journal knows.
func (h *Holder) Sign(w SignatureWanted) (keyshare.SetSignature, error) {
	none := keyshare.SetSignature{}
	if err := h.memory.vows.Check(w.Run, w.Round, w.Set); err != nil {
		return none, err
	}
	if e, ok := h.memory.signed[Head{w.Run, w.Round}]; ok {
		if err := h.erase(w.Run, w.Round); err != nil {
			return none, fmt.Errorf("erase the round's key: %w", err)
		}
		return keyshare.SignSet(e.record, w.Run, w.Round, e.set, h.point, h.cfg.Signing), nil
	}
	if h.pending == nil || h.pending.head != (Head{w.Run, w.Round}) || h.pending.collector.Hash() != w.Set {
		return none, fmt.Errorf("%w: round %d of run %q, set %x is not the last one that was agreed to: propose it again", keyshare.ErrSet, w.Round, w.Run, w.Set[:8])
	}
	signature, answer, err := h.pending.collector.Close(h.cfg.Signing)
	if err != nil {
		return none, err
	}
	b := answer.Bytes(h.cfg.Ring)
	if err := h.answers.put(w.Run, w.Round, b); err != nil {
		return none, fmt.Errorf("keep the answer: %w", err)
	}
	if err := h.answers.sync(); err != nil {
		return none, fmt.Errorf("keep the answer: %w", err)
	}
	e := entry{kind: kindSigned, run: w.Run, round: w.Round, record: h.hash, set: w.Set, answer: statement.Hash(b)}
	if err := h.write(e); err != nil {
		return none, err
	}
	h.pending = nil
	if err := h.erase(w.Run, w.Round); err != nil {
		return none, fmt.Errorf("erase the round's key: %w", err)
	}
	if w.Round > keptAnswers {
		if err := h.answers.eraseThrough(w.Run, w.Round-keptAnswers); err != nil {
			return none, fmt.Errorf("erase old answers: %w", err)
		}
	}
	return signature, nil
}

// Answer releases the sums of the set that the holder signed, on a certificate of t
// members. It returns ErrCertificate if there is none, ErrSecondSet for another set,
// ErrSpent if the answer is no longer kept.
func (h *Holder) Answer(c Certificate) (*keyshare.Answer, error) {
	e, ok := h.memory.signed[Head{c.Run, c.Round}]
	if !ok {
		return nil, fmt.Errorf("%w: this holder signed nothing in round %d of run %q", keyshare.ErrCertificate, c.Round, c.Run)
	}
	if e.set != c.Set {
		return nil, fmt.Errorf("%w: round %d of run %q, signed %x, asked to open %x", keyshare.ErrSecondSet, c.Round, c.Run, e.set[:8], c.Set[:8])
	}
	if e.record != h.hash {
		return nil, fmt.Errorf("%w: round %d of run %q was signed under %s", keyshare.ErrOtherRecord, c.Round, c.Run, keyshare.Fingerprint(e.record))
	}
	if err := keyshare.CheckCertificate(&h.cfg.Record.Record, c.Run, c.Round, c.Set, c.Signatures); err != nil {
		return nil, err
	}
	b, err := h.answers.get(c.Run, c.Round)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the answer of round %d of run %q is no longer kept", keyshare.ErrSpent, c.Round, c.Run)
	} else if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if statement.Hash(b) != e.answer {
		return nil, fmt.Errorf("%w: the answer kept for round %d of run %q is not the one that was made", ErrJournal, c.Round, c.Run)
	}
	return keyshare.ParseAnswer(h.cfg.Ring, keyshare.MaxUploads, b)
}
