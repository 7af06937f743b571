package schedule

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// tableFamilies give the options of one client with at most u tasks.
var tableFamilies = map[string]func(r *rand.Rand, u int) costcurve.Table{
	"random": func(r *rand.Rand, u int) costcurve.Table {
		return dense(u, func(int) float64 { return grid(float64(u) * r.Float64()) })
	},
	"concave": func(r *rand.Rand, u int) costcurve.Table {
		a, b := 1+9*r.Float64(), 1+9*r.Float64()
		return dense(u, func(x int) float64 { return grid(a + b*math.Log1p(float64(x))) })
	},
	"fixed charge": func(r *rand.Rand, u int) costcurve.Table {
		lo := 1 + r.IntN(u)
		a, b := 1+9*r.Float64(), 0.5+r.Float64()
		t := costcurve.Table{Tasks: []int32{0}, Joules: []float64{0}}
		for x := lo; x <= u; x++ {
			t.Tasks, t.Joules = append(t.Tasks, int32(x)), append(t.Joules, grid(a+b*float64(x)))
		}
		return t
	},
	"convex": func(r *rand.Rand, u int) costcurve.Table {
		c := costcurve.XLogX{A: 1, B: 1 + 9*r.Float64()}
		return dense(u, func(x int) float64 { return grid(c.At(int64(x))) })
	},
	"constant": func(r *rand.Rand, u int) costcurve.Table {
		b := grid(1 + 9*r.Float64())
		return dense(u, func(x int) float64 { return b * float64(x) })
	},
	"flat": func(_ *rand.Rand, u int) costcurve.Table { return dense(u, func(int) float64 { return 1 }) },
	"alike": func(_ *rand.Rand, u int) costcurve.Table {
		return costcurve.Table{Tasks: []int32{0, 2, 5}, Joules: []float64{0, 7, 8}}
	},
	"modes": func(r *rand.Rand, u int) costcurve.Table {
		d := costcurve.Device{Modes: []costcurve.Mode{{Name: "a", ActiveWatts: grid(r.Float64()), SecondsPerTask: 2}, {Name: "b", ActiveWatts: grid(2 + 3*r.Float64()), SecondsPerTask: 1}}}
		t, err := d.Table(costcurve.Terms{Deadline: float64(u), Boundary: costcurve.Total}, 0, int32(u))
		if err != nil {
			panic(err)
		}
		return t
	},
	"gaps": func(r *rand.Rand, u int) costcurve.Table {
		var t costcurve.Table
		for x := range u + 1 {
			if r.IntN(2) == 0 || x == u {
				t.Tasks, t.Joules = append(t.Tasks, int32(x)), append(t.Joules, float64(r.IntN(5)))
			}
		}
		return t
	},
	"huge": func(r *rand.Rand, u int) costcurve.Table {
		return dense(u, func(int) float64 { return float64(r.IntN(8)) * 0x1p46 })
	},
	"correlated": func(r *rand.Rand, u int) costcurve.Table {
		return dense(u, func(x int) float64 { return float64(x) + float64(r.IntN(2)) })
	},
}

func dense(u int, cost func(x int) float64) costcurve.Table {
	t := costcurve.Table{Tasks: make([]int32, u+1), Joules: make([]float64, u+1)}
	for x := range t.Tasks {
		t.Tasks[x], t.Joules[x] = int32(x), cost(x)
	}
	return t
}

func bruteTables(tables []costcurve.Table, total int64) (float64, bool) {
	return brute(len(tables), func(i int) (tasks []int64, joules []float64) {
		for _, x := range tables[i].Tasks {
			tasks = append(tasks, int64(x))
		}
		return tasks, tables[i].Joules
	}, total)
}

