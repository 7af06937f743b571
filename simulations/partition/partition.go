// Package partition deals the examples of one data set to simulated clients.
//
// Each function returns one slice of example positions a client, sorted
// ascending. Every example is used exactly once (ByOwner may leave out those of
// small owners), every client gets at least
// the minimum asked for, and the result is a function of the arguments and of
// the stream of rng. Dealing is a property of an experiment: nothing here
// knows pixels, files or models.
//
//	IID            a uniform shuffle, equal sizes
//	Dirichlet      label skew, Dirichlet(alpha)
//	Shards         label skew, k blocks of sorted labels a client
//	ByOwner        the data's own structure, such as the writer of a digit
//	Blocks         the same, with as many whole owners a client
//	QuantitySkew   uniform labels, log-normal sizes
package partition

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// ErrInfeasible marks a demand that no dealing can meet, such as more clients
// than examples.
var ErrInfeasible = errors.New("infeasible partition")

// check refuses what no algorithm below could do.
func check(n, clients, atLeast int) error {
	switch {
	case clients < 1:
		return fmt.Errorf("%w: %d clients, want at least 1", ErrInfeasible, clients)
	case atLeast < 0:
		return fmt.Errorf("%w: a minimum of %d examples a client, want at least 0", ErrInfeasible, atLeast)
	case atLeast > n/clients:
		return fmt.Errorf("%w: %d clients with at least %d examples each need more than the %d there are", ErrInfeasible, clients, atLeast, n)
	}
	return nil
}

// IID deals n examples at random; sizes differ by at most one.
func IID(n, clients int, rng *rand.Rand) ([][]int, error) {
	if err := check(n, clients, 1); err != nil {
		return nil, err
	}
	return cut(rng.Perm(n), equalSizes(n, clients)), nil
}

// Blocks deals whole owners: sorted by number, the first ones to the first client and so
// on, equally many to within one.
func Blocks(owner []int32, clients int) ([][]int, error) {
	each, owners, err := ByOwner(owner, 0)
	if err != nil {
		return nil, err
	}
	if err := check(len(owners), clients, 1); err != nil {
		return nil, err
	}
	out := make([][]int, clients)
	for i := range out {
		for _, examples := range each[i*len(each)/clients : (i+1)*len(each)/clients] {
			out[i] = append(out[i], examples...)
		}
	}
	return sorted(out), nil
}

// QuantitySkew deals n examples at random in unequal amounts: the sizes are
// proportional to exp(sigma * Z) with Z standard normal, independent between
// clients, after each got atLeast. Sigma 0 is IID; at 1 the largest of ten
// clients typically has twenty times as much as the smallest. Rounding is by
// largest remainder.
func QuantitySkew(n, clients int, sigma float64, atLeast int, rng *rand.Rand) ([][]int, error) {
	if err := check(n, clients, atLeast); err != nil {
		return nil, err
	}
	if !(sigma >= 0 && sigma <= 10) {
		return nil, fmt.Errorf("%w: sigma is %v, want 0 to 10", ErrInfeasible, sigma)
	}
	logs := make([]float64, clients)
	for i := range logs {
		logs[i] = sigma * rng.NormFloat64()
	}
	sizes := apportion(n-clients*atLeast, softmax(logs))
	for i := range sizes {
		sizes[i] += atLeast
	}
	return cut(rng.Perm(n), sizes), nil
}

// Shards sorts the examples by label (at random within one), cuts them into
// clients*k equal blocks and deals each client k of them at random. A client
// sees about k labels: a block at the border of two holds both.
//
// McMahan et al., "Communication-efficient learning of deep networks from
// decentralized data", 2017, arXiv:1602.05629, Section 3 (200 blocks of 300
// MNIST digits, k = 2). Block sizes differ by at most one when n is not a
// multiple of clients*k.
func Shards(labels []int32, clients, k int, rng *rand.Rand) ([][]int, error) {
	if k < 1 {
		return nil, fmt.Errorf("%w: %d shards a client, want at least 1", ErrInfeasible, k)
	}
	if err := check(len(labels), clients, k); err != nil {
		return nil, err
	}
	byLabel, err := group(labels, rng)
	if err != nil {
		return nil, err
	}
	blocks := cut(slices.Concat(byLabel...), equalSizes(len(labels), clients*k))
	deal := rng.Perm(len(blocks))
	out := make([][]int, clients)
	for i := range out {
		for _, b := range deal[i*k : (i+1)*k] {
			out[i] = append(out[i], blocks[b]...)
		}
	}
	return sorted(out), nil
}

// ByOwner gives each owner's examples to one client: owner[i] is any number
// that identifies who example i came from. Clients are in ascending order of
// that number, one for each owner with at least atLeast examples; it returns
// their numbers too. Examples of smaller owners are not dealt: unlike all
// other dealings, this one can leave some out.
func ByOwner(owner []int32, atLeast int) (clients [][]int, owners []int32, err error) {
	of := map[int32][]int{}
	for i, o := range owner {
		of[o] = append(of[o], i)
	}
	for o, examples := range of {
		if len(examples) >= atLeast {
			owners = append(owners, o)
		}
	}
	if len(owners) == 0 {
		return nil, nil, fmt.Errorf("%w: none of %d owners has %d examples", ErrInfeasible, len(of), atLeast)
	}
	slices.Sort(owners)
	for _, o := range owners {
		clients = append(clients, of[o])
	}
	return clients, owners, nil
}

// Counts gives, for each client, how many examples of each class it holds.
func Counts(clients [][]int, labels []int32, classes int) [][]int {
	out := make([][]int, len(clients))
	for i, c := range clients {
		out[i] = make([]int, classes)
		for _, e := range c {
			out[i][labels[e]]++
		}
	}
	return out
}

// group lists the examples of each label, 0 to the largest, in random order.
func group(labels []int32, rng *rand.Rand) ([][]int, error) {
	var of [][]int
	for i, l := range labels {
		if l < 0 || l > math.MaxUint16 {
			return nil, fmt.Errorf("%w: example %d has label %d, want 0 to %d", ErrInfeasible, i, l, math.MaxUint16)
		}
		for int(l) >= len(of) {
			of = append(of, nil)
		}
		of[l] = append(of[l], i)
	}
	for _, e := range of {
		rng.Shuffle(len(e), func(i, j int) { e[i], e[j] = e[j], e[i] })
	}
	return of, nil
}

// equalSizes splits n into parts that differ by at most one, larger ones first.
func equalSizes(n, parts int) []int {
	sizes := make([]int, parts)
	for i := range sizes {
		sizes[i] = n / parts
		if i < n%parts {
			sizes[i]++
		}
	}
	return sizes
}

// cut takes consecutive pieces of the given sizes, each a copy, sorted.
func cut(order []int, sizes []int) [][]int {
	out := make([][]int, len(sizes))
	for i, s := range sizes {
		out[i] = slices.Clone(order[:s])
		order = order[s:]
	}
	return sorted(out)
}

func sorted(clients [][]int) [][]int {
	for _, c := range clients {
		slices.Sort(c)
	}
	return clients
}
