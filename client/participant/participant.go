// Package participant is one data holder's side of a run: check in, fetch the
// model, train on private data, encode the update, report, again.
//
// Nothing but the encoded update leaves: no file names, no labels, no losses in
// the clear. Everything random in training is derived from (task seed, purpose,
// round, client), so the same order on the same data gives the same report, also
// after a crash in between.
package participant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
)

// Trainers lends a trainer for a task. A client process has one; a simulation
// shares as many as it has workers among thousands of clients.
type Trainers interface {
	// Borrow waits for a trainer of that task. The caller gives it back with release.
	Borrow(ctx context.Context, task train.Config) (t *train.Trainer, release func(), err error)
}

// Data is what a client trains on. Both sets are read-only.
type Data interface {
	// Open returns the training and the validation part for a task; validation
	// may be nil. It is called once per task.
	Open(task train.Config) (training, validation *dataset.Set, err error)
}

// Participant takes part in one run at a time. Use it from one goroutine.
type Participant struct {
	name     string
	server   Server
	data     Data
	trainers Trainers
	sealer   *Sealer
	secrets  *Secrets
	books    Books
	private  *openedContract
	backoff  *rand.Rand
	pause    func(context.Context, time.Duration) error // nil where time is not real

	device     Device          // may be nil
	offer      *Offer          // of a simulated device; may be nil
	owed       costcurve.Queue // steps, by what this process answered to posted prices
	answered   answered        // the last of these answers
	spent      []Spent         // not yet told
	attending  *attending      // what the client waits for
	taskHash   [32]byte
	task       train.Config
	layout     model.Layout
	training   *dataset.Set
	validation *dataset.Set
}

// New makes a participant. name is the name in its certificate; examples are
// counted by the caller and declared with every check-in. Without a sealer the
// participant takes part only in runs that do not encrypt updates; with one, only in
// runs that do. Without secrets and books it takes part in no run with a privacy contract.
func New(name string, server Server, data Data, trainers Trainers, sealer *Sealer, secrets *Secrets, books Books) *Participant {
	return &Participant{
		name: name, server: server, data: data, trainers: trainers, sealer: sealer, secrets: secrets, books: books,
		backoff: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		pause:   pause,
	}
}

