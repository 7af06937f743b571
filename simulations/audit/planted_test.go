package audit

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// everything is a clip norm that clips nothing.
const everything = math.MaxFloat32

// planted are the bugs that the suite has to see, each with the check that does. docs/auditors.md repeats the list.
var planted = []struct {
	name, check string
	plant       func(b *Build)
}{
	{"noise off", "noise", func(b *Build) {
		b.Sampler = func(privacy.Derived) (privatise.Sampler, error) { return silent{}, nil }
	}},
	{"noise of half the scale", "noise", func(b *Build) { scaled(b, big.NewRat(1, 4)) }},
	{"noise of half the variance", "noise", func(b *Build) { scaled(b, big.NewRat(1, 2)) }},
	{"noise of 95 % of the variance", "noise", func(b *Build) { scaled(b, big.NewRat(95, 100)) }},
	{"skellam of mu/2", "skellam noise", func(b *Build) { scaled(b, big.NewRat(1, 2)) }},
	{"noise shared between owners", "noise", func(b *Build) {
		b.Secret = func(int) noise.Seed { return noise.Seed{1} }
	}},
	{"retry with fresh noise", "retry", func(b *Build) {
		b.Generator = func(secret noise.Seed, round, attempt int) *noise.DRBG {
			return noise.NewDRBG(secret.Derive("share", round<<8+attempt))
		}
	}},
	{"generator reused over rounds", "noise", func(b *Build) {
		b.Generator = func(secret noise.Seed, _, _ int) *noise.DRBG { return noise.NewDRBG(secret.Derive("share", 0)) }
	}},
	{"clip skipped", "neighbours", func(b *Build) {
		clipped := b.Clipped
		b.Clipped = func(batch []int32, _ float64, sum []float64) error { return clipped(batch, everything, sum) }
	}},
	{"clip of twice the norm", "neighbours", func(b *Build) {
		clipped := b.Clipped
		b.Clipped = func(batch []int32, clip float64, sum []float64) error { return clipped(batch, 2*clip, sum) }
	}},
	{"clip of a micro-batch's mean, times its size", "neighbours", func(b *Build) { clipMeans(b, everything, true) }},
	{"clip of a micro-batch's mean", "neighbours", func(b *Build) { clipMeans(b, everything, false) }},
	{"noise per micro-batch", "noise", func(b *Build) {
		b.Encode = func(dst []int32, sum []float64, s Step, rng *noise.DRBG) error {
			if err := encode(dst, sum, s, rng); err != nil {
				return err
			}
			extra := make([]int32, len(dst))
			for n := microBatch; n < s.Batch; n += microBatch {
				s.Share.Fill32(extra, rng)
				for i, v := range extra {
					dst[i] += v
				}
			}
			return nil
		}
	}},
	{"client: clip skipped", "clients", func(b *Build) {
		b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
			s.Contract.Clip = 100 // of a norm of 5, and the grid stays
			s.Derived.Grid *= 200
			return client(dst, update, s, rng)
		}
	}},
	{"client: clip of the coordinates", "clients", func(b *Build) { clipCoordinates(b) }},
	{"client: bit not charged", "clients", func(b *Build) {
		b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
			s.Derived.BitHeight *= 4
			return client(dst, update, s, rng)
		}
	}},
	{"client: no noise on the bit", "clients' noise", func(b *Build) {
		b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
			err := client(dst, update, s, rng)
			dst[len(dst)-1] = s.Derived.BitHeight
			return err
		}
	}},
	{"client: no noise of those who take no part", "clients' noise", func(b *Build) {
		b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
			if update == nil {
				clear(dst)
				return nil
			}
			return client(dst, update, s, rng)
		}
	}},
	{"client: less noise of small updates", "clients' noise", func(b *Build) {
		b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
			if update == nil {
				v, err := noise.NewGaussian(big.NewRat(int64(s.Derived.ShareVariance)*9/10, 1))
				if err != nil {
					return err
				}
				s.Share = v
			}
			return client(dst, update, s, rng)
		}
	}},
	{"shuffle in place of poisson", "batches", func(b *Build) { shuffle(b, false) }},
	{"shuffle cut into pieces of random size", "batches", func(b *Build) { shuffle(b, true) }},
	{"wrong q", "batches", func(b *Build) {
		coins := b.Coins
		b.Coins = func(n int, q float64, secret noise.Seed, round int) ([]int32, error) {
			return coins(n, 1.1*q, secret, round)
		}
	}},
	{"coins reused over rounds", "batches", func(b *Build) {
		coins := b.Coins
		b.Coins = func(n int, q float64, secret noise.Seed, _ int) ([]int32, error) { return coins(n, q, secret, 0) }
	}},
	{"divisor of the cohort", "divisor", func(b *Build) {
		open := b.Open
		b.Open = func(dst []float64, opened []int64, s Step, survivors int) error {
			s.Contract.Records = s.Contract.Records / s.Contract.MaxCohort * survivors
			return open(dst, opened, s, survivors)
		}
	}},
	{"un-noised loss", "message", func(b *Build) {
		b.Send = func(values []int32, sum []float64, batch []int32) Message {
			total := 0.0
			for _, v := range sum {
				total += v * v
			}
			return Message{values, []float64{total}}
		}
	}},
	{"un-noised count within the vector", "message", func(b *Build) {
		b.Send = func(values []int32, _ []float64, batch []int32) Message {
			return Message{Values: append(slices.Clone(values), int32(len(batch)))}
		}
	}},
	{"coarse rounded sum", "rounding", func(b *Build) {
		b.Derive = func(c privacy.Contract) (privacy.Derived, error) {
			d, err := c.Derive()
			d.Grid = 1 << 10
			d.Sensitivity = float64(d.Grid) // rounding is not charged
			return d, err
		}
	}},
	{"rounding not charged on a fine grid", "rounding", func(b *Build) {
		b.Derive = func(c privacy.Contract) (privacy.Derived, error) {
			d, err := c.Derive()
			d.Sensitivity = float64(d.Grid)
			return d, err
		}
	}},
	{"secrets of 32 bits", "seeds", func(b *Build) {
		secret := b.Secret
		b.Secret = func(owner int) noise.Seed { return short(secret(owner)) }
	}},
	{"round seeds of 32 bits", "seeds", func(b *Build) {
		b.Generator = func(secret noise.Seed, round, _ int) *noise.DRBG {
			return noise.NewDRBG(short(secret.Derive("share", round)))
		}
	}},
}

