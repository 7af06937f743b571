package coordinator

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/sotto-fl/sotto/aggregation"
)

// carrier is how integers travel from a client to the sum.
type carrier interface {
	// bodySize is the exact number of bytes in a report's body.
	bodySize() int
	// check looks at a body in full and changes nothing. It keeps no reference to
	// the body. Errors wrap ErrMalformed.
	check(client string, body []byte) (checked, error)
	// newSum starts the sum of one attempt.
	newSum() sum
}

// checked is a body that may be added.
type checked struct {
	client string
	digest [32]byte // of the body: the same report has the same
	values []int32
}

// sum collects the reports of one attempt. The coordinator calls it under its
// lock, but for open, which comes after the last add.
type sum interface {
	add(checked) error
	// open returns the sum over the reports of set.
	open(ctx context.Context, set []string) ([]int64, error)
}

// plain is encryption: none. The server sees every update, and says so in its
// configuration.
type plain struct{ bits, fields int }

func (p plain) bodySize() int { return aggregation.PackedLen(p.fields, p.bits) }

func (p plain) check(client string, body []byte) (checked, error) {
	if len(body) != p.bodySize() {
		return checked{}, fmt.Errorf("report of %s has %d bytes, want %d: %w", client, len(body), p.bodySize(), ErrMalformed)
	}
	values := make([]int32, p.fields)
	if err := aggregation.Unpack(values, body, p.bits); err != nil {
		return checked{}, fmt.Errorf("report of %s: %w: %w", client, ErrMalformed, err)
	}
	return checked{client: client, digest: sha256.Sum256(body), values: values}, nil
}

func (p plain) newSum() sum { return plainSum{aggregation.NewSum(p.fields)} }

type plainSum struct{ s *aggregation.Sum }

func (p plainSum) add(c checked) error { return p.s.Add(c.values) }

func (p plainSum) open(_ context.Context, set []string) ([]int64, error) {
	if p.s.Count() != len(set) {
		return nil, fmt.Errorf("the sum holds %d reports, the set %d", p.s.Count(), len(set))
	}
	return p.s.Values(), nil
}
