package nn

import "sync/atomic"

// pieces hands out the examples of a batch, chunk by chunk, for work that adds to the
// sums of chunks. The examples of a chunk are worked on in order and by one worker at a
// time; whose piece was which does not matter to the sum.
//
// A worker takes an even share of what is left of the chunk of which most is left: long
// pieces first, and single examples last, so that workers that are not equally fast end
// at about the same time.
type pieces struct {
	shares int // tasks that take pieces, one for each worker
	work   func(n *simd, w *worker, chunk, lo, hi int)
	// at holds twice the next example of each chunk, and one more while a worker
	// has the chunk.
	at []atomic.Int64
}

// cut readies the examples of the batch for takePieces.
func (n *simd) cut(work func(n *simd, w *worker, chunk, lo, hi int)) {
	p := &n.pieces
	p.work, p.shares = work, n.called+1
	for chunk := range n.chunkCount(n.batch) {
		lo, _ := n.chunk(chunk, n.batch)
		p.at[chunk].Store(int64(2 * lo))
	}
}

// takePieces works until no chunk is left that another worker does not have.
func (n *simd) takePieces(w *worker) {
	p := &n.pieces
	for {
		best, most, first := 0, 0, int64(0)
		for chunk := range n.chunkCount(n.batch) {
			at := p.at[chunk].Load()
			_, end := n.chunk(chunk, n.batch)
			// Of equals the last one that w had, whose sum may be in its cache.
			if left := end - int(at/2); at%2 == 0 && (left > most || left == most && chunk == w.chunk) && left > 0 {
				best, most, first = chunk, left, at
			}
		}
		if most == 0 {
			return
		}
		if !p.at[best].CompareAndSwap(first, first+1) {
			continue
		}
		w.chunk = best
		lo := int(first / 2)
		hi := lo + (most+p.shares-1)/p.shares
		p.work(n, w, best, lo, hi)
		p.at[best].Store(int64(2 * hi))
	}
}
