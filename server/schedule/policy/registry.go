package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnknown: no policy has this name.
var ErrUnknown = errors.New("unknown policy")

var constructors = []func() Policy{
	func() Policy { return &Price{} },
	func() Policy { return &Price{Carbon: true} },
	func() Policy { return &Price{Uniform: true} },
	func() Policy { return &Price{Fair: Fairness} },
	func() Policy { return Random{} },
	func() Policy { return Random{BestMode: true} },
	func() Policy { return FedCS{} },
	func() Policy { return &Oort{} },
	func() Policy { return &Oort{Battery: true} },
	func() Policy { return &AutoFL{} },
	func() Policy { return FedZero{} },
	func() Policy { return OLAR{} },
	func() Policy { return EcoLearn{} },
	func() Policy { return &CAFE{} },
	func() Policy { return Oracle{} },
}

// further are the other combinations of what ours can do.
var further = []func() Policy{
	func() Policy { return &Price{Uniform: true, Carbon: true} },
	func() Policy { return &Price{Uniform: true, Fair: Fairness} },
	func() Policy { return &Price{Carbon: true, Fair: Fairness} },
	func() Policy { return &Price{Uniform: true, Carbon: true, Fair: Fairness} },
}

// Names lists the policies, ours first. New knows combinations of them, too.
func Names() []string {
	names := make([]string, len(constructors))
	for i, make := range constructors {
		names[i] = make().Name()
	}
	return names
}

// Suffixes are what may follow a policy's name, in this order: when its rounds begin,
// and where (see Timed).
func Suffixes() []string { return []string{"+forecast", "+gate", "+place"} }

// Base is a policy's name without what says when and where.
func Base(name string) string {
	base, _, _ := strings.Cut(name, "+")
	return base
}

// New returns a fresh policy with its usual settings: one of Names, or with
// "+forecast" or "+gate" and "+place" after it, as in "price+forecast+place".
func New(name string) (Policy, error) {
	base, err := plain(Base(name))
	if err != nil || Base(name) == name {
		return base, err
	}
	for _, by := range []Timing{AtOnce, Forecast, Online} {
		for _, place := range []bool{false, true} {
			if p := (&Timed{Policy: base, By: by, Place: place}); p.Name() == name && name != base.Name() {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("%w %q: after %s want +forecast or +gate (when), +place (where), or one and then the other", ErrUnknown, name, base.Name())
}

func plain(name string) (Policy, error) {
	for _, make := range slices.Concat(constructors, further) {
		if p := make(); p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w %q, want one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
}
