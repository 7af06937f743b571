package partition

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sotto-fl/sotto/internal/seed"
)

// dealers are all dealings that use every example, with the minimum that they
// promise.
var dealers = map[string]func(labels []int32, clients, atLeast int, x float64, rng *rand.Rand) ([][]int, error){
	"iid": func(l []int32, n, _ int, _ float64, rng *rand.Rand) ([][]int, error) { return IID(len(l), n, rng) },
	"quantity": func(l []int32, n, atLeast int, x float64, rng *rand.Rand) ([][]int, error) {
		return QuantitySkew(len(l), n, x, atLeast, rng)
	},
	"dirichlet": func(l []int32, n, atLeast int, x float64, rng *rand.Rand) ([][]int, error) {
		return Dirichlet(l, DirichletConfig{Clients: n, Alpha: x + 1e-4, Min: atLeast}, rng)
	},
	"balanced": func(l []int32, n, atLeast int, x float64, rng *rand.Rand) ([][]int, error) {
		return Dirichlet(l, DirichletConfig{Clients: n, Alpha: x + 1e-4, Min: atLeast, Balanced: true}, rng)
	},
	"shards": func(l []int32, n, atLeast int, _ float64, rng *rand.Rand) ([][]int, error) {
		return Shards(l, n, max(atLeast, 1), rng)
	},
}

func TestDealings(t *testing.T) {
	for name, deal := range dealers {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				clients := rapid.IntRange(1, 12).Draw(t, "clients")
				atLeast := rapid.IntRange(1, 4).Draw(t, "min")
				labels := rapid.SliceOfN(rapid.Int32Range(0, 6), clients*atLeast, 200).Draw(t, "labels")
				x := rapid.SampledFrom([]float64{0, 0.01, 0.1, 0.5, 1, 10}).Draw(t, "alpha or sigma")
				root := rapid.Uint64().Draw(t, "seed")
				out, err := deal(labels, clients, atLeast, x, seed.New(root, "partition", 0, ""))
				if err != nil {
					t.Fatal(err)
				}
				if len(out) != clients {
					t.Fatalf("%d clients, want %d", len(out), clients)
				}
				for i, c := range out {
					if !slices.IsSorted(c) {
						t.Fatalf("client %d is not sorted", i)
					}
					if len(c) < atLeast {
						t.Fatalf("client %d has %d examples, want at least %d", i, len(c), atLeast)
					}
				}
				all := slices.Concat(out...)
				slices.Sort(all)
				for i, e := range all {
					if e != i || len(all) != len(labels) {
						t.Fatalf("example %d is not used exactly once", i)
					}
				}
				again, _ := deal(labels, clients, atLeast, x, seed.New(root, "partition", 0, ""))
				if diff := cmp.Diff(out, again); diff != "" {
					t.Fatalf("the same stream dealt differently:\n%s", diff)
				}
			})
		})
	}
}

func TestSizesDifferByOne(t *testing.T) {
	labels := make([]int32, 103)
	for i := range labels {
		labels[i] = int32(i % 10)
	}
	for _, name := range []string{"iid", "balanced"} {
		out, err := dealers[name](labels, 10, 1, 0.3, seed.New(1, "partition", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range out {
			if len(c) != 10 && len(c) != 11 {
				t.Errorf("%s: client %d has %d examples, want 10 or 11", name, i, len(c))
			}
		}
	}
}

func TestInfeasible(t *testing.T) {
	labels := []int32{0, 1, 2, 0, 1, 2}
	rng := seed.New(1, "partition", 0, "")
	dir := func(c DirichletConfig) error { _, err := Dirichlet(labels, c, rng); return err }
	second := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"no clients":            second(IID(6, 0, rng)),
		"negative clients":      second(IID(6, -1, rng)),
		"more clients":          second(IID(6, 7, rng)),
		"no examples":           second(IID(0, 1, rng)),
		"minimum too large":     dir(DirichletConfig{Clients: 2, Alpha: 1, Min: 4}),
		"negative minimum":      dir(DirichletConfig{Clients: 2, Alpha: 1, Min: -1}),
		"alpha 0":               dir(DirichletConfig{Clients: 2}),
		"alpha NaN":             dir(DirichletConfig{Clients: 2, Alpha: math.NaN()}),
		"alpha infinite":        dir(DirichletConfig{Clients: 2, Alpha: math.Inf(1)}),
		"balanced, too many":    dir(DirichletConfig{Clients: 7, Alpha: 1, Balanced: true}),
		"sigma negative":        second(QuantitySkew(6, 2, -1, 0, rng)),
		"sigma NaN":             second(QuantitySkew(6, 2, math.NaN(), 0, rng)),
		"more shards":           second(Shards(labels, 2, 4, rng)),
		"no shards":             second(Shards(labels, 2, 0, rng)),
		"a negative label":      second(Shards([]int32{0, -1}, 1, 1, rng)),
		"an absurd label":       second(Shards([]int32{0, math.MaxInt32}, 1, 1, rng)),
		"overflowing minimum":   dir(DirichletConfig{Clients: 2, Alpha: 1, Min: math.MaxInt}),
		"overflowing shard sum": second(Shards(labels, 2, math.MaxInt, rng)),
	} {
		if !errors.Is(err, ErrInfeasible) {
			t.Errorf("%s: got %v, want ErrInfeasible", name, err)
		}
	}
}

func TestShards(t *testing.T) {
	labels := make([]int32, 1000)
	for i := range labels {
		labels[i] = int32(i % 10)
	}
	out, err := Shards(labels, 50, 2, seed.New(1, "partition", 0, ""))
	if err != nil {
		t.Fatal(err)
	}
	pure := true
	for i, counts := range Counts(out, labels, 10) {
		held := 0
		for _, n := range counts {
			if n%10 != 0 {
				t.Errorf("client %d holds %v, want blocks of ten", i, counts)
			}
			if n > 0 {
				held++
			}
		}
		if held > 2 {
			t.Errorf("client %d holds %d labels, want at most 2", i, held)
		}
		pure = pure && held == 1
	}
	if pure {
		t.Error("no client holds two labels: blocks were not dealt at random")
	}
}

func TestByOwner(t *testing.T) {
	owner := []int32{7, -1, 7, 3, 7, -1}
	clients, owners, err := ByOwner(owner, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int32{-1, 3, 7}, owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{1, 5}, {3}, {0, 2, 4}}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	clients, owners, err = ByOwner(owner, 3)
	if err != nil || len(clients) != 1 || owners[0] != 7 {
		t.Errorf("with a minimum of 3: %v, %v, %v", clients, owners, err)
	}
	if _, _, err := ByOwner(owner, 4); !errors.Is(err, ErrInfeasible) {
		t.Errorf("with a minimum of 4: %v", err)
	}
	if _, _, err := ByOwner(nil, 0); !errors.Is(err, ErrInfeasible) {
		t.Errorf("without examples: %v", err)
	}
}
