package pack

import (
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawFields(t *rapid.T) Fields {
	limbs := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "limbs")
	width := rapid.IntRange(MinWidth, MaxWidth).Draw(t, "width")
	count := rapid.IntRange(1, (64*limbs-1)/width).Draw(t, "count")
	f := Fields{Count: count, Width: width, Limbs: limbs}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	return f
}

// Sums of joined vectors split into the sums of the values, whatever the fields.
func TestSplitOfSumIsSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFields(t)
		n := rapid.IntRange(1, 9).Draw(t, "n")
		d := rapid.IntRange(1, 5*f.Count+3).Draw(t, "d")
		top := min(f.Max()/int64(n), math.MaxInt32)
		pattern := rapid.SampledFrom([]string{"max", "min", "alternating", "random"}).Draw(t, "pattern")

		want := make([]int64, d)
		sum := make([]uint64, f.Coefficients(d)*f.Limbs)
		for range n {
			values := make([]int32, d)
			for i := range values {
				switch {
				case pattern == "max" || pattern == "alternating" && i%2 == 0:
					values[i] = int32(top)
				case pattern == "min" || pattern == "alternating":
					values[i] = int32(-top)
				default:
					values[i] = int32(rapid.Int64Range(-top, top).Draw(t, "v"))
				}
				want[i] += int64(values[i])
			}
			c := make([]uint64, len(sum))
			if err := f.Join(c, values); err != nil {
				t.Fatal(err)
			}
			addLimbs(sum, c, f.Limbs)
		}
		got := make([]int64, d)
		if !f.Split(got, sum) {
			t.Fatal("coefficients not used up")
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func addLimbs(sum, c []uint64, limbs int) {
	for i := 0; i < len(sum); i += limbs {
		carry := uint64(0)
		for l := range limbs {
			s := sum[i+l] + c[i+l]
			over := s < c[i+l]
			sum[i+l] = s + carry
			over = over || sum[i+l] < s
			carry = 0
			if over {
				carry = 1
			}
		}
	}
}

func TestJoinRefusesValuesOutsideTheField(t *testing.T) {
	for _, f := range []Fields{{2, 20, 1}, {3, 13, 1}, {4, 20, 2}, {8, 20, 4}, {1, 31, 1}} {
		for _, at := range []int{0, 1, f.Count - 1, 2 * f.Count} {
			for _, v := range []int64{f.Max() + 1, -f.Max() - 1, math.MaxInt32, math.MinInt32} {
				if v > math.MaxInt32 || v < math.MinInt32 || v <= f.Max() && v >= -f.Max() {
					continue
				}
				values := make([]int32, 2*f.Count+1)
				values[at] = int32(v)
				dst := make([]uint64, f.Coefficients(len(values))*f.Limbs)
				if err := f.Join(dst, values); !errors.Is(err, ErrRange) {
					t.Errorf("%+v: value %d at %d: got %v, want ErrRange", f, v, at, err)
				}
				values[at] = int32(min(f.Max(), math.MaxInt32))
				if err := f.Join(dst, values); err != nil {
					t.Errorf("%+v: largest value: %v", f, err)
				}
			}
		}
	}
}

// A sum one above the field is seen where it leaves the top field.
func TestSplitSeesOverflowOfTopField(t *testing.T) {
	for _, f := range []Fields{{2, 20, 1}, {4, 20, 2}, {8, 20, 4}} {
		values := make([]int32, f.Count)
		values[f.Count-1] = int32(f.Max())
		sum := make([]uint64, f.Limbs)
		one := make([]uint64, f.Limbs)
		if err := f.Join(sum, values); err != nil {
			t.Fatal(err)
		}
		got := make([]int64, f.Count)
		if !f.Split(got, sum) {
			t.Errorf("%+v: sum at the bound is refused", f)
		}
		values[f.Count-1] = 1
		if err := f.Join(one, values); err != nil {
			t.Fatal(err)
		}
		addLimbs(sum, one, f.Limbs)
		if f.Split(got, sum) {
			t.Errorf("%+v: sum one above the bound is not seen, values %v", f, got)
		}
	}
}

func drawCoder(t *rapid.T) (Coder, *big.Int) {
	limbs := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "limbs")
	bits := rapid.IntRange(max(1, min(64, 64*limbs-64)), MaxBits(limbs)).Draw(t, "bits")
	top := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	top.Sub(top, big.NewInt(1+rapid.Int64Range(0, 3).Draw(t, "below")))
	if bits < 4 {
		top.SetInt64(1)
	}
	words := make([]uint64, limbs)
	toWords(words, top)
	c, err := NewCoder(limbs, words)
	if err != nil {
		t.Fatal(err)
	}
	return c, top
}