// Simulate says that nobody watches when this participant uploads, so that it need not
// wait for a contract's upload time. Call it before Run; only simulations may.
func (p *Participant) Simulate() { p.pause = nil }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Run takes part until the run is finished (nil), ctx ends, or the server refuses
// the client for good. Everything else is retried with jittered backoff: a lost
// connection never ends a participant.
func (p *Participant) Run(ctx context.Context, info Info) error {
	log := zerolog.Ctx(ctx)
	failures := 0
	p.offer = info.Offer
	for {
		if err := p.rest(ctx); err != nil {
			return err
		}
		order, err := p.server.CheckIn(ctx, p.declare(info))
		p.ordered(ctx, order, err == nil || errors.Is(err, ErrFinished))
		if err == nil {
			err = p.Work(ctx, order)
		}
		switch {
		case err == nil:
			failures = 0
			continue
		case errors.Is(err, ErrFinished):
			p.farewell(ctx, info)
			if p.books != nil {
				return p.books.Finish(ctx)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrRefused), errors.Is(err, ErrDeclined), errors.Is(err, errLocal):
			return err
		case errors.Is(err, ErrClosed):
			failures = 0
			log.Warn().Int("round", order.Round).Msg("report came too late, checking in again")
			continue
		}
		if later, ok := errors.AsType[*notNow](err); ok {
			failures = 0
			if err := p.passBy(ctx, later.Verdict); err != nil {
				return err
			}
			continue
		}
		failures++
		wait := Backoff(failures, p.backoff)
		log.Warn().Err(err).Dur("retry_in", wait).Msg("server not reached")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Backoff is the pause before try n+1: exponential from half a second to half a
// minute, with full jitter, so that clients do not return in step after an outage.
func Backoff(n int, rng *rand.Rand) time.Duration {
	limit := 30 * time.Second
	if n < 7 {
		limit = min(limit, 500*time.Millisecond<<n)
	}
	return limit/10 + time.Duration(rng.Int64N(int64(limit)))
}

// errLocal marks what only the data holder can mend: retrying does not help.
var errLocal = errors.New("cannot take part")

// Work carries out one order.
func (p *Participant) Work(ctx context.Context, o Order) error {
	arrived := time.Now()
	if err := p.prepare(o); err != nil {
		return err
	}
	sealing, err := p.checkSealing(o)
	if err != nil {
		return err
	}
	p.enter(energy.Download)
	global, err := p.server.Model(ctx, o.Model, p.layout.Size())
	if err != nil {
		return fmt.Errorf("fetch the model of round %d: %w", o.Round, err)
	}
	p.moved(4 * len(global))
	m := model.Model{Params: global, Layout: p.layout}
	if len(global) != p.layout.Size() || m.SHA256() != o.Model {
		return fmt.Errorf("the model of round %d is not the one announced (%x): the transfer was damaged or the server is inconsistent", o.Round, o.Model[:4])
	}
	contract, err := p.openPrivacy(o, sealing)
	if err != nil {
		return err
	}
	if err := p.unread(ctx, &o, sealing, contract); err != nil {
		return err
	}
	if err := p.own(o, sealing, contract != nil); err != nil {
		return err
	}
	if err := p.allow(ctx, o, sealing, contract); err != nil {
		return err
	}
	if err := p.afford(o, contract); err != nil {
		return err
	}
	restore, err := p.begin(ctx, o)
	if err != nil {
		return err
	}
	var values []int32
	if contract != nil {
		values, err = p.step(ctx, o, sealing, contract, global)
	} else {
		values, err = p.update(ctx, o, number(o, sealing), global)
	}
	restore()
	if err != nil {
		return err
	}
	p.enter(energy.Encrypt)
	body, err := p.body(o, sealing, values)
	if err != nil {
		return err
	}
	if contract != nil {
		p.enter(energy.Wait)
		if err := p.keepTime(ctx, o, o.Plan.StartAt+contract.contract.UploadAfter-time.Since(arrived)); err != nil {
			return err
		}
	}
	if err := p.charge(ctx, o, sealing, contract, body); err != nil {
		return err
	}
	r := Report{Run: o.Run, Round: o.Round, Attempt: o.Attempt, Model: o.Model, TaskHash: o.TaskHash, Body: body}
	// The work is done and costly: the report is tried until the round's time is
	// up, through lost connections.
	p.enter(energy.Upload)
	err = p.report(ctx, r, o.Deadline)
	if err == nil {
		p.moved(len(body))
	}
	p.attend(ctx, o, contract)
	return err
}

// prepare checks the order and opens the data when the task is new.
func (p *Participant) prepare(o Order) error {
	// Under a privacy contract the contract says what the integers are.
	if o.Sealing == nil || o.Codec != (aggregation.Codec{}) {
		if err := o.Codec.Validate(); err != nil {
			return fmt.Errorf("order of round %d: %w: %w", o.Round, ErrRefused, err)
		}
	}
	if !(o.Weight > 0 && o.Weight <= 1) || !(o.Epochs > 0) || !(o.LR > 0) {
		return fmt.Errorf("order of round %d has weight %g, epochs %g, learning rate %g, want all above 0 and weight at most 1: %w", o.Round, o.Weight, o.Epochs, o.LR, ErrRefused)
	}
	if err := o.Plan.Validate(); err != nil {
		return fmt.Errorf("order of round %d: %w: %w", o.Round, ErrRefused, err)
	}
	if o.Posted != nil {
		if err := o.Posted.Validate(); err != nil || o.Plan.Tasks != 0 || o.Plan.Mode != "" {
			return fmt.Errorf("order of round %d: %w: a posted price, and %d steps in mode %q: %w", o.Round, ErrRefused, o.Plan.Tasks, o.Plan.Mode, errors.Join(err))
		}
	}
	if s := o.Scale(); (o.Plan.Tasks == 0 && o.Posted == nil) != (o.Reference == 0) || !(s >= 1e-6 && s <= 1e6) {
		return fmt.Errorf("order of round %d: %d steps scaled to %d: %w", o.Round, o.Plan.Tasks, o.Reference, ErrRefused)
	}
	if o.TaskHash == p.taskHash && p.training != nil {
		return nil
	}
	if sha256.Sum256(o.Task) != o.TaskHash {
		return fmt.Errorf("task of round %d does not match its hash", o.Round)
	}
	task, err := train.Decode(o.Task)
	if err != nil {
		return fmt.Errorf("task of run %s: %w: %w", o.Run, ErrRefused, err)
	}
	layout, err := task.Architecture.Layout()
	if err != nil {
		return fmt.Errorf("task of run %s: %w: %w", o.Run, ErrRefused, err)
	}
	training, validation, err := p.data.Open(task)
	if err != nil {
		return fmt.Errorf("%w in run %s: %w", errLocal, o.Run, err)
	}
	p.task, p.layout, p.training, p.validation, p.taskHash = task, layout, training, validation, o.TaskHash
	return nil
}

// number is what training and rounding are drawn for: the round as key holders count,
// where there are any. A round that they certified and that was not opened is repeated under
// another number, and must not be the same update again.
func number(o Order, s *sealed) int {
	if s == nil {
		return o.Round
	}
	return int(s.announcement.Round)
}

// update trains and encodes: integers, the parameters first, then the private
// metrics.
func (p *Participant) update(ctx context.Context, o Order, number int, global []float32) ([]int32, error) {
	t, release, err := p.trainers.Borrow(ctx, p.task)
	if err != nil {
		return nil, err
	}
	defer release()
	delta := make([]float32, p.layout.Size())
	work := train.Work{Round: number, Client: p.name, Epochs: o.Epochs, Steps: int(o.Plan.Tasks), LR: o.LR}
	got, err := t.Run(ctx, global, p.training, p.validation, work, delta)
	if err != nil {
		return nil, fmt.Errorf("train round %d: %w", o.Round, err)
	}
	if want := p.work(o, false); uint64(got.TrainExamples) != want {
		return nil, fmt.Errorf("%w: training of round %d processed %d records, %d were to be signed", errLocal, o.Round, got.TrainExamples, want)
	}
	if s := o.Scale(); s != 1 {
		zerolog.Ctx(ctx).Debug().Int("round", o.Round).Int64("steps", o.Plan.Tasks).Int64("reference", o.Reference).Float64("scale", s).Msg("update normalised, before it is weighted")
	}
	values := make([]int32, len(delta), len(delta)+o.Codec.MetricsLen())
	rng := seed.New(p.task.Seed, "rounding", number, p.name)
	clamped, err := o.Codec.Quantize(values, delta, o.Weight*o.Scale(), rng)
	if err != nil {
		return nil, fmt.Errorf("encode the update of round %d: %w", o.Round, err)
	}
	values, err = o.Codec.EncodeMetrics(values, aggregation.Metrics{
		Examples: uint64(got.Examples), Steps: uint64(got.Steps), Clamped: uint64(clamped),
		TrainExamples: uint64(got.TrainExamples), TrainCorrect: uint64(got.TrainCorrect), TrainLoss: got.TrainLoss,
		ValExamples: uint64(got.ValExamples), ValCorrect: uint64(got.ValCorrect), ValLoss: got.ValLoss,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the metrics of round %d: %w", o.Round, err)
	}
	return values, nil
}

// report delivers r, again and again until deadline.
func (p *Participant) report(ctx context.Context, r Report, deadline time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, ErrClosed)
	defer cancel()
	for n := 1; ; n++ {
		err := p.server.Report(ctx, r)
		if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrRefused) || errors.Is(err, ErrFinished) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("report of round %d: %w", r.Round, context.Cause(ctx))
		case <-time.After(Backoff(n, p.backoff)):
			zerolog.Ctx(ctx).Warn().Err(err).Int("round", r.Round).Msg("report not delivered, trying again")
		}
	}
}
