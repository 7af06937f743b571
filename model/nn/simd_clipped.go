package nn

// clippedGradient overwrites the network's gradient with scale times the sum of the clipped
// gradients of the last batch's examples, or hands it to rule if there is one. Dense layers give the norm of an
// example's gradient without the gradient (ghost norms: Goodfellow 2015); the
// trunk makes each example's gradient in a scratch that stays in cache. Once the
// whole norm is known, the trunk's gradient is scaled into the chunk's sum, and
// the rows that the dense layers multiply are scaled in place.
func (n *simd) clippedGradient(batch int, clip, scale float64, s *ClipStats, rule Rule) {
	n.startUnits(batch)
	if n.squares == nil {
		n.squares, n.factors = make([]float64, n.maxBatch), make([]float32, n.maxBatch)
		n.stats = make([]ClipStats, len(n.sums))
	}
	clear(n.squares)
	for i, l := range n.head {
		l.norms(n.flows[i+1], batch, n.squares)
	}
	n.clip, n.scale = clip, scale
	n.cut(clippedPiece)
	n.run(backwardTask, n.pieces.shares)
	for _, c := range n.stats[:n.chunkCount(batch)] {
		s.add(c)
	}
	for i, l := range n.head {
		width := l.width()
		for e, f := range n.factors[:batch] {
			n.path.Scale(n.flows[i+1][e*width:(e+1)*width], f)
			if f == 0 { // infinities times zero
				clear(n.flows[i+1][e*width : (e+1)*width])
				l.drop(e)
			}
		}
		if d, ok := l.(*productDense); ok && d.wide && rule != nil {
			n.rule = rule
			d.sweep(n.flows[i+1], nil, batch, true)
			n.rule = nil
		} else {
			l.gradient(n.flows[i+1], 0, batch)
		}
	}
	if n.private > 0 {
		n.reduce()
		n.finish(n.sums[0])
	}
	if rule != nil {
		n.updateRest(rule)
	}
}

func clippedPiece(n *simd, w *worker, chunk, lo, hi int) {
	s, sum := &n.stats[chunk], n.sums[chunk]
	if first, _ := n.chunk(chunk, n.batch); lo == first {
		*s = ClipStats{}
		clear(sum)
	}
	for e := lo; e < hi; e++ {
		squares := n.squares[e]
		if n.private > 0 {
			n.backExample(w, e, w.one)
			squares += n.path.SumSquares(w.one)
		}
		f := float32(factor(squares, n.clip, s) * n.scale)
		n.factors[e] = f
		if f != 0 {
			n.path.AXPYClear(sum, w.one, f)
		} else {
			clear(w.one)
		}
	}
}

// startUnits readies the last batch for unitGradient.
func (n *simd) startUnits(batch int) {
	n.gather(batch)
	n.prepared = false
	n.backHead(batch)
	n.prepareBackward()
}

// prepareBackward readies the trunk, unless a sweep has done it on the way.
func (n *simd) prepareBackward() {
	if n.prepared {
		return
	}
	n.prepared = true
	for _, l := range n.trunk {
		l.prepare(true)
	}
}

// unitGradient overwrites the network's gradient with the sum over examples lo to
// hi-1. It may be called once for each example of a batch.
func (n *simd) unitGradient(lo, hi int) {
	for i, l := range n.head {
		l.gradient(n.flows[i+1], lo, hi)
	}
	if n.private == 0 {
		return
	}
	w := n.workers[0]
	for e := lo; e < hi; e++ {
		n.backExample(w, e, w.one)
	}
	n.finish(w.one)
	clear(w.one)
}
