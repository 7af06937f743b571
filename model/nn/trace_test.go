package nn

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sotto-fl/sotto/internal/picture"
	"github.com/sotto-fl/sotto/model/kernel"
	"github.com/sotto-fl/sotto/model/optim"
)

// phase is one run of shared work in a step that is traced. What lies between the end of a phase and the
// begin of the next one is the caller's alone.
type phase struct {
	name       string
	begin, end time.Time
	start      []time.Time // of each worker's first task
	busy       []time.Duration
	last       []time.Time
}

// tracer notes what each worker does in a step.
type tracer struct {
	n      *simd
	phases []*phase
}

func (t *tracer) trace(do work) work {
	p := &phase{name: taskName(do), begin: time.Now()}
	for range t.n.workers {
		p.start, p.busy, p.last = append(p.start, time.Time{}), append(p.busy, 0), append(p.last, p.begin)
	}
	t.phases = append(t.phases, p)
	return func(n *simd, w *worker, task int) {
		begin := time.Now()
		if p.start[w.id].IsZero() {
			p.start[w.id] = begin
		}
		do(n, w, task)
		p.last[w.id] = time.Now()
		p.busy[w.id] += p.last[w.id].Sub(begin)
	}
}

func taskName(do work) string {
	name := runtime.FuncForPC(reflect.ValueOf(do).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

// BenchmarkTeam prints, for a training step with one worker and with two, how long each worker
// works in each phase, how long it waits for its first task and, after its last one, for the
// others; and what the caller does alone before the phase (serial). Times are medians in us by the
// clock; lost is the mean, over steps, of the time of all workers together that is not work, that of
// the others while the caller works alone included.
func BenchmarkTeam(b *testing.B) {
	for _, batch := range []int{64, 10} {
		for workers := 1; workers <= min(8, runtime.GOMAXPROCS(0)); workers *= 2 {
			b.Run(fmt.Sprintf("cifar-cnn/batch=%d/workers=%d", batch, workers), func(b *testing.B) { traceTeam(b, "cifar-cnn", batch, workers) })
		}
	}
}

func traceTeam(b *testing.B, model string, batch, workers int) {
	if !kernel.Default().SIMD() {
		b.Skip("the portable path has one worker")
	}
	a, err := Named(model)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(61, 1))
	n, x, labels, _ := randomTask(b, r, a, batch)
	picture.Fill(x, a.Input.C, a.Input.H, a.Input.W, r)
	opt, err := optim.New(optim.Config{Name: optim.Adam, LR: 1e-3}, len(n.Weights()))
	if err != nil {
		b.Fatal(err)
	}
	n.SetWorkers(workers)
	t := &tracer{n: n.simd}
	n.simd.trace = t.trace
	step := func() { n.Train(x, labels, opt.Update) }
	opt.Begin(0)
	step()

	samples := map[string][]float64{} // by phase and column
	var order []string
	add := func(key string, d time.Duration) { samples[key] = append(samples[key], 1e6*d.Seconds()) }
	for b.Loop() {
		t.phases = t.phases[:0]
		opt.Begin(0)
		begin := time.Now()
		step()
		end := time.Now()
		add("step", end.Sub(begin))
		at, work := begin, time.Duration(0)
		for i, p := range t.phases {
			p.end = slices.MaxFunc(p.last, time.Time.Compare)
			name := fmt.Sprintf("%d %s", i+1, p.name)
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
			add(name+"serial", p.begin.Sub(at))
			add(name+"wall", p.end.Sub(p.begin))
			lost := time.Duration(workers-1) * p.begin.Sub(at)
			lost += time.Duration(workers) * p.end.Sub(p.begin)
			work += p.begin.Sub(at)
			for w := range workers {
				start := p.start[w]
				if start.IsZero() { // came too late
					start = p.end
				}
				id := fmt.Sprint(w)
				add(name+"start"+id, start.Sub(p.begin))
				add(name+"busy"+id, p.busy[w])
				add(name+"wait"+id, max(0, p.end.Sub(max2(start, p.last[w]))))
				work += p.busy[w]
				lost -= p.busy[w]
			}
			add(name+"lost", lost)
			at = p.end
		}
		add("rest", end.Sub(at))
		work += end.Sub(at)
		add("lost", time.Duration(workers)*end.Sub(begin)-work)
	}
	median := func(key string) float64 {
		s := slices.Sorted(slices.Values(samples[key]))
		return s[len(s)/2]
	}
	mean := func(key string) (m float64) {
		for _, v := range samples[key] {
			m += v / float64(len(samples[key]))
		}
		return m
	}
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "phase\tserial\twall\tlost\t")
	for i := range workers {
		fmt.Fprintf(w, "start %d\tbusy\twait\t", i)
	}
	fmt.Fprintln(w)
	for _, name := range order {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t", name, median(name+"serial"), median(name+"wall"), mean(name+"lost"))
		for i := range workers {
			id := fmt.Sprint(i)
			fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t", median(name+"start"+id), median(name+"busy"+id), median(name+"wait"+id))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "end\t%.0f\t\n", median("rest"))
	w.Flush()
	fmt.Printf("\n%s, batch %d, %s, %d workers: step %.0f us, lost %.0f us of a core\n%s", model, batch, n.Kernel(), workers, median("step"), mean("lost"), s.String())
	b.ReportMetric(mean("lost"), "lost-us")
	b.ReportMetric(0, "ns/op")
}

func max2(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
