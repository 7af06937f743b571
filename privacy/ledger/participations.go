package ledger

import (
	"maps"
	"slices"
)

// Participations counts how many charged rounds each client has taken part in: the server's own filter, in a round's way
// before the cohort is drawn. It holds names, so it stays on the server; Spread is what may be published. It is not safe for
// concurrent use. Its JSON form is the exported map, for the server's store.
type Participations struct {
	Limit  int            `json:"limit"` // the contract's max_participations; 0: none
	Rounds map[string]int `json:"rounds"`
}

// NewParticipations starts counting.
func NewParticipations(limit int) *Participations {
	return &Participations{Limit: limit, Rounds: map[string]int{}}
}

// Eligible says whether a client may take part in another round.
func (p *Participations) Eligible(client string) bool {
	return p.Limit == 0 || p.Rounds[client] < p.Limit
}

// Charge counts a round for the clients in its certified set. Call it where Certify is called, void rounds included.
func (p *Participations) Charge(clients []string) {
	if p.Rounds == nil {
		p.Rounds = map[string]int{}
	}
	for _, c := range clients {
		p.Rounds[c]++
	}
}

// Spread is the distribution over clients up to a round, without names.
func (p *Participations) Spread(round int) *Spread {
	bars := map[int]int{}
	for _, n := range p.Rounds {
		bars[n]++
	}
	s := &Spread{Round: round}
	for _, n := range slices.Sorted(maps.Keys(bars)) {
		s.Counts = append(s.Counts, Tally{n, bars[n]})
	}
	return s
}
