// Package coordinator drives the rounds of one run: it waits for clients, draws
// a cohort, hands out orders, adds up reports, moves the model and makes the
// result durable before anyone sees it.
//
// What a round may do next is decided by the pure machine of server/round; this
// package carries out its effects. Transports call Attach, Session.Next, Model
// and Report from any goroutine. The coordinator starts no goroutine of its own:
// Run does all the work between rounds on its caller's.
//
// Reports are summed as integers on arrival and forgotten, so the memory of a
// round is one sum, whatever the number of clients, and the sum does not depend
// on the order of arrival.
package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/serveropt"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/server/fleet"
	"github.com/sotto-fl/sotto/server/round"
	"github.com/sotto-fl/sotto/server/schedule/policy"
)

// Coordinator runs one Config. Create it with New, start it with Run. Its other
// methods are safe for concurrent use, also before Run is called.
type Coordinator struct {
	cfg         Config
	hash        [32]byte
	task        []byte
	taskHash    [32]byte
	layout      model.Layout
	meaning     meaning // of the integers in a report
	carrier     carrier // of those integers
	terms       []byte  // canonical, under threshold encryption
	known       *keyshare.Known
	books       *Books
	store       Store
	evaluator   Evaluator
	observer    Observer
	telemetry   Telemetry                   // may be nil
	scheduler   Scheduler                   // nil: everyone does the task's epochs
	past        map[string]policy.History   // of clients, for the scheduler; only Run uses it
	forecast    func() (Intensities, error) // nil: none
	intensities Intensities                 // as last read; only Run uses it
	begun       time.Time                   // that the horizon counts from; only Run uses it
	after       time.Duration               // that the round being planned begins in
	ended       map[string]time.Time        // when the attempt that a client took part in last ended
	named       map[string]string           // the class that bounded a client's figures; only Run uses it

	mu        sync.Mutex
	state     *State
	model     [32]byte // identity of state.Params
	opt       *serveropt.Optimizer
	sessions  map[string]*Session
	committee *committee    // nil without encryption
	open      *attempt      // the attempt that collects reports, nil between rounds
	changed   chan struct{} // closed and replaced whenever something above changes
	over      error         // ErrFinished or ErrHalted once the run has ended
	window    fleet.Window  // of statistics about the clients; only Run uses it
	planned   bool          // a round has been planned; only Run uses it
	compared  bool          // said that clients declare another number of records than the contract
}

// Options are the parts of a Coordinator that may be left out.
type Options struct {
	Evaluator Evaluator // accuracy on a public test set
	Observer  Observer
	Committee *Committee                  // the key holders; needed under threshold encryption
	Books     *Books                      // the ledger; needed under a privacy contract
	Spools    Spools                      // where uploads wait; needed under threshold encryption
	Telemetry Telemetry                   // what clients tell of their energy; may be nil
	Forecast  func() (Intensities, error) // of carbon intensity, asked before every round; may be nil
	Scheduler Scheduler                   // in place of the policy that the configuration names
	Initial   []float32                   // parameters to start a new run from; default: the architecture's seeded initialisation
}

