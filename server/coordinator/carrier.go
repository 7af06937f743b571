package coordinator

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
)

// carrier is how integers travel from a client to the sum.
type carrier interface {
	// bodySize is the exact number of bytes in a report's body.
	bodySize() int
	// newSum starts the sum of one attempt.
	newSum(a *attempt) (sum, error)
}

// checked is a body that may be added. It refers to the body.
type checked struct {
	client string
	digest [32]byte // of the report: the same report has the same
	body   []byte
	values []int32
	upload *terms.Upload
}

// sum collects the reports of one attempt.
type sum interface {
	// check looks at a body in full and changes nothing. It may run concurrently
	// with everything else. hashes are those of the body's parts, nil if it was not hashed
	// on arrival. Errors wrap ErrMalformed.
	check(client string, order keyshare.Order, body []byte, hashes *terms.Hashes) (checked, error)
	// add takes a checked report; it keeps no reference to the body. The
	// coordinator calls it under its lock.
	add(checked) error
	// open returns the sum over the reports of set, or of those in it that are left,
	// and whose they are. It comes after the last add. An errVoid voids the attempt, any
	// other error ends the run.
	open(ctx context.Context, set []string) (opened, error)
	// close releases what the sum holds outside memory. It may be needed again unless
	// the attempt has ended.
	close(ended bool) error
}

// plain is encryption: none. The server sees every update, and says so in its
// configuration.
type plain struct{ bits, fields int }

func (p plain) bodySize() int { return aggregation.PackedLen(p.fields, p.bits) }

func (p plain) newSum(*attempt) (sum, error) {
	return plainSum{p, aggregation.NewSum(p.fields)}, nil
}

type plainSum struct {
	plain
	sum *aggregation.Sum
}

func (p plainSum) check(client string, _ keyshare.Order, body []byte, _ *terms.Hashes) (checked, error) {
	if len(body) != p.bodySize() {
		return checked{}, fmt.Errorf("report of %s has %d bytes, want %d: %w", client, len(body), p.bodySize(), ErrMalformed)
	}
	values := make([]int32, p.fields)
	if err := aggregation.Unpack(values, body, p.bits); err != nil {
		return checked{}, fmt.Errorf("report of %s: %w: %w", client, ErrMalformed, err)
	}
	return checked{client: client, digest: sha256.Sum256(body), values: values}, nil
}

func (p plainSum) add(c checked) error { return p.sum.Add(c.values) }

func (p plainSum) open(_ context.Context, set []string) (opened, error) {
	if p.sum.Count() != len(set) {
		return opened{}, fmt.Errorf("the sum holds %d reports, the set %d", p.sum.Count(), len(set))
	}
	return opened{values: p.sum.Values(), clients: set}, nil
}

func (p plainSum) close(bool) error { return nil }
