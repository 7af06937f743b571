package schedule

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// grid rounds to a multiple of 2^-20: sums of such numbers are exact, so solver and
// brute force are compared with ==.
func grid(v float64) float64 { return math.Round(v*(1<<20)) / (1 << 20) }

// convexFamilies give marginal energies that ascend, for u tasks.
var convexFamilies = map[string]func(r *rand.Rand, u int) []float64{
	"constant": func(r *rand.Rand, u int) []float64 { return slices.Repeat([]float64{grid(1 + 9*r.Float64())}, u) },
	"flat":     func(_ *rand.Rand, u int) []float64 { return slices.Repeat([]float64{1}, u) },
	"free":     func(_ *rand.Rand, u int) []float64 { return make([]float64, u) },
	"xlogx": func(r *rand.Rand, u int) []float64 {
		c := costcurve.XLogX{B: 1 + 9*r.Float64()}
		return marginals(u, func(x int64) float64 { return grid(c.At(x)) })
	},
	"quadratic": func(r *rand.Rand, u int) []float64 {
		a := grid(r.Float64())
		return marginals(u, func(x int64) float64 { return a * float64(x*x) })
	},
	"pieces": func(r *rand.Rand, u int) []float64 {
		m := make([]float64, u)
		for x := range m {
			m[x] = float64(r.IntN(4))
		}
		slices.Sort(m)
		return m
	},
	"huge": func(r *rand.Rand, u int) []float64 {
		m := make([]float64, u)
		for x := range m {
			m[x] = float64(r.IntN(3)) * 0x1p46
		}
		slices.Sort(m)
		return m
	},
	"dvfs": func(r *rand.Rand, u int) []float64 {
		c := costcurve.DVFS{Static: r.Float64(), Kappa: 1, Cycles: 1, Window: 1 + 3*r.Float64()}
		m := marginals(u, func(x int64) float64 { return grid(c.At(x)) })
		slices.Sort(m) // rounding to the grid may swap equal ones
		return m
	},
}

func marginals(u int, at func(int64) float64) []float64 {
	m := make([]float64, u)
	for x := range m {
		m[x] = at(int64(x)+1) - at(int64(x))
	}
	return m
}

// curve joins equal marginals into segments.
func curve(fixed float64, m []float64) costcurve.Curve {
	c := costcurve.Curve{Fixed: fixed, Window: 1}
	for _, j := range m {
		if n := len(c.Segments); n > 0 && c.Segments[n-1].Joules == j {
			c.Segments[n-1].Tasks++
		} else {
			c.Segments = append(c.Segments, costcurve.Segment{Tasks: 1, Joules: j})
		}
	}
	return c
}

func drawClients(r *rand.Rand, family func(*rand.Rand, int) []float64) []Client {
	clients := make([]Client, 1+r.IntN(4))
	for i := range clients {
		u := 1 + r.IntN(6)
		clients[i] = Client{Curve: curve(float64(r.IntN(3)), family(r, u)), Min: int64(r.IntN(3)), Max: int64(1 + r.IntN(7))}
		clients[i].Min = min(clients[i].Min, clients[i].Max, int64(u))
		if r.IntN(4) == 0 {
			clients[i].Max = Unlimited
		}
	}
	return clients
}

// brute returns the least cost of exactly total tasks by trying everything, and
// false when nothing adds up.
func brute(n int, options func(i int) ([]int64, []float64), total int64) (float64, bool) {
	best, found := math.Inf(1), false
	var try func(i int, left int64, cost float64)
	try = func(i int, left int64, cost float64) {
		if i == n {
			if left == 0 {
				best, found = min(best, cost), true
			}
			return
		}
		tasks, joules := options(i)
		for j, x := range tasks {
			if x <= left {
				try(i+1, left-x, cost+joules[j])
			}
		}
	}
	try(0, total, 0)
	return best, found
}

func bruteConvex(clients []Client, total int64) (float64, bool) {
	return brute(len(clients), func(i int) (tasks []int64, joules []float64) {
		c := clients[i]
		for x := c.Min; x <= min(c.Max, c.Curve.Max()); x++ {
			tasks, joules = append(tasks, x), append(joules, c.Curve.At(x))
		}
		return tasks, joules
	}, total)
}

const instances = 10_000

