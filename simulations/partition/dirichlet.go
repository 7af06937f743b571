package partition

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// DirichletConfig describes label skew. A small Alpha gives each client few
// labels, a large one approaches IID; 0.1 to 1 is usual.
type DirichletConfig struct {
	Clients  int
	Alpha    float64
	Min      int  // examples that every client has at the least
	Balanced bool // all clients have the same number of examples, within one
}

// Dirichlet deals examples with label skew.
//
// Unbalanced (Yurochkin et al., "Bayesian nonparametric federated learning of
// neural networks", 2019, arXiv:1905.12022; the "noniid-labeldir" of Li et al.,
// arXiv:2102.02079): for each class, draw shares p ~ Dirichlet(Alpha, ...,
// Alpha) over the clients and cut the shuffled examples of the class at the
// rounded-down cumulative shares. Sizes differ as well as labels. The authors
// redraw everything until all clients have ten examples, which may never end;
// here, while a client has fewer than Min, it gets a random example of the
// client with the most (the first of several).
//
// Balanced (after Hsu, Qi, Brown, "Measuring the effects of non-identical data
// distribution", 2019, arXiv:1909.06335): each client draws class shares
// q ~ Dirichlet(Alpha*K*prior), prior the class frequencies and K the number of
// classes that occur. Then the clients take one example each in turn, of a
// class drawn from their q, until all have their equal size. A class that has
// run out is left out and q renormalised. Taking turns spreads the leftovers
// over all clients; one client after the other would leave them to the last.
// The paper's concentration is K times the Alpha here, which therefore means
// the same as above when the classes are equally large.
//
// Only the logarithm, the exponential and the normal variates of the standard
// library are used. They may differ in the last bit between processor
// architectures, which moves a cut with a chance of about 1e-12 each.
func Dirichlet(labels []int32, c DirichletConfig, rng *rand.Rand) ([][]int, error) {
	if err := check(len(labels), c.Clients, c.Min); err != nil {
		return nil, err
	}
	if c.Balanced && c.Clients > len(labels) {
		return nil, fmt.Errorf("%w: %d clients, but %d examples", ErrInfeasible, c.Clients, len(labels))
	}
	// Below 1e-4 all is one client's or one class's already.
	if !(c.Alpha >= 1e-4 && c.Alpha <= 1e6) {
		return nil, fmt.Errorf("%w: alpha is %v, want 0.0001 to 1000000", ErrInfeasible, c.Alpha)
	}
	byLabel, err := group(labels, rng)
	if err != nil {
		return nil, err
	}
	if c.Balanced {
		return sorted(dealBalanced(byLabel, equalSizes(len(labels), c.Clients), c.Alpha, rng)), nil
	}
	out := make([][]int, c.Clients)
	for _, examples := range byLabel {
		if len(examples) == 0 {
			continue
		}
		p := softmax(logDirichlet(slices.Repeat([]float64{c.Alpha}, c.Clients), rng))
		sum, from := 0.0, 0
		for i := range out {
			to := len(examples)
			if sum += p[i]; i < len(out)-1 {
				to = max(from, min(to, int(sum*float64(len(examples)))))
			}
			out[i] = append(out[i], examples[from:to]...)
			from = to
		}
	}
	raise(out, c.Min, rng)
	return sorted(out), nil
}

// raise moves random examples from the largest clients to those below atLeast.
// It ends: check has made sure that the mean is at least atLeast.
func raise(clients [][]int, atLeast int, rng *rand.Rand) {
	for i := range clients {
		for len(clients[i]) < atLeast {
			most := 0
			for j := range clients {
				if len(clients[j]) > len(clients[most]) {
					most = j
				}
			}
			from := clients[most]
			k, last := rng.IntN(len(from)), len(from)-1
			clients[i] = append(clients[i], from[k])
			from[k] = from[last]
			clients[most] = from[:last]
		}
	}
}

