package train

import (
	"sync"

	"github.com/sotto-fl/sotto/model/dataset"
)

// Features keeps what the untrained first layers of one task make of whole data sets, so that each
// image passes them once and not in every round. Trainers of the same task may share it. It is
// safe for concurrent use.
type Features struct {
	mu   sync.Mutex
	sets map[*dataset.Set]*features
	left int // floats that may still be kept
}

// features of one data set, in its order; nil where there is no room.
type features struct {
	once   sync.Once
	values []float32
}

// maxKept bounds what is kept, in floats: 1 GiB. Data sets beyond it are transformed anew each time.
const maxKept = 1 << 28

// NewFeatures keeps nothing yet.
func NewFeatures() *Features {
	return &Features{sets: map[*dataset.Set]*features{}, left: maxKept}
}

// of returns the entry of a data set that makes size floats of each example.
func (f *Features) of(data *dataset.Set, size int) *features {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.sets[data]
	if e == nil {
		e = &features{}
		if need := data.Len() * size; need <= f.left {
			f.left -= need
			e.values = make([]float32, need)
		} else {
			e.once.Do(func() {})
		}
		f.sets[data] = e
	}
	return e
}

// ShareFeatures makes the trainer keep features in f, together with other trainers of the same task.
func (t *Trainer) ShareFeatures(f *Features) {
	if t.stem != nil {
		t.cache = f
	}
}

// kept is fill with an untrained stem.
func (t *Trainer) kept(data *dataset.Set, index []int) ([]float32, []int32) {
	size := t.stem.Out().Size()
	e := t.cache.of(data, size)
	e.once.Do(func() {
		for from := 0; from < data.Len(); from += t.cfg.Batch {
			n := min(t.cfg.Batch, data.Len()-from)
			part := make([]int, n)
			for i := range part {
				part[i] = from + i
			}
			x, _ := t.raw(data, part)
			t.stem.Apply(e.values[from*size:(from+n)*size], x, n)
		}
	})
	if e.values == nil {
		x, labels := t.raw(data, index)
		return t.featuresOf(x, len(index)), labels
	}
	labels := t.labels[:len(index)]
	for i, at := range index {
		copy(t.features[i*size:(i+1)*size], e.values[at*size:])
		labels[i] = int32(data.Label(at))
	}
	return t.features[:len(index)*size], labels
}

// featuresOf is what the trained layers read of a batch of images.
func (t *Trainer) featuresOf(x []float32, batch int) []float32 {
	if t.stem == nil {
		return x
	}
	size := t.stem.Out().Size()
	t.stem.Apply(t.features[:batch*size], x, batch)
	return t.features[:batch*size]
}
