package train

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model/optim"
)

func TestFitKeepsTheBestEpoch(t *testing.T) {
	c := testConfig()
	data, validation := synthetic(t, 30, "north"), synthetic(t, 100, "south")
	trainer, params := newTrainer(t, c), initial(t, c)
	plan := Plan{Epochs: 60, Schedule: optim.Schedule{Kind: optim.Cosine}, EarlyStopping: optim.EarlyStopping{Patience: 3, MinDelta: 0.02}}
	var seen []Epoch
	history, err := trainer.Fit(context.Background(), params, data, validation, plan, func(e Epoch) { seen = append(seen, e) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(history, seen); diff != "" {
		t.Error(diff)
	}
	best := history[0].ValLoss
	for _, e := range history {
		best = min(best, e.ValLoss)
	}
	loss, _, err := trainer.Evaluate(context.Background(), params, validation)
	if err != nil {
		t.Fatal(err)
	}
	if loss/100 != best {
		t.Errorf("parameters have validation loss %v, the best epoch had %v", loss/100, best)
	}
	// Thirty noisy images soon have no more to teach.
	if len(history) == plan.Epochs {
		t.Error("training never stopped early")
	}
	if history[0].LR != c.Optimizer.LR || history[1].LR >= history[0].LR {
		t.Errorf("rates start %v, %v, want a cosine from %v", history[0].LR, history[1].LR, c.Optimizer.LR)
	}
	if history[0].TrainLoss <= history[len(history)-1].TrainLoss {
		t.Error("training loss did not fall")
	}
}

func TestFitWithoutValidationKeepsTheLastEpoch(t *testing.T) {
	c := testConfig()
	c.Batch, c.Optimizer = 40, optim.Config{Name: optim.Adam, LR: 0.01}
	data, params := synthetic(t, 40, ""), initial(t, c)
	// With one batch an epoch, order does not matter beyond rounding.
	delta, _ := run(t, newTrainer(t, c), params, data, nil, Work{Epochs: 5, LR: 0.01})
	want := make([]float32, len(params))
	for i := range want {
		want[i] = params[i] + delta[i]
	}
	history, err := newTrainer(t, c).Fit(context.Background(), params, data, nil, Plan{Epochs: 5}, nil)
	if err != nil || len(history) != 5 {
		t.Fatalf("%d epochs, %v", len(history), err)
	}
	for i := range want {
		if d := want[i] - params[i]; d > 1e-4 || d < -1e-4 {
			t.Errorf("parameter %d is %v, five epochs at once give %v", i, params[i], want[i])
		}
	}
}

func TestFitLeavesParamsOnError(t *testing.T) {
	c := testConfig()
	data, params := synthetic(t, 40, ""), initial(t, c)
	before := append([]float32(nil), params...)
	ctx, cancel := context.WithCancel(context.Background())
	history, err := newTrainer(t, c).Fit(ctx, params, data, nil, Plan{Epochs: 9}, func(Epoch) { cancel() })
	if !errors.Is(err, context.Canceled) || len(history) != 1 {
		t.Errorf("%d epochs, %v, want 1 and context.Canceled", len(history), err)
	}
	c.Optimizer.LR = 1e6
	c.Optimizer.WeightDecay = 1e6
	if _, err := newTrainer(t, c).Fit(context.Background(), params, data, data, Plan{Epochs: 9}, nil); !errors.Is(err, ErrDiverged) {
		t.Errorf("got %v, want ErrDiverged", err)
	}
	if _, err := newTrainer(t, c).Fit(context.Background(), params, data, nil, Plan{}, nil); err == nil {
		t.Error("0 epochs were accepted")
	}
	if !cmp.Equal(before, params) {
		t.Error("a failed fit changed the parameters")
	}
}