// short keeps 32 bits of a seed and hides it behind a hash.
func short(s noise.Seed) noise.Seed {
	return noise.Seed{}.Derive("expand", int(binary.LittleEndian.Uint32(s[:])))
}

// clipMeans clips the mean gradient of each micro-batch, as when the loss is averaged before it is differentiated.
func clipMeans(b *Build, everything float64, rescale bool) {
	clipped := b.Clipped
	b.Clipped = func(batch []int32, clip float64, sum []float64) error {
		clear(sum)
		part := make([]float64, len(sum))
		for n := range slices.Chunk(batch, microBatch) {
			if err := clipped(n, everything, part); err != nil {
				return err
			}
			norm := 0.0
			for _, v := range part {
				norm += v * v
			}
			norm = math.Sqrt(norm) / float64(len(n))
			scale := min(1, clip/norm) / float64(len(n))
			if rescale {
				scale *= float64(len(n))
			}
			for i, v := range part {
				sum[i] += scale * v
			}
		}
		return nil
	}
}

// shuffle deals a permutation of the records, epoch by epoch.
func shuffle(b *Build, random bool) {
	b.Coins = func(n int, q float64, secret noise.Seed, round int) ([]int32, error) {
		per := int(1 / q)
		rng := rand.New(rand.NewPCG(uint64(round/per), uint64(secret[0])))
		order := rng.Perm(n)
		var batch []int32
		for i, v := range order {
			in := i/(n/per) == round%per
			if random {
				in = rng.IntN(per) == round%per // every record is in one batch of the epoch
			}
			if in {
				batch = append(batch, int32(v))
			}
		}
		slices.Sort(batch)
		return batch, nil
	}
}

// clipCoordinates bounds every coordinate of an update by C/sqrt(d) from above only.
func clipCoordinates(b *Build) {
	b.Client = func(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
		v := slices.Clone(update)
		limit := float32(s.Contract.Clip / math.Sqrt(float64(len(v))))
		for i := range v {
			v[i] = min(v[i], limit)
		}
		s.Contract.Clip *= 200
		s.Derived.Grid *= 200
		return client(dst, v, s, rng)
	}
}

// scaled makes shares of another variance than derived.
func scaled(b *Build, factor *big.Rat) {
	b.Sampler = func(d privacy.Derived) (privatise.Sampler, error) {
		v := new(big.Rat).SetInt(new(big.Int).SetUint64(d.ShareVariance))
		v.Mul(v, factor)
		if d.Grid == SkellamContract().Grid {
			return noise.NewSkellam(v)
		}
		return noise.NewGaussian(v)
	}
}
