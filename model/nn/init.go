package nn

import (
	"math"

	"github.com/sotto-fl/sotto/internal/seed"
	"github.com/sotto-fl/sotto/model"
)

// Init returns a fresh model, a function of the architecture and root alone.
// The distribution is PyTorch's default for convolution and linear layers:
// weight and bias uniform in ±1/sqrt(fan in), which is Kaiming uniform with
// a = sqrt(5). Group norm starts as the identity. Each tensor has a random
// stream of its own, so adding a layer leaves the others as they were.
func (a Architecture) Init(root uint64) (*model.Model, error) {
	p, err := a.plan()
	if err != nil {
		return nil, err
	}
	m := model.New(p.layout)
	for _, q := range p.params {
		v := m.View(q.name)
		switch {
		case q.fanIn > 0:
			r := seed.New(root, "init/"+q.name, 0, "")
			bound := 1 / math.Sqrt(float64(q.fanIn))
			for i := range v {
				v[i] = float32((2*r.Float64() - 1) * bound)
			}
		case !q.isBias:
			for i := range v {
				v[i] = 1
			}
		}
	}
	return m, nil
}
