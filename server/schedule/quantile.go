package schedule

import "slices"

// item is a run of tasks of one client at one marginal key.
type item struct {
	key    float64
	units  int64
	client int32
}

// quantile returns the least key such that the items with keys up to it hold at
// least want units, 1 <= want <= all units, and the units strictly below it. It
// reorders the items. Linear time whatever their order: pivots are drawn from a
// fixed sequence that the items' owners cannot steer.
func quantile(items []item, want int64) (key float64, below int64) {
	state := uint64(0x9e3779b97f4a7c15)
	for len(items) > 1 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		pivot := median(items[state%uint64(len(items))].key, items[len(items)/2].key, items[(state>>32)%uint64(len(items))].key)
		// Three ways: [0, lt) below, [lt, i) equal, [gt, n) above.
		lt, gt := 0, len(items)
		var less, equal int64
		for i := 0; i < gt; {
			switch k := items[i].key; {
			case k < pivot:
				less += items[i].units
				items[lt], items[i] = items[i], items[lt]
				lt++
				i++
			case k > pivot:
				gt--
				items[gt], items[i] = items[i], items[gt]
			default:
				equal += items[i].units
				i++
			}
		}
		switch {
		case want <= below+less:
			items = items[:lt]
		case want <= below+less+equal:
			return pivot, below + less
		default:
			below += less + equal
			items = items[gt:]
		}
	}
	return items[0].key, below
}

func median(a, b, c float64) float64 {
	return max(min(a, b), min(max(a, b), c))
}

// fillTies gives left units to the items with exactly this key: earlier clients
// first, each until it has no more.
func fillTies(x []int64, items []item, key float64, left int64) {
	var ties []item
	for _, it := range items {
		if it.key == key {
			ties = append(ties, it)
		}
	}
	slices.SortFunc(ties, func(a, b item) int { return int(a.client) - int(b.client) })
	for _, it := range ties {
		n := min(left, it.units)
		x[it.client] += n
		left -= n
	}
}
