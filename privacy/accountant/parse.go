package accountant

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Parse reads an event that a person wrote: the fields of Encode in any order and spelling, none missing, none unknown.
// Ledgers are read by Decode.
func Parse(b []byte) (Event, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("event: %w: %d bytes, at most %d", ErrInvalid, len(b), MaxEncoded)
	}
	e, err := decode(b, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	canonical, err := Encode(e)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		return nil, fmt.Errorf("event: %w: %w", ErrInvalid, err)
	}
	if err := json.Unmarshal(canonical, &want); err != nil {
		return nil, fmt.Errorf("event: %w: %w", ErrInvalid, err)
	}
	if !reflect.DeepEqual(got, want) {
		return nil, fmt.Errorf("event: %w: fields are missing, unknown or in another case; they would be %.300s", ErrInvalid, canonical)
	}
	return e, nil
}

// Fields returns the names of the fields of the kind of event that name stands for, in canonical order, without "kind".
func Fields(name string) ([]string, error) {
	e, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("event: %w: unknown kind %.40q", ErrInvalid, name)
	}
	t := reflect.TypeOf(e)
	var out []string
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("json"))
	}
	return out, nil
}

// kinds has one of each kind, by name.
var kinds = func() map[string]Event {
	m := map[string]Event{}
	for _, e := range []Event{
		NoOp{}, NonPrivate{}, Gaussian{}, DiscreteGaussian{}, Skellam{}, Concentrated{}, EpsilonDelta{}, Laplace{}, PoissonSampled{},
		TruncatedPoisson{}, FixedSize{}, Tree{}, Matrix{}, Exponential{}, RandomizedResponse{}, Composed{}, SelfComposed{},
	} {
		m[e.kind()] = e
	}
	return m
}()
