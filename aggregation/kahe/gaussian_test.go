package kahe

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"testing"
)

// exact returns the probability of each magnitude, from float64 sums: good to 1e-15.
func exact() []float64 {
	p := make([]float64, tail+1)
	total := 0.0
	for x := range p {
		p[x] = math.Exp(-float64(x*x) / (2 * Sigma * Sigma))
		if x > 0 {
			p[x] *= 2
		}
		total += p[x]
	}
	for x := range p {
		p[x] /= total
	}
	return p
}

// The table gives every magnitude its probability: what the scan gives plus its
// share of the residual.
func TestGaussianTable(t *testing.T) {
	g := theGaussian()
	reach := func(i int) float64 { // probability of a magnitude above i by the scan
		if i >= thresholds {
			return 0
		}
		if g.reach[i]>>32 != g.reach[i]&(1<<32-1) {
			t.Fatalf("halves of threshold %d differ", i)
		}
		return math.Ldexp(float64(1<<31-g.reach[i]>>32-g.residuals), -31)
	}
	left := func(i int) float64 {
		if i < 0 {
			return 1
		}
		if i >= tail {
			return 0
		}
		return math.Ldexp(float64(g.left[i][0]), -63)
	}
	weight := math.Ldexp(float64(g.residuals), -31)
	if weight > 0x1p-25 || weight == 0 {
		t.Errorf("residual has probability %g, want at most 2^-25", weight)
	}
	for x, want := range exact() {
		scan := 1 - weight - reach(0)
		if x > 0 {
			scan = reach(x-1) - reach(x)
		}
		got := scan + weight*(left(x-1)-left(x))
		if math.Abs(got-want) > 1e-15 || got < want/2 && x < 50 {
			t.Errorf("magnitude %d: probability %g, want %g", x, got, want)
		}
	}
	if g.left[tail-1][0] == 0 && g.left[tail-1][1] == 0 {
		t.Error("the largest magnitude has no probability")
	}
	// Pinned, so that a platform or an edit cannot change the distribution unseen.
	h := sha256.New()
	binary.Write(h, binary.BigEndian, g.reach)
	binary.Write(h, binary.BigEndian, g.residuals)
	binary.Write(h, binary.BigEndian, g.left)
	const want = "824987e1860b17b3c7677135853b08ddb675db8a51157ac0f3929e6f2a2b7aa7"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("table has the hash %s, want %s", got, want)
	}
}

// Outcomes at every threshold and beside it, in both halves of a word and beside
// residuals, against arithmetic with big integers.
func TestGaussianScan(t *testing.T) {
	g := theGaussian()
	var outcomes []uint32
	for _, r := range g.reach {
		at := uint32(1<<31 - r>>32)
		outcomes = append(outcomes, at-1, at)
	}
	outcomes = append(outcomes, 0, uint32(g.residuals-1), uint32(g.residuals), 1<<31-1)
	queue := make([]byte, 8*16)
	for i := range queue {
		queue[i] = byte(i * 37)
	}
	for _, sign := range []uint32{0, 1 << 31} {
		for offset := range 2 { // the half of the word
			bytes := append([]byte(nil), queue...)
			for range offset {
				bytes = binary.LittleEndian.AppendUint32(bytes, 1<<30)
			}
			for _, o := range outcomes {
				bytes = binary.LittleEndian.AppendUint32(bytes, o|sign)
			}
			got := make([]int32, offset+len(outcomes))
			g.sample(got, replay(append(bytes, make([]byte, 8*16+4*block)...)))
			drawn := 0
			for i, o := range outcomes {
				want := int32(0)
				for _, r := range g.reach {
					if uint64(o) < 1<<31-r>>32 {
						want++
					}
				}
				if uint64(o) < g.residuals {
					want = slowResidual(g, queue[16*(7-drawn):])
					drawn++
				}
				if sign != 0 {
					want = -want
				}
				if got[offset+i] != want {
					t.Errorf("outcome %#x, half %d: got %d, want %d", o|sign, (offset+i)&1, got[offset+i], want)
				}
			}
			if drawn < 2 {
				t.Errorf("only %d outcomes were residuals", drawn)
			}
		}
	}
}

func slowResidual(g *gaussian, bytes []byte) (x int32) {
	v := new(big.Int).SetUint64(binary.LittleEndian.Uint64(bytes) >> 1)
	v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(binary.LittleEndian.Uint64(bytes[8:])))
	for _, l := range g.left {
		limit := new(big.Int).SetUint64(l[0])
		limit.Lsh(limit, 64).Or(limit, new(big.Int).SetUint64(l[1]))
		if v.Cmp(limit) < 0 {
			x++
		}
	}
	return x
}

// fixed is a key stream of given bytes.
type fixed []byte

func (f *fixed) XORKeyStream(dst, _ []byte) { *f = (*f)[copy(dst, *f):] }

func replay(b []byte) *stream { f := fixed(b); return &stream{ctr: &f} }

// Mean, variance and the histogram of 2^22 samples against the exact distribution.
// Each bound is passed by an honest sampler but for 1e-6: 4.9 standard deviations for
// mean and variance; chi-square with k degrees of freedom by Wilson and Hilferty's
// approximation at 4.9. The seed is fixed, so the outcome is too.
func TestGaussianStatistics(t *testing.T) {
	const n, z = 1 << 22, 4.9
	rng, err := newGenerator(source(11))
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]int32, n)
	theGaussian().sample(samples, rng)
	counts := map[int32]float64{}
	var sum, squares, neighbours float64
	for i, x := range samples {
		counts[x]++
		sum += float64(x)
		squares += float64(x) * float64(x)
		if i > 0 {
			neighbours += float64(x) * float64(samples[i-1])
		}
		if x > tail || x < -tail {
			t.Fatalf("sample of %d", x)
		}
	}
	const variance = Sigma * Sigma
	if mean := sum / n; math.Abs(mean) > z*Sigma/math.Sqrt(n) {
		t.Errorf("mean is %g", mean)
	}
	if v := squares / n; math.Abs(v/variance-1) > z*math.Sqrt(2.0/n) {
		t.Errorf("variance is %g, want %g", v, variance)
	}
	if c := neighbours / n; math.Abs(c) > z*variance/math.Sqrt(n) {
		t.Errorf("neighbours have covariance %g", c)
	}
	chi, cells := 0.0, 0
	rest, seen := float64(n), float64(n)
	for x, p := range exact() {
		for _, s := range []int32{1, -1} {
			expected := n * p / 2
			if x == 0 {
				expected = n * p
			}
			if expected < 20 || x == 0 && s < 0 {
				continue
			}
			got := counts[s*int32(x)]
			chi += (got - expected) * (got - expected) / expected
			rest, seen = rest-expected, seen-got
			cells++
		}
	}
	chi += (seen - rest) * (seen - rest) / rest
	k := float64(cells)
	if limit := k * math.Pow(1-2/(9*k)+z*math.Sqrt(2/(9*k)), 3); chi > limit {
		t.Errorf("chi-square over %d cells is %.1f, want at most %.1f", cells, chi, limit)
	}
}
