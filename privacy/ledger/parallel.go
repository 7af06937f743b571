package ledger

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f for 0 to n-1 on all processors and returns the results in order.
func parallel[T any](n int, f func(int) T) []T {
	out := make([]T, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				out[i] = f(i)
			}
		})
	}
	wg.Wait()
	return out
}

// searchers run checks in the background and keep the first difference by place.
type searchers struct {
	jobs  chan func() *Difference
	wg    sync.WaitGroup
	mu    sync.Mutex
	first *Difference
}

func newSearchers() *searchers {
	s := &searchers{jobs: make(chan func() *Difference, 1024)}
	for range runtime.GOMAXPROCS(0) {
		s.wg.Go(func() {
			for job := range s.jobs {
				s.found(job())
			}
		})
	}
	return s
}

func (s *searchers) found(d *Difference) {
	if d == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.first; f == nil || d.Index < f.Index || d.Index == f.Index && d.Offset < f.Offset {
		s.first = d
	}
}

// wait ends the search.
func (s *searchers) wait() *Difference {
	close(s.jobs)
	s.wg.Wait()
	return s.first
}