func TestExactEqualsBruteForce(t *testing.T) {
	for name, family := range tableFamilies {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			for range instances {
				tables := make([]costcurve.Table, 1+r.IntN(5))
				for i := range tables {
					tables[i] = family(r, 1+r.IntN(6))
				}
				total := int64(r.IntN(20))
				want, feasible := bruteTables(tables, total)
				got, err := SolveExact(tables, total, Effort{})
				if !feasible {
					if !errors.Is(err, ErrInfeasible) {
						t.Fatalf("%+v, total %d: got %+v, %v; want ErrInfeasible", tables, total, got, err)
					}
					continue
				}
				if err != nil || got.Joules != want || !got.Proven || got.Lower != want {
					t.Fatalf("%+v, total %d: got %+v, %v; want %v J, proven", tables, total, got, err, want)
				}
				checkOptions(t, tables, total, got)
				// The same by the group relaxation, and by the full programme.
				if got, err = solveExact(tables, total, DefaultEffort, 0); err != nil || got.Joules != want || !got.Proven {
					t.Fatalf("%+v, total %d: relaxation: got %+v, %v; want %v J, proven", tables, total, got, err, want)
				}
				if got := fullProgramme(tables, total); got != want {
					t.Fatalf("%+v, total %d: full programme: got %v J, want %v", tables, total, got, want)
				}
			}
		})
	}
}

func fullProgramme(tables []costcurve.Table, total int64) float64 {
	k := &core{tables: tables, total: total, effort: DefaultEffort}
	least, most, _ := k.check()
	k.relax(least, most)
	k.reduce()
	k.full()
	e, _ := k.result()
	return e.Joules
}

// checkOptions checks that the allocation is what it says: options, tasks, energy.
func checkOptions(t *testing.T, tables []costcurve.Table, total int64, e Exact) {
	t.Helper()
	var tasks int64
	var joules float64
	for i, j := range e.Option {
		if int64(tables[i].Tasks[j]) != e.Tasks[i] {
			t.Fatalf("client %d: option %d has %d tasks, the allocation says %d", i, j, tables[i].Tasks[j], e.Tasks[i])
		}
		tasks += e.Tasks[i]
		joules += tables[i].Joules[j]
	}
	if tasks != total {
		t.Fatalf("tasks add up to %d, want %d", tasks, total)
	}
	if math.Abs(joules-e.Joules) > 1e-9*joules {
		t.Fatalf("energy adds up to %v, the allocation says %v", joules, e.Joules)
	}
	if e.Lower > e.Joules {
		t.Fatalf("lower bound %v is above %v", e.Lower, e.Joules)
	}
}

// On convex tables the two exact solvers are two proofs of one number.
func TestExactAgreesWithConvex(t *testing.T) {
	clients, _ := fleet(300, 3)
	for i := range clients {
		for s := range clients[i].Curve.Segments {
			clients[i].Curve.Segments[s].Joules = grid(clients[i].Curve.Segments[s].Joules)
		}
	}
	const total = 300 * 50
	a, err := SolveConvex(clients, total)
	if err != nil {
		t.Fatal(err)
	}
	tables := make([]costcurve.Table, len(clients))
	for i, c := range clients {
		tables[i] = c.Curve.Table(int32(c.Min), int32(c.Max), false)
	}
	e, err := SolveExact(tables, total, Effort{})
	if err != nil {
		t.Fatal(err)
	}
	if !e.Proven || e.Joules != a.Joules {
		t.Errorf("exact %v J (proven %v), convex %v J", e.Joules, e.Proven, a.Joules)
	}
}

// Bounds hold, and say so, when effort is short: in every family the optimum lies between
// the lower bound and the energy of the allocation, and what is called proven is the
// optimum. The bound is never below that of the relaxation, which is computed here from
// the tables and the returned price alone.
func TestShortEffortIsBounded(t *testing.T) {
	short := 0
	for name, family := range tableFamilies {
		r := rand.New(rand.NewPCG(9, 9))
		for range 1000 {
			tables := make([]costcurve.Table, 4)
			for i := range tables {
				tables[i] = family(r, 6)
			}
			total := int64(r.IntN(16))
			want, feasible := bruteTables(tables, total)
			got, err := SolveExact(tables, total, Effort{Steps: 1 + r.Int64N(20), States: 1 + r.IntN(4)})
			slack := 0.0
			for _, t := range tables { // sums round by the largest cost
				slack = max(slack, 1e-13*slices.Max(t.Joules))
			}
			switch {
			case err != nil:
				if errors.Is(err, ErrInfeasible) && feasible || !errors.Is(err, ErrInfeasible) && !errors.Is(err, ErrUndecided) {
					t.Fatalf("%s: feasible %v: %v", name, feasible, err)
				}
			case !feasible:
				t.Fatalf("%s: infeasible instance solved: %+v", name, got)
			case got.Lower > want+slack || got.Joules < want-slack || got.Proven && got.Joules != want:
				t.Fatalf("%s: optimum %v outside of %v to %v (proven %v)", name, want, got.Lower, got.Joules, got.Proven)
			case got.Lower < lagrange(tables, total, got.Lambda)-slack:
				t.Fatalf("%s: lower bound %v, the price %v alone proves %v", name, got.Lower, got.Lambda, lagrange(tables, total, got.Lambda))
			default:
				checkOptions(t, tables, total, got)
				short += boolInt(!got.Proven)
			}
		}
	}
	if short < 200 {
		t.Errorf("effort was short on %d instances; the test shows little", short)
	}
}

