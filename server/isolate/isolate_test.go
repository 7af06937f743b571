package isolate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func cohort(n, organisations int) []Client {
	c := make([]Client, n)
	for i := range c {
		c[i] = Client{fmt.Sprintf("client-%04d", i), fmt.Sprint(i % organisations)}
	}
	return c
}

// world plays rounds against culprits. spoil says whether a group with a culprit in it is
// spoiled this time.
type world struct {
	t        *testing.T
	rules    Rules
	clients  []Client
	culprits map[string]bool
	spoil    func(s State, group []string) bool
	proven   bool
	rng      *rand.Rand

	state   State
	round   uint64
	spoiled int // rounds in which some group did not open
}

func (w *world) play() {
	w.t.Helper()
	w.round++
	present := slices.DeleteFunc(slices.Clone(w.clients), func(c Client) bool { return w.state.Excludes(c.Name) })
	groups := w.state.Split(w.rules, present, w.rng)
	w.check(present, groups)
	var results []Result
	bad := false
	for _, g := range groups {
		r := Result{Clients: g, Opened: true}
		if slices.ContainsFunc(g, func(name string) bool { return w.culprits[name] }) && w.spoil(w.state, g) {
			r.Opened, r.Proven, bad = false, w.proven, true
		}
		results = append(results, r)
	}
	if bad {
		w.spoiled++
	}
	old := len(w.state.Excluded)
	var named []Exclusion
	w.state, named = w.state.Learn(w.rules, w.round, "set", results)
	if len(w.state.Excluded) != old+len(named) {
		w.t.Fatalf("%d exclusions after %d and %d new ones", len(w.state.Excluded), old, len(named))
	}
	for _, e := range named {
		if !w.culprits[e.Client] {
			w.t.Fatalf("honest %s is excluded in round %d on the evidence of %v", e.Client, w.round, e.Evidence)
		}
		if len(e.Evidence) == 0 {
			w.t.Fatalf("%s is excluded without evidence", e.Client)
		}
		for _, v := range e.Evidence {
			if !slices.Contains(v.Clients, e.Client) {
				w.t.Fatalf("evidence %v against %s is of another group", v, e.Client)
			}
		}
	}
}

// check holds groups against the rules: disjoint, none too small, nobody left out but by
// a draw.
func (w *world) check(present []Client, groups [][]string) {
	w.t.Helper()
	organisation, seen := map[string]string{}, map[string]bool{}
	for _, c := range present {
		organisation[c.Name] = c.Organisation
	}
	for _, g := range groups {
		of := map[string]bool{}
		for _, name := range g {
			if seen[name] || organisation[name] == "" {
				w.t.Fatalf("client %s is in two groups, or is none of the round's", name)
			}
			seen[name] = true
			of[organisation[name]] = true
		}
		if len(g) < w.rules.Group || len(of) < w.rules.Organisations || !slices.IsSorted(g) {
			w.t.Fatalf("group %v of %d organisations is too small, or not sorted", g, len(of))
		}
	}
	drawn := len(groups) == 1 && w.state.Active && w.rules.Private && len(present) < 2*w.rules.Group && len(groups[0]) == w.rules.Group
	if len(seen) != len(present) && !drawn {
		w.t.Fatalf("%d of %d clients are in groups %v", len(seen), len(present), groups)
	}
	if !w.state.Active && len(groups) != 1 {
		w.t.Fatalf("%d groups although nothing is looked for", len(groups))
	}
	if len(groups) > MaxGroups {
		w.t.Fatalf("%d groups, want at most %d", len(groups), MaxGroups)
	}
}

func always(State, []string) bool { return true }

// One client that spoils every sum is found within 1 + ceil(log_k n) rounds, whoever it
// is, and nobody else is ever named. The same bound holds for the rounds that a client
// can spoil that does so now and then: at random, or only when that shows least.
func TestOneCulpritIsFound(t *testing.T) {
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g := 2 + rng.IntN(6)
		n := 2*g + rng.IntN(100)
		w := &world{
			t: t, rules: Rules{Group: g, Organisations: 2, Private: rng.IntN(2) == 0}, clients: cohort(n, n),
			proven: true, spoil: always, rng: rng,
		}
		name := w.clients[rng.IntN(n)].Name
		w.culprits = map[string]bool{name: true}
		now, rounds := seed%4, 40
		switch now {
		case 1:
			w.spoil = func(State, []string) bool { return rng.IntN(3) == 0 }
			rounds = 150
		case 2: // only rounds of one group
			w.spoil = func(s State, _ []string) bool { return !s.Active }
			rounds = 150
		case 3: // only when it is one of few suspects
			w.spoil = func(s State, g []string) bool { return !s.Active || len(g) > w.rules.Group }
			rounds = 150
		}
		for range rounds {
			w.play()
		}
		k := float64(min(n/g, MaxGroups))
		bound := 1 + int(math.Ceil(math.Log(float64(n))/math.Log(k)-1e-9))
		if now == 2 { // each time back in one group costs twice the patience
			if w.spoiled > 9 {
				t.Fatalf("seed %d: %d of %d rounds are spoiled, want at most 9", seed, w.spoiled, rounds)
			}
			continue
		}
		if w.spoiled > bound+now2(now) {
			t.Fatalf("seed %d: n=%d g=%d: %d rounds are spoiled, want at most %d", seed, n, g, w.spoiled, bound)
		}
		if now == 0 && (!w.state.Excludes(name) || w.state.Active) {
			t.Fatalf("seed %d: n=%d g=%d: the culprit is not found after %d rounds: %+v", seed, n, g, rounds, w.state)
		}
	}
}

