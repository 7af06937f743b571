package scenario

import (
	"context"
	"fmt"
	"sync"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// pool lends as many trainers as the simulation has workers: memory grows with
// the workers, not with the clients.
type pool struct {
	idle chan *train.Trainer
	all  []*train.Trainer
}

func newPool(workers int, task train.Config) (*pool, error) {
	p := &pool{idle: make(chan *train.Trainer, workers)}
	features := train.NewFeatures()
	for range workers {
		t, err := train.New(task)
		if err != nil {
			return nil, err
		}
		t.ShareFeatures(features)
		p.all = append(p.all, t)
		p.idle <- t
	}
	return p, nil
}

// Borrow implements participant.Trainers. A simulation has one task.
func (p *pool) Borrow(ctx context.Context, _ train.Config) (*train.Trainer, func(), error) {
	select {
	case t := <-p.idle:
		return t, func() { p.idle <- t }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// owner is the data of one simulated client.
type owner struct{ training, validation *dataset.Set }

func (o owner) Open(train.Config) (training, validation *dataset.Set, err error) {
	return o.training, o.validation, nil
}

// evaluator measures models on the test set with all workers. The set is cut into
// fixed parts and their losses are added in order, so the figure does not depend
// on the number of workers.
type evaluator struct {
	pool  *pool
	parts []*dataset.Set
	total int
}

const evaluationPart = 500

func newEvaluator(p *pool, test *dataset.Set) *evaluator {
	e := &evaluator{pool: p, total: test.Len()}
	for from := 0; from < test.Len(); from += evaluationPart {
		index := make([]int, min(evaluationPart, test.Len()-from))
		for i := range index {
			index[i] = from + i
		}
		e.parts = append(e.parts, test.Subset(index))
	}
	return e
}

func (e *evaluator) Evaluate(ctx context.Context, params []float32) (*coordinator.Metric, error) {
	type result struct {
		loss    float64
		correct int
		err     error
	}
	results := make([]result, len(e.parts))
	var wg sync.WaitGroup
	for i, part := range e.parts {
		wg.Go(func() {
			t, release, err := e.pool.Borrow(ctx, train.Config{})
			if err != nil {
				results[i].err = err
				return
			}
			defer release()
			r := &results[i]
			r.loss, r.correct, r.err = t.Evaluate(ctx, params, part)
		})
	}
	wg.Wait()
	m := &coordinator.Metric{Examples: e.total}
	correct := 0
	for _, r := range results {
		if r.err != nil {
			return nil, fmt.Errorf("evaluate on the test set: %w", r.err)
		}
		m.Loss += r.loss
		correct += r.correct
	}
	m.Loss /= float64(e.total)
	m.Accuracy = float64(correct) / float64(e.total)
	return m, nil
}