// lagrange is what a price proves of every allocation of the total.
func lagrange(tables []costcurve.Table, total int64, lambda float64) float64 {
	g := lambda * float64(total)
	for _, t := range tables {
		least := math.Inf(1)
		for j, x := range t.Tasks {
			least = min(least, t.Joules[j]-lambda*float64(x))
		}
		g += least
	}
	return g
}

// family draws the tables of the benchmark: n clients, 60 tasks at the most, the
// energies real numbers.
func familyTables(family string, n int, seed uint64) ([]costcurve.Table, int64) {
	r := rand.New(rand.NewPCG(11, seed))
	tables := make([]costcurve.Table, n)
	for i := range tables {
		a, b := 1+9*r.Float64(), 1+9*r.Float64()
		switch family {
		case "concave":
			tables[i] = dense(60, func(x int) float64 { return a + b*math.Log1p(float64(x)) })
		case "random":
			tables[i] = dense(60, func(int) float64 { return 60 * r.Float64() })
		case "fixed-charge":
			t := costcurve.Table{Tasks: []int32{0}, Joules: []float64{0}}
			for x := int32(5); x <= 60; x++ {
				t.Tasks, t.Joules = append(t.Tasks, x), append(t.Joules, 10*a+b*float64(x))
			}
			tables[i] = t
		case "fixed-charge-convex":
			c := costcurve.XLogX{A: 20 * a, B: b}
			t := costcurve.Table{Tasks: []int32{0}, Joules: []float64{0}}
			for x := int32(5); x <= 60; x++ {
				t.Tasks, t.Joules = append(t.Tasks, x), append(t.Joules, c.At(int64(x)))
			}
			tables[i] = t
		case "modes":
			d := costcurve.Device{Modes: []costcurve.Mode{{Name: "a", ActiveWatts: a, SecondsPerTask: 2}, {Name: "b", ActiveWatts: a * (2 + r.Float64()), SecondsPerTask: 1.3}, {Name: "c", ActiveWatts: a * (4 + 2*r.Float64()), SecondsPerTask: 1}}}
			var err error
			if tables[i], err = d.Table(costcurve.Terms{Deadline: 60, Boundary: costcurve.Total}, 0, 60); err != nil {
				panic(err)
			}
		case "convex":
			c := costcurve.XLogX{A: a, B: b}
			tables[i] = dense(60, func(x int) float64 { return c.At(int64(x)) })
		case "concave-limits":
			tables[i] = dense(20+r.IntN(40), func(x int) float64 { return b * math.Log1p(float64(x)) })
		case "sevens": // whole batches of seven, or a penalty
			tables[i] = dense(60, func(x int) float64 {
				if x%7 != 0 {
					return 1000 + a
				}
				return b * float64(x)
			})
		case "even":
			tables[i] = dense(60, func(int) float64 { return 60 * r.Float64() })
			for j := range tables[i].Tasks {
				tables[i].Tasks[j] *= 2
			}
		case "wide": // options far apart: exchanges too wide for the relaxation
			t := costcurve.Table{Tasks: []int32{0}, Joules: []float64{0}}
			for x := int32(0); len(t.Tasks) < 61; {
				x += 1 + r.Int32N(30_000)
				t.Tasks, t.Joules = append(t.Tasks, x), append(t.Joules, b*math.Sqrt(float64(x)))
			}
			tables[i] = t
		case "alike":
			tables[i] = costcurve.Table{Tasks: []int32{0, 20, 50}, Joules: []float64{0, 7, 8}}
		case "alike-fixed":
			t := costcurve.Table{Tasks: []int32{0}, Joules: []float64{0}}
			for x := int32(5); x <= 60; x++ {
				t.Tasks, t.Joules = append(t.Tasks, x), append(t.Joules, 10+float64(x))
			}
			tables[i] = t
		}
	}
	if family == "wide" {
		return tables, int64(n)*300_000 + r.Int64N(1000)
	}
	return tables, int64(n)*17 + 10*r.Int64N(100) + 10 // a multiple of 10: alike clients have no other totals
}

