package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/privacy/accountant"
)

// mechanism is what one step releases, as -mechanism has it: KIND, KIND:FIELD=VALUE,... or an event of the ledger.
type mechanism struct {
	kind   string
	fields map[string]any
	event  accountant.Event // where it was given whole
}

func parseMechanism(text string) (mechanism, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		e, err := accountant.Parse([]byte(text))
		if err != nil {
			return mechanism{}, fmt.Errorf("-mechanism: %w", err)
		}
		return mechanism{event: e}, nil
	}
	kind, rest, _ := strings.Cut(text, ":")
	names, err := accountant.Fields(kind)
	if err != nil {
		return mechanism{}, fmt.Errorf("-mechanism: %w", err)
	}
	m := mechanism{kind: kind, fields: map[string]any{}}
	for _, f := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' }) {
		name, value, ok := strings.Cut(f, "=")
		switch {
		case !ok || !slices.Contains(names, name) || name == "event" || name == "events":
			return mechanism{}, config.Usagef("-mechanism: got %.40q, want a field of %s as NAME=NUMBER, of %s", f, kind, strings.Join(names, ", "))
		case m.fields[name] != nil:
			return mechanism{}, config.Usagef("-mechanism: %s is there twice", name)
		case name == "coefficients":
			var list []float64
			for v := range strings.SplitSeq(value, "/") {
				c, err := strconv.ParseFloat(v, 64)
				if err != nil {
					return mechanism{}, config.Usagef("-mechanism: coefficients: got %.20q, want numbers with / between", v)
				}
				list = append(list, c)
			}
			m.fields[name] = list
		default:
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return mechanism{}, config.Usagef("-mechanism: %s: got %.20q, want a finite number", name, value)
			}
			m.fields[name] = v
		}
	}
	return m, nil
}

// noisy says whether the noise multiplier is left to -noise-multiplier or -target-epsilon.
func (m mechanism) noisy() bool { return m.lacks("noise_multiplier") || m.kind == "fixed-size" }

// lacks says whether a field of this kind was not given.
func (m mechanism) lacks(field string) bool {
	names, err := accountant.Fields(m.kind)
	return err == nil && slices.Contains(names, field) && m.fields[field] == nil
}

// step is the event at a noise multiplier. Fields that flags stand for are taken from them: q of a truncated sample, steps of a tree or a matrix.
func (m mechanism) step(z, q float64, steps int64) (accountant.Event, error) {
	if m.event != nil {
		return m.event, nil
	}
	out := map[string]any{"kind": m.kind}
	for name, v := range m.fields {
		out[name] = v
	}
	for name, v := range map[string]any{"noise_multiplier": z, "q": q, "steps": steps} {
		if m.lacks(name) {
			out[name] = v
		}
	}
	if m.kind == "fixed-size" {
		out["event"] = accountant.Gaussian{NoiseMultiplier: z}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("-mechanism: %w", err)
	}
	e, err := accountant.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("-mechanism: %w", err)
	}
	return e, nil
}

// parseOrders reads 1.5,2-64.
func parseOrders(text string) ([]float64, error) {
	if text == "" {
		return nil, nil
	}
	var out []float64
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, err := strconv.ParseFloat(from, 64)
		b := a
		if err == nil && ranged {
			b, err = strconv.ParseFloat(to, 64)
		}
		if err != nil || !(a >= 1 && a <= b && b <= 1<<14) || len(out)+int(b-a) >= 2048 {
			return nil, config.Usagef("-orders: got %.40q, want numbers from 1 to 16384 or ranges like 2-64, 2048 in all", part)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	return out, nil
}