func toWords(words []uint64, v *big.Int) {
	v = new(big.Int).Set(v)
	for l := range words {
		words[l] = v.Uint64()
		v.Rsh(v, 64)
	}
}

// reference packs with big integers.
func reference(words []uint64, limbs, width int) []byte {
	total := new(big.Int)
	for i := len(words)/limbs - 1; i >= 0; i-- {
		total.Lsh(total, uint(width))
		v := new(big.Int)
		for l := limbs - 1; l >= 0; l-- {
			v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(words[i*limbs+l]))
		}
		total.Or(total, v)
	}
	out := total.FillBytes(make([]byte, (len(words)/limbs*width+7)/8))
	slices.Reverse(out)
	return out
}

func TestCoderAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, top := drawCoder(t)
		n := rapid.IntRange(1, 40).Draw(t, "n")
		words := make([]uint64, n*c.limbs)
		for i := range n {
			v := new(big.Int)
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
			case 1:
				v.Set(top)
			default:
				v.SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "v"))
				v.Mod(v, new(big.Int).Add(top, big.NewInt(1)))
			}
			toWords(words[i*c.limbs:(i+1)*c.limbs], v)
		}
		prefix := []byte{1, 2, 3}
		got := c.Append(slices.Clone(prefix), words)
		if want := append(prefix, reference(words, c.limbs, c.bits)...); !slices.Equal(got, want) {
			t.Fatalf("%d bits:\n got %x\nwant %x", c.bits, got, want)
		}
		got = got[3:]
		if err := c.Check(got, n); err != nil {
			t.Fatal(err)
		}
		back := make([]uint64, len(words))
		c.Decode(back, got)
		if !slices.Equal(back, words) {
			t.Fatal("decoding does not give back the coefficients")
		}
		acc := make([]uint64, len(words))
		for range 2 {
			if err := c.Add(acc, got); err != nil {
				t.Fatal(err)
			}
		}
		addLimbs(words, back, c.limbs)
		if !slices.Equal(acc, words) {
			t.Fatal("adding twice is not the double")
		}
	})
}

// Every byte changed: either refused, with the accumulator untouched, or the one
// encoding of another vector.
func TestCoderIsStrict(t *testing.T) {
	for _, limbs := range []int{1, 2, 4} {
		top := make([]uint64, limbs)
		top[limbs-1] = 1<<45 + 12345
		c, err := NewCoder(limbs, top)
		if err != nil {
			t.Fatal(err)
		}
		const n = 21
		words := make([]uint64, n*limbs)
		for i := range n {
			copy(words[i*limbs:], top)
		}
		body := c.Append(nil, words)
		start := make([]uint64, len(words))
		for i := range start {
			start[i] = uint64(i) * 77
		}
		refused := 0
		for at := range body {
			for bit := range 8 {
				bad := slices.Clone(body)
				bad[at] ^= 1 << bit
				acc := slices.Clone(start)
				err := c.Add(acc, bad)
				if other := c.Check(bad, n); (other == nil) != (err == nil) {
					t.Fatalf("check says %v, add says %v", other, err)
				}
				if err != nil {
					refused++
					if !errors.Is(err, ErrMalformed) || !slices.Equal(acc, start) {
						t.Fatalf("byte %d: error %v, accumulator changed: %v", at, err, !slices.Equal(acc, start))
					}
					continue
				}
				back := make([]uint64, len(words))
				c.Decode(back, bad)
				if !slices.Equal(c.Append(nil, back), bad) {
					t.Fatalf("byte %d: accepted a second encoding", at)
				}
			}
		}
		if refused < 100 {
			t.Errorf("%d limbs: only %d of the changes were refused", limbs, refused)
		}
		for _, bad := range [][]byte{nil, body[:len(body)-1], append(slices.Clone(body), 0)} {
			acc := slices.Clone(start)
			if err := c.Add(acc, bad); !errors.Is(err, ErrLength) || !slices.Equal(acc, start) {
				t.Errorf("%d bytes: %v", len(bad), err)
			}
			if err := c.Check(bad, n); !errors.Is(err, ErrLength) {
				t.Errorf("%d bytes: %v", len(bad), err)
			}
		}
	}
}