// pilla is his general instance: n = 100, T = 2000, at least 5 tasks a client, half
// of them limited to 2T/n and half to T, costs uniform in (0, T).
func pilla(seed uint64) ([]costcurve.Table, int64) {
	r := rand.New(rand.NewPCG(seed, 12))
	tables := make([]costcurve.Table, 100)
	for i := range tables {
		hi := int32(2000)
		if i%2 == 1 {
			hi = 40
		}
		for x := int32(5); x <= hi; x++ {
			tables[i].Tasks, tables[i].Joules = append(tables[i].Tasks, x), append(tables[i].Joules, 2000*r.Float64())
		}
	}
	return tables, 2000
}

func TestFamiliesAreProven(t *testing.T) {
	for _, family := range []string{"concave", "random", "fixed-charge", "fixed-charge-convex", "modes", "convex", "concave-limits", "sevens", "even", "alike", "alike-fixed"} {
		tables, total := familyTables(family, 2000, 1)
		e, err := SolveExact(tables, total, Effort{})
		if err != nil || !e.Proven {
			t.Errorf("%s: proven %v, %v to %v: %v", family, e.Proven, e.Lower, e.Joules, err)
			continue
		}
		checkOptions(t, tables, total, e)
	}
	tables, total := familyTables("wide", 2000, 1)
	e, err := SolveExact(tables, total, Effort{Steps: 4e6, States: 4 << 20})
	if err != nil || e.Joules-e.Lower > 1e-3*e.Lower {
		t.Fatalf("wide: %v to %v: %v", e.Lower, e.Joules, err)
	}
	checkOptions(t, tables, total, e)

	tables, total = familyTables("even", 2000, 1)
	if _, err := SolveExact(tables, total|1, Effort{}); !errors.Is(err, ErrInfeasible) {
		t.Errorf("an odd total of even options: got %v, want ErrInfeasible", err)
	}
}

func TestExactDoesNotDependOnProcessors(t *testing.T) {
	tables, total := familyTables("fixed-charge", 1000, 1)
	solve := func() string {
		e, err := SolveExact(tables, total, Effort{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(e)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := solve()
	for _, p := range []int{2, 7} {
		runtime.GOMAXPROCS(p)
		if solve() != want {
			t.Errorf("GOMAXPROCS %d gives another result", p)
		}
	}
}

func TestExactRefusesHostileTables(t *testing.T) {
	good := dense(3, func(int) float64 { return 1 })
	for name, bad := range map[string]costcurve.Table{
		"empty":      {},
		"NaN":        {Tasks: []int32{0}, Joules: []float64{math.NaN()}},
		"descending": {Tasks: []int32{1, 0}, Joules: []float64{1, 1}},
		"ragged":     {Tasks: []int32{1, 2}, Joules: []float64{1}},
		"negative":   {Tasks: []int32{-1}, Joules: []float64{1}},
	} {
		if _, err := SolveExact([]costcurve.Table{good, bad}, 2, Effort{}); !errors.Is(err, costcurve.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if e, err := SolveExact(nil, 0, Effort{}); err != nil || !e.Proven || !slices.Equal(e.Tasks, []int64{}) {
		t.Errorf("no clients, no tasks: %+v, %v", e, err)
	}
}

func BenchmarkSolveExact(b *testing.B) {
	for _, family := range []string{"concave", "random", "fixed-charge", "fixed-charge-convex", "modes", "convex", "concave-limits", "sevens", "alike", "alike-fixed", "wide"} {
		b.Run("n=50000/"+family, func(b *testing.B) {
			tables, total := familyTables(family, 50_000, 1)
			var e Exact
			for b.Loop() {
				var err error
				if e, err = SolveExact(tables, total, Effort{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((e.Joules-e.Lower)/e.Lower, "gap")
			b.ReportMetric(float64(e.Steps), "steps")
		})
	}
	b.Run("pilla", func(b *testing.B) {
		tables, total := pilla(1)
		for b.Loop() {
			if e, err := SolveExact(tables, total, Effort{}); err != nil || !e.Proven {
				b.Fatal(e.Proven, err)
			}
		}
	})
}