func TestConvexEqualsBruteForce(t *testing.T) {
	for name, family := range convexFamilies {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range instances {
				clients := drawClients(r, family)
				total := int64(r.IntN(22))
				want, feasible := bruteConvex(clients, total)
				got, err := SolveConvex(clients, total)
				if !feasible {
					if !errors.Is(err, ErrInfeasible) {
						t.Fatalf("%+v, total %d: got %v, %v; want ErrInfeasible", clients, total, got, err)
					}
					continue
				}
				if err != nil || got.Joules != want {
					t.Fatalf("%+v, total %d: got %+v, %v; want %v J", clients, total, got, err, want)
				}
				if err := Verify(clients, total, got); err != nil {
					t.Fatalf("%+v, total %d: %v", clients, total, err)
				}
				// The search for formulas must agree, ties included.
				curves, bounds := apart(clients)
				smooth, err := SolveSmooth(curves, bounds, total)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(got.Tasks, smooth.Tasks); diff != "" || smooth.Joules != want {
					t.Fatalf("%+v, total %d: the two solvers differ: %v against %v J\n%s", clients, total, smooth.Joules, want, diff)
				}
			}
		})
	}
}

// The formulas themselves, whose sums round: equal to brute force up to that.
func TestSmoothEqualsBruteForce(t *testing.T) {
	for name, draw := range map[string]func(r *rand.Rand) Convex{
		"xlogx": func(r *rand.Rand) Convex { return costcurve.XLogX{A: 5 * r.Float64(), B: 1 + 9*r.Float64()} },
		"dvfs": func(r *rand.Rand) Convex {
			return costcurve.DVFS{Static: 0.01 + r.Float64(), Kappa: 0.1 + r.Float64(), Cycles: 0.1 + r.Float64(), Window: 0.5 + 3*r.Float64()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(13, 14))
			for range instances {
				n := 1 + r.IntN(4)
				curves, bounds := make([]Convex, n), make([]Bounds, n)
				for i := range curves {
					lo := int64(r.IntN(3))
					curves[i], bounds[i] = draw(r), Bounds{lo, lo + int64(r.IntN(6))}
				}
				total := int64(r.IntN(22))
				want, feasible := brute(n, func(i int) (tasks []int64, joules []float64) {
					for x := bounds[i].Min; x <= bounds[i].Max; x++ {
						tasks, joules = append(tasks, x), append(joules, curves[i].At(x))
					}
					return tasks, joules
				}, total)
				got, err := SolveSmooth(curves, bounds, total)
				if !feasible {
					if !errors.Is(err, ErrInfeasible) {
						t.Fatalf("%+v, %+v, total %d: got %v, %v; want ErrInfeasible", curves, bounds, total, got, err)
					}
					continue
				}
				if err != nil || math.Abs(got.Joules-want) > 1e-12*want {
					t.Fatalf("%+v, %+v, total %d: got %v, %v; want %v J", curves, bounds, total, got, err, want)
				}
				if err := VerifySmooth(curves, bounds, total, got); err != nil {
					t.Fatalf("%+v, %+v, total %d: %v", curves, bounds, total, err)
				}
			}
		})
	}
}

func apart(clients []Client) ([]costcurve.Curve, []Bounds) {
	curves, bounds := make([]costcurve.Curve, len(clients)), make([]Bounds, len(clients))
	for i, c := range clients {
		curves[i], bounds[i] = c.Curve, Bounds{c.Min, min(c.Max, c.Curve.Max())}
	}
	return curves, bounds
}