func TestSumWidth(t *testing.T) {
	for _, c := range []struct {
		name string
		b    Bound
		want int // 0: refused
	}{
		{"one upload of two bits", Bound{1, 1, 0, 10}, 2},
		{"13 bits, 100 uploads", Bound{100, 1<<12 - 1, 0, 545098}, 20},
		{"at the bound", Bound{1, 1<<19 - 1, 0, 1}, 20},
		{"one above the bound", Bound{1, 1 << 19, 0, 1}, 21},
		{"noise that just fits", Bound{1, 1<<19 - 1 - 92, 10, 545098}, 20},
		{"noise one above", Bound{1, 1<<19 - 92, 10, 545098}, 21},
		// 13 bits of value times 17 bits of sample count, as platforms weight
		// updates: 32 bits are full at 4 nodes, ours say so and take more.
		{"13+17 bits, 3 nodes", Bound{3, 1<<13*1<<17 - 1, 0, 1}, 33},
		{"13+17 bits, 7 nodes", Bound{7, 1<<13*1<<17 - 1, 0, 1}, 34},
		{"13+17 bits, 8 nodes", Bound{8, 1<<13*1<<17 - 1, 0, 1}, 34},
		{"13+17 bits, 10 nodes", Bound{10, 1<<13*1<<17 - 1, 0, 1}, 35},
		{"too wide", Bound{1 << 20, 1 << 30, 0, 1}, 0},
		{"product above 2^64", Bound{math.MaxInt, math.MaxInt64, 0, 1}, 0},
		{"no uploads", Bound{0, 1, 0, 1}, 0},
		{"noise is NaN", Bound{1, 1, math.NaN(), 1}, 0},
		{"noise is infinite", Bound{1, 1, math.Inf(1), 1}, 0},
	} {
		got, err := SumWidth(c.b)
		if got != c.want || (err == nil) != (c.want != 0) || err != nil && !errors.Is(err, ErrRange) {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
	if z := TailFactor(545098); math.Abs(z-9.13) > 0.01 {
		t.Errorf("tail factor of 545,098 values is %g, the comment says 9.13", z)
	}
}

func FuzzCoder(f *testing.F) {
	top := []uint64{1<<46 + 99}
	c, err := NewCoder(1, top)
	if err != nil {
		f.Fatal(err)
	}
	const n = 9
	good := c.Append(nil, make([]uint64, n))
	full := c.Append(nil, slices.Repeat(top, n))
	above := c.Append(nil, slices.Repeat([]uint64{1<<47 - 1}, n))
	for _, b := range [][]byte{good, full, above, good[:len(good)-1], append(slices.Clone(good), 0), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		acc := make([]uint64, n)
		if err := c.Add(acc, body); err != nil {
			if slices.Max(acc) != 0 {
				t.Fatalf("refused bytes changed the sum: %s", hex.EncodeToString(body))
			}
			return
		}
		if got := c.Append(nil, acc); !slices.Equal(got, body) {
			t.Fatalf("accepted a second encoding of %v", acc)
		}
	})
}