// New makes a coordinator that continues the run in store, or starts it when the
// store is empty. It refuses a store whose run was started with another
// configuration, and a privacy contract whose plan costs more than its budget.
func New(ctx context.Context, cfg Config, store Store, o Options) (*Coordinator, error) {
	if err := errors.Join(cfg.Complete(), cfg.Validate()); err != nil {
		return nil, err
	}
	hash, err := cfg.Hash()
	if err != nil {
		return nil, err
	}
	layout, err := cfg.Task.Architecture.Layout()
	if err != nil {
		return nil, err
	}
	opt, err := serveropt.New(cfg.Server, layout.Size())
	if err != nil {
		return nil, err
	}
	task, err := cfg.Task.Encode()
	if err != nil {
		return nil, err
	}
	c := &Coordinator{
		cfg: cfg, hash: hash, task: task, taskHash: sha256.Sum256(task),
		layout: layout, meaning: weighted{codec: cfg.Update, params: layout.Size()},
		carrier: plain{bits: cfg.Update.Bits, fields: layout.Size() + cfg.Update.MetricsLen()},
		store:   store, evaluator: o.Evaluator, observer: o.Observer, telemetry: o.Telemetry, forecast: o.Forecast, ended: map[string]time.Time{},
		opt: opt, sessions: map[string]*Session{}, changed: make(chan struct{}),
	}
	if cfg.private() {
		if _, err := cfg.Contract.Certify(); err != nil {
			return nil, config.At("contract", err)
		}
		d, err := cfg.Contract.Derive()
		if err != nil {
			return nil, err
		}
		h, err := cfg.Contract.Hash()
		if err != nil {
			return nil, err
		}
		c.meaning = dpsgd{contract: cfg.Contract, derived: d, hash: h}
		if cfg.Contract.Unit == privacy.UnitClient {
			c.meaning = clientMean{contract: cfg.Contract, derived: d, hash: h}
		}
	}
	if cfg.Encryption == EncryptionThreshold {
		if err := c.seal(o); err != nil {
			return nil, err
		}
	}
	if c.state, err = c.load(ctx, o.Initial); err != nil {
		return nil, err
	}
	c.model = c.identity(c.state.Params)
	if err := c.energise(o.Scheduler); err != nil {
		return nil, err
	}
	if cfg.private() {
		if o.Books == nil {
			return nil, fmt.Errorf("run %s has a privacy contract and no ledger", cfg.Name)
		}
		c.books = o.Books
		if err := c.balance(); err != nil {
			return nil, fmt.Errorf("continue the ledger of run %s: %w", cfg.Name, err)
		}
	}
	return c, nil
}

func (c *Coordinator) load(ctx context.Context, initial []float32) (*State, error) {
	s, err := c.store.Latest(ctx)
	switch {
	case errors.Is(err, ErrNoState):
		params := initial
		if params == nil {
			m, err := c.cfg.Task.Architecture.Init(c.cfg.Seed)
			if err != nil {
				return nil, err
			}
			params = m.Params
		}
		if len(params) != c.layout.Size() {
			return nil, fmt.Errorf("initial model has %d parameters, %s has %d: start from a checkpoint of the same architecture", len(params), c.cfg.Task.Architecture.Name, c.layout.Size())
		}
		s = &State{Config: c.hash, Params: append([]float32(nil), params...), Optimizer: c.opt.State()}
		if err := c.store.Commit(ctx, s); err != nil {
			return nil, fmt.Errorf("store the initial model: %w", err)
		}
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("load run %s: %w", c.cfg.Name, err)
	case s.Config != c.hash:
		return nil, fmt.Errorf("run %s was started with another configuration: restore that configuration, or start a new run in an empty directory", c.cfg.Name)
	case len(s.Params) != c.layout.Size():
		return nil, fmt.Errorf("run %s holds %d parameters, the architecture has %d: the store belongs to another model", c.cfg.Name, len(s.Params), c.layout.Size())
	}
	if err := c.opt.Restore(s.Optimizer); err != nil {
		return nil, fmt.Errorf("restore the server optimiser of run %s: %w", c.cfg.Name, err)
	}
	return s, nil
}

func (c *Coordinator) identity(params []float32) [32]byte {
	m := model.Model{Params: params, Layout: c.layout}
	return m.SHA256()
}

// notify wakes everyone who waits for a change; c.mu is held.
func (c *Coordinator) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// BodySize is the exact number of bytes in the body of a report.
func (c *Coordinator) BodySize() int { return c.carrier.bodySize() }

// Hasher hashes one report while it arrives; nil where reports are not hashed.
func (c *Coordinator) Hasher() *terms.Hasher {
	if k, ok := c.carrier.(*sealed); ok {
		return k.frame.Hasher()
	}
	return nil
}

// Layout describes the parameters of the run's model.
func (c *Coordinator) Layout() model.Layout { return c.layout }

// Progress says how many rounds are complete, of how many.
func (c *Coordinator) Progress() (done, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Round, c.cfg.Rounds.Count
}

// Snapshot returns the newest committed state. The caller must not change it.
func (c *Coordinator) Snapshot() *State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Model returns the parameters with that identity. Only the newest model is
// kept; asking for another gives ErrStale. The slice is shared and read-only:
// every round makes a new one.
func (c *Coordinator) Model(hash [32]byte) ([]float32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hash != c.model {
		return nil, fmt.Errorf("model %x: %w", hash[:4], ErrStale)
	}
	if c.open != nil {
		c.open.bytesDown += int64(4 * len(c.state.Params))
	}
	return c.state.Params, nil
}