// A moved task keeps total and bounds; unless it moved between equal marginals the
// certificate must break, for every price.
func TestVerifyCatchesPerturbation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	caught := 0
	for range 10_000 {
		clients := drawClients(r, convexFamilies["quadratic"])
		least, most, _ := check(clients)
		if most == least || len(clients) < 2 {
			continue
		}
		total := least + r.Int64N(most-least+1)
		a, err := SolveConvex(clients, total)
		if err != nil {
			t.Fatal(err)
		}
		from, to := r.IntN(len(clients)), r.IntN(len(clients))
		f, g := clients[from], clients[to]
		if from == to || a.Tasks[from] <= f.Min || a.Tasks[to] >= min(g.Max, g.Curve.Max()) {
			continue
		}
		worse := g.Curve.Marginal(a.Tasks[to]) > f.Curve.Marginal(a.Tasks[from]-1)
		a.Tasks[from]--
		a.Tasks[to]++
		a.Joules = 0
		for i, c := range clients {
			a.Joules += c.Curve.At(a.Tasks[i])
		}
		if err := Verify(clients, total, a); worse && !errors.Is(err, ErrNotOptimal) {
			t.Fatalf("a worse allocation is certified: %+v, %+v, %v", clients, a, err)
		} else if !worse && err != nil {
			t.Fatalf("an equally good allocation is refused: %v", err)
		}
		if worse {
			caught++
		}
	}
	if caught < 500 {
		t.Fatalf("only %d perturbations were worse; the test shows nothing", caught)
	}
}

func TestVerifyRefuses(t *testing.T) {
	clients := []Client{{Curve: curve(0, []float64{1, 2, 3}), Max: 3}, {Curve: curve(0, []float64{1, 2, 3}), Max: 3}}
	good, err := SolveConvex(clients, 4)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Allocation){
		"total":  func(a *Allocation) { a.Tasks[0]-- },
		"bounds": func(a *Allocation) { a.Tasks = []int64{4, 0} },
		"price":  func(a *Allocation) { a.Lambda = 1 },
		"NaN":    func(a *Allocation) { a.Lambda = math.NaN() },
		"energy": func(a *Allocation) { a.Joules *= 1.0001 },
		"size":   func(a *Allocation) { a.Tasks = a.Tasks[:1] },
	} {
		a := good
		a.Tasks = slices.Clone(good.Tasks)
		change(&a)
		if err := Verify(clients, 4, a); !errors.Is(err, ErrNotOptimal) {
			t.Errorf("%s: got %v, want ErrNotOptimal", name, err)
		}
	}
}

func TestTiesGoToEarlierClients(t *testing.T) {
	flat := costcurve.Curve{Segments: []costcurve.Segment{{Tasks: 5, Joules: 1}}}
	clients := []Client{{flat, 1, 5}, {flat, 1, 3}, {flat, 1, 5}}
	a, err := SolveConvex(clients, 8)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{5, 2, 1}, a.Tasks); diff != "" {
		t.Error(diff)
	}
}

func TestInfeasibleSaysWhatToChange(t *testing.T) {
	c := costcurve.Curve{Segments: []costcurve.Segment{{Tasks: 5, Joules: 1}}}
	for _, k := range []struct {
		clients []Client
		total   int64
		want    InfeasibleError
	}{
		{[]Client{{c, 2, 9}, {c, 2, 9}}, 3, InfeasibleError{Total: 3, Least: 4, Most: 10, Client: -1}},
		{[]Client{{c, 2, 9}, {c, 2, 9}}, 11, InfeasibleError{Total: 11, Least: 4, Most: 10, Client: -1}},
		{[]Client{{c, 2, 9}, {c, 6, 9}}, 8, InfeasibleError{Client: 1, Min: 6, Max: 5}},
		{nil, 1, InfeasibleError{Total: 1, Client: -1}},
	} {
		_, err := SolveConvex(k.clients, k.total)
		var got *InfeasibleError
		if !errors.As(err, &got) || *got != k.want || !errors.Is(err, ErrInfeasible) {
			t.Errorf("total %d: got %+v (%v), want %+v", k.total, got, err, k.want)
		}
	}
	if _, err := SolveConvex([]Client{{costcurve.Curve{Segments: []costcurve.Segment{{Tasks: 1, Joules: 2}, {Tasks: 1, Joules: 1}}}, 0, 2}}, 1); !errors.Is(err, costcurve.ErrNotConvex) {
		t.Errorf("concave curve: got %v, want ErrNotConvex", err)
	}
}

// fleet draws clients like measured devices: a few ascending slopes, many tasks.
func fleet(n int, seed uint64) ([]Client, int64) {
	r := rand.New(rand.NewPCG(seed, 7))
	clients := make([]Client, n)
	segments := make([]costcurve.Segment, 0, 4*n)
	for i := range clients {
		from := len(segments)
		slope := 0.05 + r.Float64()
		for range 4 {
			segments = append(segments, costcurve.Segment{Tasks: 10 + r.Int64N(30), Joules: slope})
			slope *= 1 + r.Float64()
		}
		clients[i] = Client{Curve: costcurve.Curve{Fixed: 3, Window: 60, Segments: segments[from:len(segments):len(segments)]}, Min: 5, Max: 4 * 50}
	}
	return clients, int64(n) * 50
}