// now2 is what the whole set adds, which tells nothing, when it is spoiled again and
// again.
func now2(kind uint64) int {
	if kind == 0 {
		return 0
	}
	return 8
}

// Organisations of several clients: groups still have enough of them.
func TestOrganisations(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		organisations := 3 + rng.IntN(5)
		n := 12 + rng.IntN(40)
		w := &world{t: t, rules: Rules{Group: 5, Organisations: 3}, clients: cohort(n, organisations), proven: true, spoil: always, rng: rng}
		name := w.clients[rng.IntN(n)].Name
		w.culprits = map[string]bool{name: true}
		for range 30 {
			w.play()
		}
		if !w.state.Excludes(name) {
			t.Fatalf("seed %d: n=%d, %d organisations: the culprit is not found", seed, n, organisations)
		}
	}
}

// Two culprits that work together are found, and frame nobody, if the rules know that
// there may be two.
func TestTwoCulprits(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := 12 + rng.IntN(40)
		w := &world{t: t, rules: Rules{Group: 3, Organisations: 3, Culprits: 2}, clients: cohort(n, n), proven: true, spoil: always, rng: rng}
		if seed%2 == 1 {
			w.spoil = func(State, []string) bool { return rng.IntN(2) == 0 }
		}
		i := rng.IntN(n)
		w.culprits = map[string]bool{w.clients[i].Name: true, w.clients[(i+1+rng.IntN(n-1))%n].Name: true}
		for range 200 {
			w.play()
		}
		if len(w.state.Excluded) != 2 {
			t.Fatalf("seed %d: n=%d: %d culprits are found, want 2; %d rounds were spoiled", seed, n, len(w.state.Excluded), w.spoiled)
		}
	}
}

// Fewer than two groups' worth of clients: with a privacy contract one random group a
// round, and the culprit is found; without, the set stays the same, and the caller is
// told to stop.
func TestFewClients(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		g := 3 + rng.IntN(8)
		n := g + 1 + rng.IntN(g-1)
		w := &world{t: t, rules: Rules{Group: g, Organisations: 2, Private: true}, clients: cohort(n, n), proven: true, spoil: always, rng: rng}
		name := w.clients[rng.IntN(n)].Name
		w.culprits = map[string]bool{name: true}
		for range 200 {
			w.play()
		}
		if !w.state.Excludes(name) || w.spoiled > n+4 { // back in one group, it may spoil that again
			t.Fatalf("seed %d: n=%d g=%d: found %t after %d spoiled rounds", seed, n, g, w.state.Excludes(name), w.spoiled)
		}
	}
	for _, c := range []struct {
		n       int
		private bool
		stuck   bool
	}{{5, true, true}, {5, false, true}, {6, true, false}, {6, false, true}, {9, false, true}, {10, false, false}, {10, true, false}} {
		r := Rules{Group: 5, Organisations: 2, Private: c.private}
		if got := r.Stuck(c.n); got != c.stuck {
			t.Errorf("%+v: stuck is %t", c, got)
		}
		s := State{Active: true}
		if groups := s.Split(r, cohort(c.n, c.n), rand.New(rand.NewPCG(1, 1))); c.stuck && (len(groups) != 1 || len(groups[0]) != c.n) {
			t.Errorf("%+v: groups %v, want one of all", c, groups)
		}
	}
}

// A group that may not have opened through a key holder's fault accuses nobody.
func TestUnclearNamesNobody(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	w := &world{t: t, rules: Rules{Group: 3, Organisations: 3}, clients: cohort(12, 12), spoil: always, rng: rng, culprits: map[string]bool{"client-0003": true}}
	for range 50 {
		w.play()
	}
	if len(w.state.Excluded) > 0 || len(w.state.Void) > 0 || !w.state.Active {
		t.Errorf("%+v, want rounds in groups and nobody named", w.state)
	}
}

// After the last group that did not open, rounds go back to one group.
func TestCalm(t *testing.T) {
	s, _ := State{}.Learn(Rules{Group: 3}, 1, "set", []Result{{Clients: []string{"a", "b", "c"}}})
	for want := range 2 {
		if !s.Active || s.Calm != want {
			t.Fatalf("%+v, want active after %d calm rounds", s, want)
		}
		s, _ = s.Learn(Rules{Group: 3}, 2, "set", []Result{{Clients: []string{"a", "b", "c"}, Opened: true}})
	}
	if s.Active {
		t.Fatalf("%+v, want calm", s)
	}
	if s, _ = s.Learn(Rules{Group: 3}, 5, "set", []Result{{Clients: []string{"a", "b", "c"}}}); !s.Active || s.Patience != 4 {
		t.Errorf("%+v, want twice the patience", s)
	}
}
