package serveropt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// stateMagic names the format and its version. After it: the length of the
// rule's name in one byte, the name, the number of parameters in eight bytes,
// then m and v where the rule has them, as float64 bits; then, where an average is
// kept, it and in eight bytes the number of rounds in it; all little-endian.
const stateMagic = "sotto/serveropt/v1\n"

// State returns the state in a form that Restore reads, on any machine.
func (o *Optimizer) State() []byte {
	b := o.stateHeader()
	for _, part := range [][]float64{o.m, o.v, o.a} {
		for _, x := range part {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
	}
	if o.a != nil {
		b = binary.LittleEndian.AppendUint64(b, o.rounds)
	}
	return b
}

// Restore replaces the state by one that State returned for the same rule and
// size of model; rates and betas may differ, as when a run is continued with a
// lower rate. Anything else is refused with [ErrState] and changes nothing.
func (o *Optimizer) Restore(state []byte) error {
	header := o.stateHeader()
	values, rest := len(o.m)+len(o.v)+len(o.a), 0
	if o.a != nil {
		rest = 8
	}
	if want := len(header) + 8*values + rest; len(state) != want {
		return fmt.Errorf("server optimiser state has %d bytes, want %d for %s and %d parameters: %w", len(state), want, o.config.Name, o.size, ErrState)
	}
	if string(state[:len(header)]) != string(header) {
		return fmt.Errorf("server optimiser state was not written by %s for %d parameters in this version: %w", o.config.Name, o.size, ErrState)
	}
	body := state[len(header):]
	read := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:])) }
	for i := range values {
		x := read(i)
		if math.IsNaN(x) || math.IsInf(x, 0) || i >= len(o.m) && i < len(o.m)+len(o.v) && x < 0 {
			return fmt.Errorf("server optimiser state has the value %g at index %d: %w", x, i, ErrState)
		}
	}
	for i := range o.m {
		o.m[i] = read(i)
	}
	for i := range o.v {
		o.v[i] = read(len(o.m) + i)
	}
	for i := range o.a {
		o.a[i] = read(len(o.m) + len(o.v) + i)
	}
	if o.a != nil {
		o.rounds = binary.LittleEndian.Uint64(body[8*values:])
	}
	return nil
}

func (o *Optimizer) stateHeader() []byte {
	b := append([]byte(stateMagic), byte(len(o.config.Name)))
	b = append(b, o.config.Name...)
	return binary.LittleEndian.AppendUint64(b, uint64(o.size))
}
