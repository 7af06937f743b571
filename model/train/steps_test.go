package train

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An order of steps does exactly so many, whatever the size of the data, and as many as
// a whole number of passes has are those passes bit for bit.
func TestExactlySoManySteps(t *testing.T) {
	c := testConfig() // batches of 8
	params := initial(t, c)
	for _, n := range []int{1, 7, 8, 9, 20, 64} {
		data := synthetic(t, n, "")
		for _, steps := range []int{1, 2, 3, 10} {
			_, m := run(t, newTrainer(t, c), params, data, nil, Work{Steps: steps, LR: 0.01})
			if m.Steps != steps {
				t.Errorf("%d examples: %d steps, want %d", n, m.Steps, steps)
			}
			if want := Processed(steps, n, c.Batch); m.TrainExamples != want {
				t.Errorf("%d examples, %d steps: %d processed, want %d", n, steps, m.TrainExamples, want)
			}
		}
	}
	data := synthetic(t, 20, "")
	byEpochs, m := run(t, newTrainer(t, c), params, data, nil, Work{Epochs: 2, LR: 0.01})
	bySteps, _ := run(t, newTrainer(t, c), params, data, nil, Work{Steps: m.Steps, LR: 0.01})
	if !cmp.Equal(byEpochs, bySteps) {
		t.Error("six steps over twenty examples are not two passes")
	}
}

func TestStepsBeyondTheTaskAreRefused(t *testing.T) {
	c := testConfig()
	c.MaxSteps = 3
	data, params := synthetic(t, 9, ""), initial(t, c)
	delta := make([]float32, len(params))
	for _, w := range []Work{{Steps: 4}, {Steps: -1}} {
		if _, err := newTrainer(t, c).Run(t.Context(), params, data, nil, w, delta); err == nil {
			t.Errorf("%+v was carried out", w)
		}
	}
	c.MaxSteps = 0
	if _, err := newTrainer(t, c).Run(t.Context(), params, data, nil, Work{Steps: 1 << 40}, delta); err == nil {
		t.Error("a trillion steps were begun")
	}
}
