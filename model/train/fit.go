package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/optim"
)

// Plan says how long a central training goes on.
type Plan struct {
	Epochs        int
	Schedule      optim.Schedule
	EarlyStopping optim.EarlyStopping
}

// Epoch describes one pass of a central training. Losses are means, in nats;
// accuracies are shares. The validation figures are those after the pass, and
// zero without validation data.
type Epoch struct {
	LR            float64
	TrainLoss     float64
	TrainAccuracy float64
	ValLoss       float64
	ValAccuracy   float64
}

// Fit trains params (canonical order, in place) on all of data in one place: the
// baseline that federated runs are compared with. The optimiser keeps its state
// from epoch to epoch. validation may be nil; with it, plateau and early
// stopping see its losses, and params end as they were after the epoch with the
// least of them. The task's Epochs does not matter and its MaxSteps bounds each
// epoch. each, if not nil, is called after every epoch.
//
// On an error params are unchanged; the history so far is returned with it. A
// loss that is no longer finite is ErrDiverged.
func (t *Trainer) Fit(ctx context.Context, params []float32, data, validation *dataset.Set, plan Plan, each func(Epoch)) ([]Epoch, error) {
	if plan.Epochs < 1 || plan.Epochs > maxEpochs {
		return nil, fmt.Errorf("epochs: got %d, want 1 to %d", plan.Epochs, maxEpochs)
	}
	if err := errors.Join(plan.Schedule.Validate(), plan.EarlyStopping.Validate(), t.check(data)); err != nil {
		return nil, err
	}
	validate := validation != nil && validation.Len() > 0
	if validate {
		if err := t.check(validation); err != nil {
			return nil, fmt.Errorf("validation: %w", err)
		}
	}
	if err := t.net.Import(params); err != nil {
		return nil, err
	}
	copy(t.start, t.net.Weights())
	t.opt.Reset()
	t.opt.SetAnchor(t.start)

	var history []Epoch
	var losses []float64
	best := make([]float32, len(params))
	for number := range plan.Epochs {
		e := Epoch{LR: plan.Schedule.Rate(t.cfg.Optimizer.LR, number, plan.Epochs, losses)}
		var m Metrics
		if err := t.epochs(ctx, data, Work{Round: number, Epochs: 1, LR: e.LR}, &m); err != nil {
			return history, err
		}
		e.TrainLoss, e.TrainAccuracy = m.TrainLoss/float64(m.TrainExamples), float64(m.TrainCorrect)/float64(m.TrainExamples)
		if validate {
			loss, correct, err := t.evaluate(ctx, validation)
			if err != nil {
				return history, err
			}
			n := float64(validation.Len())
			e.ValLoss, e.ValAccuracy = loss/n, float64(correct)/n
			if !finite(e.ValLoss) {
				return history, fmt.Errorf("validation loss after epoch %d: %w", number+1, ErrDiverged)
			}
			losses = append(losses, e.ValLoss)
		}
		if !validate || e.ValLoss <= slices.Min(losses) {
			if err := t.net.Export(best); err != nil {
				return history, err
			}
		}
		history = append(history, e)
		if each != nil {
			each(e)
		}
		if plan.EarlyStopping.Stop(losses) {
			break
		}
	}
	for i, w := range best {
		if !finite(float64(w)) {
			return history, fmt.Errorf("parameter %d: %w", i, ErrDiverged)
		}
	}
	copy(params, best)
	return history, nil
}