// logFleet is Pilla's x ln x family: A, B in [1, 10), at least 5 tasks, half of the
// clients limited to twice the mean and half to everything.
func logFleet(n int, seed uint64) ([]costcurve.XLogX, []Bounds, int64) {
	r := rand.New(rand.NewPCG(seed, 8))
	total := int64(n) * 50
	curves, bounds := make([]costcurve.XLogX, n), make([]Bounds, n)
	for i := range curves {
		curves[i] = costcurve.XLogX{A: 1 + 9*r.Float64(), B: 1 + 9*r.Float64()}
		bounds[i] = Bounds{5, 100}
		if i%2 == 0 {
			bounds[i].Max = total
		}
	}
	return curves, bounds, total
}

func TestLargeFleetsAreCertified(t *testing.T) {
	for _, n := range []int{1, 100, 4096, 4097, 30_000} {
		clients, total := fleet(n, uint64(n))
		a, err := SolveConvex(clients, total)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(clients, total, a); err != nil {
			t.Errorf("pieces, n = %d: %v", n, err)
		}
		curves, bounds, total := logFleet(n, uint64(n))
		if a, err = SolveSmooth(curves, bounds, total); err != nil {
			t.Fatal(err)
		}
		if err := VerifySmooth(curves, bounds, total, a); err != nil {
			t.Errorf("x ln x, n = %d: %v", n, err)
		}
	}
}

// The sample misleads the bracket: the cheap clients are few and far apart, or all
// clients are alike.
func TestBracketMayMiss(t *testing.T) {
	for name, slope := range map[string]func(i int) float64{
		"all alike":     func(int) float64 { return 1 },
		"needle":        func(i int) float64 { return float64(1 + boolInt(i == 777)) },
		"rising":        func(i int) float64 { return float64(i) },
		"two far apart": func(i int) float64 { return math.Pow(10, float64(i%2)*12) },
	} {
		const n = 20_000
		clients := make([]Client, n)
		curves, bounds := make([]costcurve.Curve, n), make([]Bounds, n)
		for i := range clients {
			curves[i] = costcurve.Curve{Segments: []costcurve.Segment{{Tasks: 1000, Joules: slope(i)}}}
			clients[i] = Client{Curve: curves[i], Max: Unlimited}
			bounds[i] = Bounds{0, 1000}
		}
		for _, total := range []int64{0, 1, 999, 1000 * n / 2, 1000*n - 1, 1000 * n} {
			a, err := SolveConvex(clients, total)
			if err != nil {
				t.Fatal(err)
			}
			if err := Verify(clients, total, a); err != nil {
				t.Errorf("%s, total %d: %v", name, total, err)
			}
			b, err := SolveSmooth(curves, bounds, total)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Tasks, b.Tasks) {
				t.Errorf("%s, total %d: the two solvers differ", name, total)
			}
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestResultsDoNotDependOnProcessors(t *testing.T) {
	clients, total := fleet(10_000, 5)
	curves, bounds, logTotal := logFleet(10_000, 5)
	solve := func() string {
		a, err := SolveConvex(clients, total)
		if err != nil {
			t.Fatal(err)
		}
		b, err := SolveSmooth(curves, bounds, logTotal)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(a, b)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := solve()
	for _, p := range []int{2, 7} {
		runtime.GOMAXPROCS(p)
		if solve() != want {
			t.Errorf("GOMAXPROCS %d gives another allocation", p)
		}
	}
}

func BenchmarkSolveConvex(b *testing.B) {
	b.Run("n=1000000", func(b *testing.B) {
		clients, total := fleet(1_000_000, 1)
		for b.Loop() {
			if _, err := SolveConvex(clients, total); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("n=1000000/xlogx", func(b *testing.B) {
		curves, bounds, total := logFleet(1_000_000, 1)
		for b.Loop() {
			if _, err := SolveSmooth(curves, bounds, total); err != nil {
				b.Fatal(err)
			}
		}
	})
}
