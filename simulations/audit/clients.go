package audit

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/audit"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// ClientContract protects clients in lane B, with a clip norm that adapts: coins, vector and bit.
func ClientContract() privacy.Contract {
	return privacy.Contract{
		Unit: privacy.UnitClient, Adjacency: privacy.ZeroOut,
		Clip: 0.5, Mechanism: privacy.DiscreteGaussian, Noise: 1, Grid: 1 << 12, Rounding: privacy.RoundRecord,
		Lane: privacy.LaneB, SamplingRate: 0.5, Rounds: rounds, MaxParticipations: rounds,
		Epsilon: 20, Delta: 1e-2, Colluders: 1, MinCohort: 7, MaxCohort: owners, MinRecords: 100,
		Counts: privacy.CountsPublic, Parameters: parameters,
		Adaptive: privacy.AdaptiveClip{Quantile: 0.5, Rate: 0.2, BitNoise: 1},
	}
}

func client(dst []int32, update []float32, s Step, rng *noise.DRBG) error {
	e, err := privatise.NewEncoder(s.Rotation, s.Derived.Grid, s.Share)
	if err != nil {
		return err
	}
	return e.Client(dst, update, s.Contract.Clip, privatise.MaxClamp, s.Derived.BitHeight, rng)
}

// updates are a client's: far above the clip norm, just within it, in one coordinate alone, of falling signs, not
// finite, and nil for one that takes no part.
func updates() [][]float32 {
	rng := rand.New(rand.NewPCG(7, 7))
	large, small, one, mean, nan := make([]float32, parameters), make([]float32, parameters), make([]float32, parameters), make([]float32, parameters), make([]float32, parameters)
	for i := range large {
		large[i] = float32(rng.NormFloat64() * 5 / math.Sqrt(parameters))
		small[i] = large[i] / 10.5
		mean[i] = -0.01
	}
	one[17] = -3
	nan[5] = float32(math.NaN())
	return [][]float32{large, small, one, mean, nan, nil}
}

// checkClients takes each update away and wants what is sent to move by no more than is charged, with all
// coins and noise the same. The vector and the bit of one that takes no part are those of zero.
func checkClients(b *Build) error {
	r, err := b.open(ClientContract())
	if err != nil {
		return err
	}
	planned, err := r.step.Contract.Derive()
	if err != nil {
		return err
	}
	r.step.Share = silent{}
	var failed []error
	zero, err := r.client(nil, 0, 1)
	if err != nil {
		return err
	}
	for i, u := range updates() {
		v, err := r.client(u, 0, 1)
		if err != nil {
			return err
		}
		failed = append(failed, audit.Distance(fmt.Sprintf("update %d", i), v, zero, planned.Sensitivity))
	}
	return errors.Join(failed...)
}

// checkClientNoise measures the noise of clients who take part and of those who do not.
func checkClientNoise(b *Build) error {
	r, err := b.open(ClientContract())
	if err != nil {
		return err
	}
	planned, err := r.step.Contract.Derive()
	if err != nil {
		return err
	}
	all := updates()
	large, none := all[0], all[len(all)-1]
	var failed []error
	var bits []int64
	for name, u := range map[string][]float32{"a client that takes part": large, "a client that takes no part": none} {
		var one []int64
		for owner := range owners {
			for round := 1; round <= rounds; round++ {
				got, err := r.client(u, owner, round)
				if err != nil {
					return err
				}
				s := r.step
				s.Share = silent{}
				want := make([]int32, len(got))
				if err := client(want, u, s, r.generator(owner, round)); err != nil {
					return err
				}
				for i, v := range got {
					one = append(one, int64(v)-int64(want[i]))
				}
				bits = append(bits, one[len(one)-1])
			}
		}
		failed = append(failed, audit.Variance("noise of "+name, one, float64(planned.ShareVariance)))
	}
	still := 0
	for _, v := range bits {
		if v == bits[0] {
			still++
		}
	}
	if still > len(bits)/10 {
		failed = append(failed, &audit.Failure{Check: "clip bits whose noise is the first one's", Got: float64(still), Top: float64(len(bits) / 10)})
	}
	return errors.Join(failed...)
}

func (r *run) generator(owner, round int) *noise.DRBG {
	return r.Generator(r.Secret(owner), round, 1)
}

// client encodes one client's update.
func (r *run) client(u []float32, owner, round int) ([]int32, error) {
	r.step.Rotation.Reseed(privacy.RotationSeed(r.hash, round))
	dst := make([]int32, r.step.Derived.Fields)
	return dst, r.Client(dst, u, r.step, r.generator(owner, round))
}
