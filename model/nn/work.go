package nn

// Work describes what training did on a vector path.
type Work struct {
	// MFLOP is the arithmetic executed for one example in convolutions and dense
	// layers, forward and backward, 2 operations for each multiply-add.
	MFLOP float64
	// Live holds, for each convolution, the share of its outputs (of its pool's,
	// if the two are one) whose gradients were not zero.
	Live []float64
}

// Work sums up all training so far. It is zero on the portable path.
func (n *Network) Work() Work {
	var w Work
	if n.simd == nil {
		return w
	}
	for _, l := range n.simd.trunk {
		var flop, live float64
		switch l := l.(type) {
		case *pooledConv:
			flop, live = l.work(l.pool.Size())
		case *directConv:
			flop, live = l.work(l.step.out.Size())
		default:
			continue
		}
		w.MFLOP += flop / 1e6
		w.Live = append(w.Live, live)
	}
	for i, l := range n.simd.head {
		if d, ok := l.(*productDense); ok {
			products := 3
			if i == 0 && n.simd.private == 0 {
				products = 2
			}
			w.MFLOP += 2 * float64(products*d.in*d.out) / 1e6
		}
	}
	return w
}
