package isolate

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// MaxGroups bounds the groups of one round: more of them find a culprit hardly faster
// and show smaller sums.
const MaxGroups = 8

const maxVoid = 64 // kept: newest first to stay

// Rules are what a run fixes.
type Rules struct {
	Group         int  // g: fewest clients in a group, at least 2
	Organisations int  // fewest organisations in a group
	Culprits      int  // clients that may work together; less than 1 counts as 1
	Private       bool // sums carry noise, so that those over overlapping sets may be opened
}

// Client is one of a round's, with the organisation that it counts for.
type Client struct{ Name, Organisation string }

// State is what is known. The zero value knows nothing. It is a value: methods return
// another.
type State struct {
	Active   bool        `json:"active"`             // rounds run in groups
	Calm     int         `json:"calm,omitempty"`     // rounds in groups that all opened, in a row
	Patience int         `json:"patience,omitempty"` // how many of them end it
	Void     []Void      `json:"void,omitempty"`     // proven, and not explained by an exclusion
	Excluded []Exclusion `json:"excluded,omitempty"`
}

// Void is a group whose sum did not open through the fault of one of its clients.
type Void struct {
	Round   uint64   `json:"round"` // as key holders count
	Set     string   `json:"set"`   // hexadecimal hash of the set that they signed
	Clients []string `json:"clients"`
}

// Exclusion names a client and the void groups that no others explain.
type Exclusion struct {
	Client   string `json:"client"`
	Evidence []Void `json:"evidence"`
}

// Result is how one group of a round ended.
type Result struct {
	Clients []string `json:"clients"`
	Opened  bool     `json:"opened"`
	// Proven says of a group that did not open that a client is to blame: at least t+c
	// key holders answered, so that t honest ones are among them, and no t answers
	// open it.
	Proven bool `json:"proven,omitempty"`
}

// Excludes says whether a client is excluded.
func (s State) Excludes(client string) bool {
	return slices.ContainsFunc(s.Excluded, func(e Exclusion) bool { return e.Client == client })
}

// Stuck says whether so many clients are too few to find the culprit among: no two
// groups fit, and no smaller sum may be opened beside that of all.
func (r Rules) Stuck(clients int) bool {
	return clients < 2*r.Group && (!r.Private || clients <= r.Group)
}

// Split deals a round's clients out to disjoint groups, sorted, each of at least
// Rules.Group clients of Rules.Organisations organisations; clients are sorted by name.
// While nothing is being looked for that is one group of all. Suspects are spread
// evenly, everything else is random. With fewer than two groups' worth of clients it is
// one group of Rules.Group, the rest waits, if the rules allow that, and else of all.
func (s State) Split(r Rules, clients []Client, rng *rand.Rand) [][]string {
	if s.Active {
		const tries = 32
		for k := min(len(clients)/max(r.Group, 1), MaxGroups); k >= 2; k-- {
			for range tries {
				if groups := s.deal(k, clients, rng); r.allow(groups) {
					return names(groups)
				}
			}
		}
		if r.Private && len(clients) > r.Group {
			for range tries {
				if groups := [][]Client{s.draw(r.Group, clients, rng)}; r.allow(groups) {
					return names(groups)
				}
			}
		}
	}
	return names([][]Client{clients})
}

// suspicion orders clients by the void groups that they were in, most first, and at
// random among equals.
func (s State) suspicion(clients []Client, rng *rand.Rand) []Client {
	count := map[string]int{}
	for _, v := range s.Void {
		for _, name := range v.Clients {
			count[name]++
		}
	}
	clients = slices.Clone(clients)
	rng.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	slices.SortStableFunc(clients, func(a, b Client) int { return count[b.Name] - count[a.Name] })
	return clients
}

func (s State) deal(k int, clients []Client, rng *rand.Rand) [][]Client {
	groups := make([][]Client, k)
	for i, c := range s.suspicion(clients, rng) {
		groups[i%k] = append(groups[i%k], c)
	}
	return groups
}

// draw leaves out half of the suspects, or as many as a group's size allows.
func (s State) draw(size int, clients []Client, rng *rand.Rand) []Client {
	order := s.suspicion(clients, rng)
	suspects := len(order)
	if len(s.Void) > 0 {
		suspects = 0
		for _, c := range order {
			if s.inAll(c.Name) {
				suspects++
			}
		}
	}
	out := len(order) - size
	first := min(out, suspects/2)
	// The first suspects go, then clients from the end, who are the least suspect.
	return order[first : len(order)-(out-first)]
}

func (s State) inAll(client string) bool {
	return !slices.ContainsFunc(s.Void, func(v Void) bool { return !slices.Contains(v.Clients, client) })
}

func (r Rules) allow(groups [][]Client) bool {
	for _, g := range groups {
		organisations := map[string]bool{}
		for _, c := range g {
			organisations[c.Organisation] = true
		}
		if len(g) < r.Group || len(organisations) < r.Organisations {
			return false
		}
	}
	return true
}

func names(groups [][]Client) [][]string {
	out := make([][]string, len(groups))
	for i, g := range groups {
		for _, c := range g {
			out[i] = append(out[i], c.Name)
		}
		slices.Sort(out[i])
	}
	slices.SortFunc(out, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// Learn takes the results of a round whose set key holders signed, and returns the new
// state and the clients that it excludes. set is the hash of the signed set.
func (s State) Learn(r Rules, round uint64, set string, results []Result) (State, []Exclusion) {
	s.Void, s.Excluded = slices.Clone(s.Void), slices.Clone(s.Excluded)
	open, unclear := true, false
	for _, g := range results {
		switch {
		case g.Opened:
			continue
		case g.Proven:
			s.Void = append(s.Void, Void{Round: round, Set: set, Clients: g.Clients})
		default:
			unclear = true
		}
		open = false
	}
	s.Void = s.Void[max(0, len(s.Void)-maxVoid):]
	switch {
	case open && !s.Active:
		return s, nil
	case open:
		if s.Calm++; s.Calm >= s.Patience {
			s.Active, s.Calm = false, 0
		}
		return s, nil
	case !s.Active:
		// Who spoils only rounds of one group is waited for twice as long each time.
		s.Active, s.Patience = true, max(2, 2*s.Patience)
	}
	s.Calm = 0
	var named []Exclusion
	for {
		name, ok := culprit(s.Void, max(r.Culprits, 1))
		if !ok {
			break
		}
		e := Exclusion{Client: name}
		s.Void = slices.DeleteFunc(s.Void, func(v Void) bool {
			if slices.Contains(v.Clients, name) {
				e.Evidence = append(e.Evidence, v)
				return true
			}
			return false
		})
		named = append(named, e)
	}
	s.Excluded = append(s.Excluded, named...)
	if len(named) > 0 && len(s.Void) == 0 && !unclear {
		s.Active, s.Patience = false, 0
	}
	return s, named
}
