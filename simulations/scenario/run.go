package scenario

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/checkpoint"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// Options are about how a scenario is run, not what it is: none of them changes
// the model that comes out.
type Options struct {
	Workers  int                  // trainers at work at once; at least 1
	Store    coordinator.Store    // default: in memory
	Observer coordinator.Observer // progress; may be nil
	// Connect gives a client its transport. Default: in process.
	Connect func(c *coordinator.Coordinator, client string) (participant.Server, error)
	// ConnectHolder gives a key holder its transport. Default: in process.
	ConnectHolder func(c *coordinator.Coordinator, member string, key ed25519.PrivateKey) (keyholder.Server, error)
}

// Result is what a scenario ends with.
type Result struct {
	Model       *model.Model
	ModelSHA256 string
	Records     []coordinator.Record
	Seconds     float64
	BytesUp     int64
	BytesDown   int64

	Ledger    []byte // of a run with a privacy contract
	LedgerKey string // the public key it verifies with
}

// Final returns the last completed round, or nil.
func (r *Result) Final() *coordinator.Record {
	for i := len(r.Records) - 1; i >= 0; i-- {
		if r.Records[i].Void == "" {
			return &r.Records[i]
		}
	}
	return nil
}

// Run drives the real coordinator and the real participants of s in this process
// and returns when the run is finished. The same scenario gives the same model,
// bit for bit, for any number of workers.
func Run(ctx context.Context, s Scenario, o Options) (*Result, error) {
	started := time.Now()
	if err := errors.Join(s.Run.Complete(), s.Validate()); err != nil {
		return nil, err
	}
	s.Run.Rounds.MinClients = s.Clients
	if o.Workers < 1 {
		return nil, fmt.Errorf("workers: got %d, want at least 1", o.Workers)
	}
	data, err := s.load()
	if err != nil {
		return nil, err
	}
	pool, err := newPool(o.Workers, s.Run.Task)
	if err != nil {
		return nil, err
	}
	store := o.Store
	if store == nil {
		store = &memory{}
	}
	initial, err := s.initial()
	if err != nil {
		return nil, err
	}
	options := coordinator.Options{Evaluator: newEvaluator(pool, data.test), Observer: o.Observer, Initial: initial}
	var holders *committee
	if s.Run.Encryption == coordinator.EncryptionThreshold {
		if holders, err = newCommittee(s); err != nil {
			return nil, err
		}
		defer holders.close()
		options.Committee = &coordinator.Committee{Record: holders.record}
		options.Spools = coordinator.Temporary{}
	}
	var book *pages
	var key string
	if s.Run.Privacy == coordinator.PrivacyContract {
		if options.Books, book, key, err = newBooks(s, options.Committee, initial); err != nil {
			return nil, err
		}
	}
	offers, err := s.offers()
	if err != nil {
		return nil, err
	}
	c, err := coordinator.New(ctx, s.Run, store, options)
	if err != nil {
		return nil, err
	}
	var owners *shelf
	if options.Books != nil {
		owners = &shelf{c: c}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(ctx) })
	if holders != nil {
		for i, h := range holders.holders {
			g.Go(func() error {
				member := holders.record.Record.Members[i]
				var server keyholder.Server = &holderLink{c: c, member: member, silent: i < s.Committee.Silent}
				if o.ConnectHolder != nil {
					var err error
					if server, err = o.ConnectHolder(c, member.Name, holders.keys[i]); err != nil {
						return err
					}
				}
				if err := h.Run(ctx, server); err != nil {
					return fmt.Errorf("key holder %s: %w", member.Name, err)
				}
				return nil
			})
		}
	}
	for i, owner := range data.owners {
		name := clientName(i)
		var sealer *participant.Sealer
		if holders != nil {
			sealer = holders.sealers[i]
		}
		g.Go(func() error {
			l := &link{c: c, client: name, faults: s.Faults, seed: s.Run.Seed, number: i, clients: s.Clients}
			if slices.Contains(s.Faults.Spoil, name) {
				l.spoiler = &spoiler{key: sealer.Key}
			}
			var server participant.Server = l
			if o.Connect != nil {
				var err error
				if server, err = o.Connect(c, name); err != nil {
					return err
				}
			}
			own, err := owners.books(name)
			if err != nil {
				return err
			}
			p := participant.New(name, server, owner, pool, sealer, secrets(s.Run.Seed, name), own)
			p.Simulate()
			if err := p.Run(ctx, participant.Info{Examples: owner.training.Len(), Offer: offers[i]}); err != nil {
				return fmt.Errorf("client %s: %w", name, err)
			}
			return nil
		})
	}
	err = g.Wait()
	state := c.Snapshot()
	m := &model.Model{Params: state.Params, Layout: c.Layout()}
	sum := m.SHA256()
	r := &Result{Model: m, ModelSHA256: hex.EncodeToString(sum[:]), Records: state.History, Seconds: time.Since(started).Seconds()}
	if book != nil {
		r.Ledger, r.LedgerKey = book.b, key
	}
	for _, rec := range r.Records {
		r.BytesUp += rec.BytesUp
		r.BytesDown += rec.BytesDown
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return r, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return r, err
}

// secrets derives a simulated owner's secret from the seed, so that a scenario can
// be repeated. It is reachable from simulations only.
func secrets(root uint64, client string) *participant.Secrets {
	return &participant.Secrets{Master: noise.Seed(statement.New("sotto/simulated-secret/v1").Uint(root).String(client).Hash())}
}

func clientName(i int) string { return fmt.Sprintf("client-%04d", i+1) }

// initial reads the checkpoint to start from; nil without one.
func (s Scenario) initial() ([]float32, error) {
	if s.Initial == "" {
		return nil, nil
	}
	layout, err := s.Run.Task.Architecture.Layout()
	if err != nil {
		return nil, err
	}
	m, _, err := checkpoint.ReadFile(s.Initial, layout)
	if err != nil {
		return nil, err
	}
	return m.Params, nil
}

// load reads the data and deals it out to the owners.
func (s Scenario) load() (*federation, error) {
	training, test, err := s.Data.open(s.Run.Task)
	if err != nil {
		return nil, err
	}
	rng := seed.New(s.Run.Seed, "partition", 0, "")
	parts, err := s.Partition.deal(training, s.Clients, rng)
	if err != nil {
		return nil, err
	}
	f := &federation{test: test}
	for i, index := range parts {
		own := training.Subset(index)
		o := owner{training: own}
		if v := s.Run.Task.ValidationFraction; v > 0 {
			split, err := own.Split([]float64{1 - v, v}, seed.New(s.Run.Seed, "validation", 0, clientName(i)))
			if err != nil {
				return nil, err
			}
			o.training, o.validation = split[0], split[1]
		}
		f.owners = append(f.owners, o)
	}
	return f, s.checkRecords(f)
}

// checkRecords holds the contract's public number of records, by which every sum is divided,
// against those that the owners have.
func (s Scenario) checkRecords(f *federation) error {
	c := s.Run.Contract
	if s.Run.Privacy != coordinator.PrivacyContract || c.Unit == privacy.UnitClient {
		return nil
	}
	n, word := 0, "records"
	for _, o := range f.owners {
		if c.Unit == privacy.UnitGroup {
			n, word = n+len(o.training.Groups()), "groups"
		} else {
			n += o.training.Len()
		}
	}
	if n != c.Records {
		return fmt.Errorf("run.contract.records: got %d, the owners have %d %s: every sum is divided by sampling_rate times that number", c.Records, n, word)
	}
	return nil
}
