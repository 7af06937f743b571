package train

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
)

func stemConfig() Config {
	c := testConfig()
	c.Architecture.Layers = append([]nn.Layer{{Kind: nn.Scattering, Scales: 1, Angles: 4}}, c.Architecture.Layers...)
	return c
}

// Features that are kept, shared or made anew train to the same bits.
func TestKeptFeaturesChangeNothing(t *testing.T) {
	c, data := stemConfig(), synthetic(t, 20, "north")
	params := initial(t, c)
	work := Work{Round: 1, Client: "north", Epochs: 2, LR: 0.1}
	none := newTrainer(t, c)
	none.cache.left = 0
	want, _ := run(t, none, params, data, data, work)
	kept := newTrainer(t, c)
	for range 2 {
		if got, _ := run(t, kept, params, data, data, work); !cmp.Equal(got, want) {
			t.Error("kept features give another update")
		}
	}
	if n := len(kept.cache.sets); n != 1 || kept.cache.left != maxKept-20*5*4 {
		t.Errorf("%d sets are kept and %d floats left", n, kept.cache.left)
	}
	shared := NewFeatures()
	var wg sync.WaitGroup
	for range 4 {
		trainer := newTrainer(t, c)
		trainer.ShareFeatures(shared)
		wg.Go(func() {
			got := make([]float32, len(params))
			if _, err := trainer.Run(context.Background(), params, data, nil, work, got); err != nil || !cmp.Equal(got, want) {
				t.Errorf("shared features give another update (%v)", err)
			}
		})
	}
	wg.Wait()
}

// With augmentation an image's features change from pass to pass and are not kept.
func TestAugmentedFeaturesAreNotKept(t *testing.T) {
	c, data := stemConfig(), synthetic(t, 20, "north")
	c.Augmentation = dataset.Augmentation{Shift: 1}
	trainer, params := newTrainer(t, c), initial(t, c)
	a, _ := run(t, trainer, params, data, nil, Work{Round: 1, Client: "north", Epochs: 1, LR: 0.1})
	if len(trainer.cache.sets) != 0 {
		t.Error("features of augmented images are kept")
	}
	plain := stemConfig()
	if b, _ := run(t, newTrainer(t, plain), params, data, nil, Work{Round: 1, Client: "north", Epochs: 1, LR: 0.1}); cmp.Equal(a, b) {
		t.Error("augmentation does not reach the features")
	}
}
