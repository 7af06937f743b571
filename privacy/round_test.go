package privacy

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// One round of distributed DP-SGD from the owners' gradients to the server's: the opened sum, rotated back and
// divided by q*n, is the clipped gradient plus noise of the planned scale in every coordinate.
func TestRoundOfDistributedDPSGD(t *testing.T) {
	const round = 7
	c := examples()
	d, err := c.Derive()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := c.Hash()
	if err != nil {
		t.Fatal(err)
	}
	share, err := d.Sampler()
	if err != nil {
		t.Fatal(err)
	}
	rotation := privatise.NewRotation(d.Parameters, RotationSeed(hash, round))
	rng := rand.New(rand.NewPCG(1, 1))
	opened, want := make([]int64, d.Fields), make([]float64, d.Parameters)
	var batch []int32
	drawn := 0
	for owner := range c.MaxCohort {
		secret := noise.Seed{byte(owner)} // from crypto/rand in a deployment
		records := c.Records / c.MaxCohort
		limit := BatchCap(records, c.SamplingRate)
		if batch, err = privatise.DrawBatch(batch[:0], records, c.SamplingRate, limit, secret, round); err != nil {
			t.Fatal(err)
		}
		drawn += len(batch)
		sum := make([]float64, d.Parameters)
		for range batch { // a clipped gradient each
			for range 5 {
				sum[rng.IntN(len(sum))] += c.Clip / math.Sqrt(5) * float64(1-2*rng.IntN(2))
			}
		}
		encoder, err := privatise.NewEncoder(rotation, d.Grid, share)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]int32, d.Fields)
		if err := encoder.Sum(values, sum, c.Clip, d.Clamp(records), noise.NewDRBG(secret.Derive("share", round))); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			opened[i] += int64(v)
		}
		for i, v := range sum {
			want[i] += v / c.Divisor()
		}
	}
	if drawn < 850 || drawn > 1200 {
		t.Errorf("%d records drawn, want about 1024", drawn)
	}
	for i, v := range opened {
		if v >= 1<<(d.Width-1) || v < -1<<(d.Width-1) {
			t.Fatalf("field %d of the sum is %d, more than %d bits", i, v, d.Width)
		}
	}
	decoder, err := privatise.NewDecoder(rotation, d.Grid)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, d.Parameters)
	if err := decoder.Decode(got, opened, c.Clip, c.Divisor()); err != nil {
		t.Fatal(err)
	}
	// All ten arrived: ten shares, of which six are charged.
	sigma := math.Sqrt(float64(c.MaxCohort)*float64(d.ShareVariance)) * c.Clip / float64(d.Grid) / c.Divisor()
	if floor := c.Noise * c.Clip / c.Divisor(); sigma < 1.29*floor || sigma > 1.31*floor {
		t.Errorf("noise %.3g, want 1.29 to 1.31 times %.3g", sigma, floor)
	}
	variance := 0.0
	for i := range got {
		z := (got[i] - want[i]) / sigma
		variance += z * z / float64(len(got))
	}
	if z := (variance - 1) * math.Sqrt(float64(len(got))/2); math.Abs(z) > 5.3 {
		t.Errorf("noise has %.4f of its planned variance, %.1f standard deviations off", variance, z)
	}
}

// Lane A with an adaptive clip norm: the mean update and the share of clients within the clip norm come out of one sum.
func TestRoundOfClients(t *testing.T) {
	c := valid()["adaptive"]
	d, err := c.Derive()
	if err != nil {
		t.Fatal(err)
	}
	share, err := d.Sampler()
	if err != nil {
		t.Fatal(err)
	}
	rotation := privatise.NewRotation(d.Parameters, [32]byte{3})
	encoder, err := privatise.NewEncoder(rotation, d.Grid, share)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	opened, update := make([]int64, d.Fields), make([]float32, d.Parameters)
	values := make([]int32, d.Fields)
	within, direction := 0, make([]float64, d.Parameters)
	for i := range direction {
		direction[i] = rng.NormFloat64() / math.Sqrt(float64(d.Parameters))
	}
	for client := range c.MaxCohort {
		norm := c.Clip * (0.5 + rng.Float64())
		for i, x := range direction {
			update[i] = float32(norm * x)
		}
		rng := noise.NewDRBG(noise.Seed{byte(client), byte(client >> 8)})
		out, err := encoder.Update(values[:rotation.Fields()], update, c.Clip, d.Clamp(0), rng)
		if err != nil {
			t.Fatal(err)
		}
		values[rotation.Fields()] = encoder.Bit(out, d.BitHeight, rng)
		if !out.Clipped {
			within++
		}
		for i, v := range values {
			opened[i] += int64(v)
		}
	}
	decoder, err := privatise.NewDecoder(rotation, d.Grid)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, d.Parameters)
	if err := decoder.Decode(got, opened[:rotation.Fields()], c.Clip, c.Divisor()); err != nil {
		t.Fatal(err)
	}
	along := 0.0
	for i, x := range direction {
		along += got[i] * x
	}
	// Norms are 0.5 to 1 C for one half and C for the other.
	if along < 0.8*c.Clip || along > 0.95*c.Clip {
		t.Errorf("mean update has length %.3f C along its direction, want about 0.875", along/c.Clip)
	}
	// The bits have noise of 25 on 500 by the charged shares, more by all.
	bits := float64(opened[rotation.Fields()])/(2*float64(d.BitHeight)) + float64(c.MaxCohort)/2
	if math.Abs(bits-float64(within)) > 5.3*c.Adaptive.BitNoise*math.Sqrt(500.0/317) {
		t.Errorf("%.1f clients within the clip norm by the noisy bits, %d in truth", bits, within)
	}
	next, err := privatise.NextClip(c.Clip, opened[rotation.Fields()], d.BitHeight, c.Divisor(), c.Adaptive.Quantile, c.Adaptive.Rate)
	if err != nil || next < c.Clip*0.9 || next > c.Clip*1.1 {
		t.Errorf("next clip norm %g, %v", next, err)
	}
}
