package keyholder

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/internal/statement"
)

const (
	entryLabel = "sotto/journal-entry/v1"
	maxRun     = 128
)

type kind uint64

const (
	kindOwner     kind = iota + 1 // whose journal this is; always the first entry
	kindPublished                 // keys were made for Count rounds from Round on
	kindSigned                    // the set signed in a round, and its answer's hash
	kindClosed                    // every round up to Round is closed
	kindForsworn                  // the round is closed by the holder's own word, and those before it
	lastKind      = kindForsworn
)

// entry is one line of the journal. Fields that a kind does not use are zero.
type entry struct {
	kind   kind
	run    string
	round  uint64
	count  int
	key    statement.Key    // of the owner
	record statement.Digest // under which a set was signed
	set    statement.Digest
	answer statement.Digest
}

func (e *entry) bytes() []byte {
	return statement.New(entryLabel).Uint(uint64(e.kind)).String(e.run).Uint(e.round).Int(e.count).
		Fixed(e.key[:]).Fixed(e.record[:]).Fixed(e.set[:]).Fixed(e.answer[:]).Statement()
}

func parseEntry(b []byte) (entry, error) {
	d := statement.Read(b, entryLabel)
	e := entry{kind: kind(d.Uint("kind", uint64(lastKind))), run: d.String("run", maxRun), round: d.Uint("round", math.MaxUint64), count: d.Int("count", maxBatch)}
	d.Fixed("key", e.key[:])
	e.record, e.set, e.answer = d.Digest("record"), d.Digest("set"), d.Digest("answer")
	if e.kind == 0 && d.Err() == nil {
		d.Fail("kind", "got 0")
	}
	return e, d.Close()
}

// memory is what a journal says.
type memory struct {
	owner     statement.Key
	started   bool
	vows      keyshare.Vows
	published map[string]uint64 // newest round with a key made
	signed    map[Head]entry
	forsworn  map[Head]bool
	unsure    map[string]uint64 // newest round that was closed because the journal may be an old copy
}

func (m *memory) signedIn(h Head) bool {
	_, ok := m.signed[h]
	return ok
}

func (m *memory) apply(e entry) error {
	if m.started == (e.kind == kindOwner) {
		return fmt.Errorf("%w: the owner's entry is not the first, or comes twice", ErrJournal)
	}
	switch e.kind {
	case kindOwner:
		m.owner, m.started = e.key, true
		m.published, m.signed = map[string]uint64{}, map[Head]entry{}
		m.forsworn, m.unsure = map[Head]bool{}, map[string]uint64{}
	case kindPublished:
		if e.count < 1 {
			return fmt.Errorf("%w: keys of %d rounds", ErrJournal, e.count)
		}
		m.published[e.run] = max(m.published[e.run], e.round+uint64(e.count)-1)
	case kindSigned:
		if err := m.vows.Promise(e.run, e.round, e.set); err != nil {
			return fmt.Errorf("%w: %w", ErrJournal, err)
		}
		m.signed[Head{e.run, e.round}] = e
	case kindClosed:
		m.vows.Raise(e.run, e.round)
		m.unsure[e.run] = max(m.unsure[e.run], e.round)
	case kindForsworn:
		if m.signedIn(Head{e.run, e.round}) {
			return fmt.Errorf("%w: round %d of run %q is signed and closed", ErrJournal, e.round, e.run)
		}
		m.vows.Raise(e.run, e.round)
		m.forsworn[Head{e.run, e.round}] = true
	}
	return nil
}
