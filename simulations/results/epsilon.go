package results

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sotto-fl/sotto/internal/term"
)

// Epsilon is what a run's whole plan costs one unit against one adversary, at most.
type Epsilon struct {
	Adversary string  `json:"adversary"`
	Lower     float64 `json:"lower"`
	Epsilon   float64 `json:"-"` // certified from above; null in the file where there is none
	Delta     float64 `json:"delta"`
	Promised  bool    `json:"promised"` // by the contract; the others are information
}

// MarshalJSON writes an infinite epsilon as null.
func (e Epsilon) MarshalJSON() ([]byte, error) {
	type plain Epsilon
	p := plain(e)
	if measured(p.Lower) == nil {
		p.Lower = 0
	}
	return json.Marshal(struct {
		plain
		Epsilon *float64 `json:"epsilon"`
	}{p, measured(e.Epsilon)})
}

// writeEpsilons writes a table of guarantees. What the contract does not promise is said
// to be none, whatever its number.
func writeEpsilons(w io.Writer, list []Epsilon) error {
	var rows [][]string
	for _, e := range list {
		text := fmt.Sprintf("at most %.4g at delta %.2g", e.Epsilon, e.Delta)
		if !e.Promised {
			text = fmt.Sprintf("no guarantee (up to %.3g)", e.Epsilon)
		}
		rows = append(rows, []string{e.Adversary, text})
	}
	return term.Table(w, []string{"epsilon against", ""}, rows)
}