func dealBalanced(byLabel [][]int, sizes []int, alpha float64, rng *rand.Rand) [][]int {
	total, occurring := 0, 0
	for _, e := range byLabel {
		total += len(e)
		if len(e) > 0 {
			occurring++
		}
	}
	concentration := make([]float64, len(byLabel))
	for l, e := range byLabel {
		concentration[l] = alpha * float64(occurring) * float64(len(e)) / float64(total)
	}
	out := make([][]int, len(sizes))
	q := make([][]float64, len(sizes))
	for i := range q {
		q[i] = logDirichlet(concentration, rng)
	}
	for k := range sizes[0] { // the largest size
		for i := range out {
			if k >= sizes[i] {
				break
			}
			l := draw(q[i], byLabel, rng)
			last := len(byLabel[l]) - 1
			out[i] = append(out[i], byLabel[l][last])
			byLabel[l] = byLabel[l][:last]
		}
	}
	return out
}

// draw picks a class that has examples left, with probability in proportion
// to exp(logs). Logarithms, so that shares too small for a float64 still have
// their ratios when the large ones have run out.
func draw(logs []float64, byLabel [][]int, rng *rand.Rand) int {
	most := math.Inf(-1)
	for l, e := range byLabel {
		if len(e) > 0 {
			most = max(most, logs[l])
		}
	}
	weight := func(l int) float64 {
		if len(byLabel[l]) == 0 {
			return 0
		}
		return math.Exp(logs[l] - most)
	}
	sum := 0.0
	for l := range logs {
		sum += weight(l)
	}
	x, chosen := rng.Float64()*sum, -1
	for l := range logs {
		w := weight(l)
		if w == 0 {
			continue
		}
		chosen = l // the last one, should rounding leave x at 0 or above
		if x -= w; x < 0 {
			break
		}
	}
	return chosen
}

// logDirichlet draws the logarithms of Dirichlet shares, but for a common
// constant. A concentration of 0 has share 0.
func logDirichlet(concentration []float64, rng *rand.Rand) []float64 {
	logs := make([]float64, len(concentration))
	for i, a := range concentration {
		logs[i] = math.Inf(-1)
		if a > 0 {
			logs[i] = logGamma(a, rng)
		}
	}
	return logs
}

// logGamma draws the logarithm of a Gamma(a, 1) variate: Marsaglia and Tsang,
// "A simple method for generating gamma variables", ACM TOMS 26(3), 2000, with
// their boost G(a) = G(a+1) * U^(1/a). The logarithm because at a = 0.01 most
// variates are too small for a float64, and shares need only their ratios.
func logGamma(a float64, rng *rand.Rand) float64 {
	d := a + 1 - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		t := 1 + float64(c*x)
		if t <= 0 {
			continue
		}
		v := t * t * t
		u := 1 - rng.Float64() // in (0, 1]
		if math.Log(u) < float64(x*x)/2+d-float64(d*v)+float64(d*math.Log(v)) {
			boost := math.Log(1-rng.Float64()) / a
			return math.Log(d) + math.Log(v) + boost
		}
	}
}

// softmax turns logarithms into shares that sum to 1.
func softmax(logs []float64) []float64 {
	most := slices.Max(logs)
	p, sum := make([]float64, len(logs)), 0.0
	for i, l := range logs {
		p[i] = math.Exp(l - most)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// apportion splits n by the shares p, by largest remainder; ties go to the
// first.
func apportion(n int, p []float64) []int {
	sizes, left := make([]int, len(p)), n
	rest := make([]float64, len(p))
	order := make([]int, len(p))
	for i, share := range p {
		exact := share * float64(n)
		sizes[i] = min(int(exact), left)
		left -= sizes[i]
		rest[i], order[i] = exact-float64(sizes[i]), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rest[b], rest[a]) })
	for k := range left {
		sizes[order[k%len(order)]]++
	}
	return sizes
}