// Run completes the remaining rounds. It returns nil when all are done or early
// stopping ended the run, ErrHalted when too many rounds in a row were void, and
// ctx's error when it was told to stop; the run then continues from the store.
func (c *Coordinator) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	void := 0
	for {
		c.mu.Lock()
		done := c.state.Round >= c.cfg.Rounds.Count || c.cfg.EarlyStop.Stop(c.validationLosses())
		var err error
		if done {
			err = c.enterClosures()
		}
		c.mu.Unlock()
		if err != nil {
			return c.end(nil, err)
		}
		if done {
			if c.planned {
				c.spread(log)
			}
			return c.end(ErrFinished, nil)
		}
		if void >= c.cfg.Rounds.MaxVoid {
			err := fmt.Errorf("%w: %d rounds in a row were void; see the reasons in the log, then start the server again", ErrHalted, void)
			return c.end(ErrHalted, err)
		}
		a, set, err := c.resume(ctx)
		if err != nil {
			return c.end(nil, err)
		}
		var reason error
		if a == nil {
			if a, err = c.plan(ctx); errors.Is(err, ErrHalted) {
				return c.end(ErrHalted, err)
			} else if err != nil {
				return c.end(nil, err)
			}
			if set, reason, err = c.collect(ctx, a); err != nil {
				return c.end(nil, err)
			}
		}
		rec, err := c.finish(ctx, a, set, reason)
		if errors.Is(err, ErrHalted) {
			if c.observer != nil {
				c.observer.RoundFinished(rec)
			}
			return c.end(ErrHalted, err)
		} else if err != nil {
			return c.end(nil, err)
		}
		if len(rec.Excluded) > 0 {
			log.Warn().Int("round", rec.Round).Strs("clients", rec.Excluded).Msg("clients are excluded: the sums that their uploads were in did not open")
		}
		if rec.Void != "" {
			void++
			log.Warn().Int("round", rec.Round).Int("attempt", rec.Attempt).Int("accepted", rec.Accepted).Str("reason", rec.Void).Msg("round void")
		} else {
			void = 0
			logRound(log, rec)
		}
		if c.observer != nil {
			c.observer.RoundFinished(rec)
		}
	}
}

func logRound(log *zerolog.Logger, r Record) {
	e := log.Info().Int("round", r.Round).Int("accepted", r.Accepted).Int("rejected", r.Rejected).
		Int("discarded", r.Discarded).Float64("seconds", r.Seconds).Int64("bytes_up", r.BytesUp)
	if r.Train != nil {
		e = e.Float64("train_loss", r.Train.Loss)
	}
	if r.Test != nil {
		e = e.Float64("test_accuracy", r.Test.Accuracy)
	}
	e.Msg("round finished")
}

// end tells everyone who waits that the run is over.
func (c *Coordinator) end(over, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = nil
	c.over = over
	c.notify()
	return err
}

// validationLosses is the history that schedules and early stopping look at;
// c.mu is held.
func (c *Coordinator) validationLosses() []float64 {
	var h []float64
	for _, r := range c.state.History {
		if r.Void == "" && r.Validation != nil {
			h = append(h, r.Validation.Loss)
		}
	}
	return h
}

// attempt is one try at a round.
type attempt struct {
	round, attempt int
	machine        *round.Machine
	cohort         map[string]float64 // client -> weight
	examples       map[string]int
	announcement   keyshare.Announcement // under threshold encryption
	keys           []keyshare.RoundKey
	goal           int
	took           map[string]float64 // seconds to each accepted report, if statistics are released
	reserved       int64              // index of the round's reservation in the ledger
	entry          *entry             // once certified, under a privacy contract
	pending        *Pending           // once key holders have seen its set
	lr, clip       float64            // clip: where it adapts, else 0
	participations map[string]int     // with this attempt's, once it is charged
	sum            sum
	plan           *plan // of the work
	accepted       map[string]bool
	bytesUp        int64
	bytesDown      int64
	rejected       int // before a crash; the machine counts anew
	discarded      int
	started        time.Time
	wake           time.Time // when the machine wants a Tick; zero: never
	set            []string  // set once closed
	void           error     // set once void
}

// counts are those of the machine, and of before a crash.
func (a *attempt) counts() (accepted, rejected, discarded int) {
	accepted, rejected, discarded = a.machine.Counts()
	return accepted, a.rejected + rejected, a.discarded + discarded
}
