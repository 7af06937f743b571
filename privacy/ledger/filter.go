package ledger

import (
	"fmt"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

// filter adds up released metrics. The zero value has none.
type filter struct {
	events []accountant.Event
	counts []int64
	index  map[string]int
}

// maxDistinct bounds how many different events a filter holds, so that each price stays cheap.
const maxDistinct = 256

// with returns the epsilon of all events and one more.
func (f *filter) with(e accountant.Event, b *MetricsBudget) (float64, error) {
	key, err := accountant.Encode(e)
	if err != nil {
		return 0, err
	}
	known, ok := f.index[string(key)]
	if !ok && len(f.events) >= maxDistinct {
		return 0, fmt.Errorf("%w: more than %d different events", ErrInvalid, maxDistinct)
	}
	var all []accountant.Event
	for i, x := range f.events {
		n := f.counts[i]
		if ok && i == known {
			n++
		}
		all = append(all, accountant.SelfComposed{Event: x, Count: n})
	}
	if !ok {
		all = append(all, e)
	}
	a := accountant.Accountant{Method: accountant.RDP, Orders: []float64{b.Order}}
	r, err := a.Epsilon(accountant.Composed{Events: all}, b.Delta)
	return r.Upper, err
}

func (f *filter) add(e accountant.Event) {
	key, err := accountant.Encode(e)
	if err != nil {
		return // with has refused it
	}
	if i, ok := f.index[string(key)]; ok {
		f.counts[i]++
		return
	}
	if f.index == nil {
		f.index = map[string]int{}
	}
	f.index[string(key)] = len(f.events)
	f.events, f.counts = append(f.events, e), append(f.counts, 1)
}
