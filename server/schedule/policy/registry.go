package policy

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown: no policy has this name.
var ErrUnknown = errors.New("unknown policy")

var constructors = []func() Policy{
	func() Policy { return &Price{} },
	func() Policy { return &Price{Carbon: true} },
	func() Policy { return &Price{Uniform: true} },
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

// Names lists the policies, ours first.
func Names() []string {
	names := make([]string, len(constructors))
	for i, make := range constructors {
		names[i] = make().Name()
	}
	return names
}

// New returns a fresh policy with its usual settings.
func New(name string) (Policy, error) {
	for _, make := range constructors {
		if p := make(); p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w %q, want one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
}
