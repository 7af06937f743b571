package scenario

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// Committee is who holds the keys of a simulated run.
type Committee struct {
	Members       int `yaml:"members" doc:"key holders, m"`
	Threshold     int `yaml:"threshold" doc:"how many must answer, t; more than (m+c)/2"`
	Corrupt       int `yaml:"corrupt" doc:"how many may be corrupt, c"`
	Organisations int `yaml:"organisations" doc:"organisations that vouch for the clients; 0 makes each client its own"`
	Silent        int `yaml:"silent" doc:"fault: members that publish keys and then never answer"`
}

// committee is a simulated committee, made anew for each run: real keys, real
// journals, in this process.
type committee struct {
	record  keyshare.SignedRecord
	holders []*keyholder.Holder
	keys    []ed25519.PrivateKey  // the holders' signing keys
	sealers []*participant.Sealer // by client
	dir     string
}

// newCommittee makes keys for holders and clients and has everyone sign and approve
// the record. Which keys they are does not influence the model.
func newCommittee(s Scenario) (_ *committee, err error) {
	t, err := s.Run.Terms()
	if err != nil {
		return nil, err
	}
	ring, _, err := t.Ring()
	if err != nil {
		return nil, err
	}
	c := &committee{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	r := &c.record.Record
	*r = keyshare.Record{Name: s.Run.Name, Threshold: s.Committee.Threshold, Corrupt: s.Committee.Corrupt, Preset: t.Encryption.Preset, Roster: keyshare.RosterPinned}
	for i := range s.Committee.Members {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, key)
		r.Members = append(r.Members, keyshare.Member{Name: fmt.Sprintf("holder-%d", i+1), Key: statement.PublicKey(key)})
	}
	organisations := s.Committee.Organisations
	if organisations == 0 {
		organisations = s.Clients
	}
	var vouchers []ed25519.PrivateKey
	for i := range organisations {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		vouchers = append(vouchers, key)
		r.Vouchers = append(r.Vouchers, keyshare.Voucher{Name: fmt.Sprintf("organisation-%05d", i+1), Key: statement.PublicKey(key)})
	}
	for _, key := range c.keys {
		signature, err := keyshare.SignRecord(r, key)
		if err != nil {
			return nil, err
		}
		c.record.Signatures = append(c.record.Signatures, signature)
	}
	hash := r.Hash()
	permitted := policy.Policy{
		Committee: hex.EncodeToString(hash[:]), Roster: string(keyshare.RosterPinned),
		Organisations: s.Run.Rounds.MinReports, Cohort: s.Run.Rounds.MinReports,
		Work: s.Run.Committee.MinWork, Weight: s.Run.Committee.MinWeight,
		// A simulated data holder takes part in whatever the scenario says.
		Privacy: policy.WithoutContract, Epsilon: unlimited.Epsilon, Delta: unlimited.Delta, BudgetEpsilon: unlimited.Epsilon, BudgetDelta: unlimited.Delta,
	}
	for i := range s.Clients {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		v := i % organisations
		c.sealers = append(c.sealers, &participant.Sealer{
			Key: key, Policy: permitted,
			Vouch: keyshare.SignVouch(r.Vouchers[v].Name, vouchers[v], clientName(i), statement.PublicKey(key), math.MaxUint32),
		})
	}
	if c.dir, err = os.MkdirTemp(memoryDir(), "sotto-holders-"); err != nil {
		return nil, err
	}
	for i, key := range c.keys {
		h, err := keyholder.Open(keyholder.Config{
			Dir: filepath.Join(c.dir, r.Members[i].Name), Signing: key, Record: &c.record, Ring: ring,
			Policy: permitted, Limits: terms.Limits,
		})
		if err != nil {
			return nil, err
		}
		c.holders = append(c.holders, h)
	}
	return c, nil
}

// memoryDir is a file system in memory where there is one. A simulated holder's
// journal protects nobody: it need not survive the machine.
func memoryDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func (c *committee) close() error {
	if c == nil {
		return nil
	}
	var err error
	for _, h := range c.holders {
		err = errors.Join(err, h.Close())
	}
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// holderLink is the in-process transport of one key holder.
type holderLink struct {
	c       *coordinator.Coordinator
	member  keyshare.Member
	silent  bool
	session *coordinator.HolderSession
}

func (l *holderLink) attach() error {
	if l.session != nil {
		return nil
	}
	s, err := l.c.AttachHolder(l.member.Name, l.member.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", keyholder.ErrRefused, err)
	}
	l.session = s
	return nil
}

func (l *holderLink) Heads(context.Context) ([]keyholder.Head, error) {
	if err := l.attach(); err != nil {
		return nil, err
	}
	if head := l.session.Head(); head > 0 {
		return []keyholder.Head{{Run: l.session.Run(), Round: head}}, nil
	}
	return nil, nil
}

func (l *holderLink) NextTask(ctx context.Context) (keyholder.Task, error) {
	if err := l.attach(); err != nil {
		return nil, err
	}
	for {
		t, err := l.session.Next(ctx)
		switch {
		case errors.Is(err, coordinator.ErrFinished), errors.Is(err, coordinator.ErrHalted):
			return nil, fmt.Errorf("%w: %w", keyholder.ErrFinished, err)
		case err != nil:
			return nil, err
		case t.Publish != nil:
			return keyholder.KeysWanted{Run: t.Publish.Run, First: t.Publish.First, Count: t.Publish.Count}, nil
		case l.silent:
			if err := l.session.Decline("silent by the scenario"); err != nil {
				return nil, err
			}
		case t.Close != nil:
			return keyholder.ClosureWanted{Run: t.Close.Run, Round: t.Close.Round}, nil
		case t.Propose != nil:
			return keyholder.Proposal{Set: t.Propose.Set, Contract: t.Propose.Terms, Boxes: t.Propose.Boxes}, nil
		case t.Sign != nil:
			return keyholder.SignatureWanted{Run: t.Sign.Run, Round: t.Sign.Round, Set: t.Sign.Set}, nil
		case t.Open != nil:
			return keyholder.Certificate{Run: t.Open.Run, Round: t.Open.Round, Set: t.Open.Set, Signatures: t.Open.Signatures}, nil
		}
	}
}

func (l *holderLink) PublishKeys(_ context.Context, keys []keyshare.RoundKey) error {
	return l.session.Publish(keys)
}

func (l *holderLink) Verdict(_ context.Context, v keyshare.Verdict) error {
	return l.session.Verdict(&v)
}

func (l *holderLink) Signature(_ context.Context, s keyshare.SetSignature) error {
	return l.session.Signature(&s)
}

func (l *holderLink) Closure(_ context.Context, c keyshare.Closure) error {
	return l.session.Closure(&c)
}

func (l *holderLink) Answer(_ context.Context, a *keyshare.Answer) error { return l.session.Answer(a) }

func (l *holderLink) Decline(_ context.Context, reason error) error {
	return l.session.Decline(reason.Error())
}
