// Package audit runs an owner's part of a private round, step by step, and holds what comes out against the
// contract: the conformance suite that a build has to pass, and the gate of the one-run audit.
//
// A [Build] is the pipeline with its steps as functions. [New] takes the steps that the platform takes; a
// test replaces one to plant a bug. The suite sees inside: it knows secrets, and repeats rounds
// with the same ones. It is a test of the code that is linked, on synthetic data, not of a running deployment;
// docs/privacy.md, "Audits", says what each check cannot see. Everything is a function of the build.
package audit

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// Records is what every owner of the suite holds, and microBatch what a trainer adds up in float32.
const (
	Records    = 600
	microBatch = 16
	classes    = 10
	side       = 28
)

// Step is one owner's encoding of one round's sum.
type Step struct {
	Contract privacy.Contract
	Derived  privacy.Derived
	Rotation *privatise.Rotation
	Share    privatise.Sampler
	Records  int // that the owner declared
	Batch    int // that are in the sum
}

// Message is what leaves an owner: the accounted vector, and whatever else depends on data.
type Message struct {
	Values []int32
	Clear  []float64
}

// Build is a pipeline. Its functions are deterministic. It is not safe for concurrent use.
type Build struct {
	// Derive computes the integers of a contract.
	Derive func(privacy.Contract) (privacy.Derived, error)
	// Secret is the i-th owner's master secret.
	Secret func(owner int) noise.Seed
	// Coins draws a round's batch from n records.
	Coins func(n int, q float64, secret noise.Seed, round int) ([]int32, error)
	// Clipped fills sum with the clipped gradients of the records at batch.
	Clipped func(batch []int32, clip float64, sum []float64) error
	// Generator is that of an owner's dither and noise share for an attempt of a round.
	Generator func(secret noise.Seed, round, attempt int) *noise.DRBG
	// Sampler draws noise shares.
	Sampler func(privacy.Derived) (privatise.Sampler, error)
	// Encode makes the integers of a sum; with rounding record, of the one record whose gradient it is.
	Encode func(dst []int32, sum []float64, s Step, rng *noise.DRBG) error
	// Client makes the integers of one client's update under unit client, nil for one that takes no part.
	Client func(dst []int32, update []float32, s Step, rng *noise.DRBG) error
	// Send is what leaves.
	Send func(values []int32, sum []float64, batch []int32) Message
	// Open turns the sum of so many survivors' vectors into a step of the model.
	Open func(dst []float64, opened []int64, s Step, survivors int) error
}

// New is the platform's own build, with owners' secrets derived from root.
func New(root noise.Seed) (*Build, error) {
	t, err := newTraining()
	if err != nil {
		return nil, err
	}
	return &Build{
		Derive: privacy.Contract.Derive,
		Secret: func(owner int) noise.Seed { return root.Derive("owner", owner) },
		Coins: func(n int, q float64, secret noise.Seed, round int) ([]int32, error) {
			return privatise.DrawBatch(nil, n, q, privacy.BatchCap(n, q), secret, round)
		},
		Clipped: t.clipped,
		Generator: func(secret noise.Seed, round, _ int) *noise.DRBG {
			model := statement.New("model").Int(round).Hash()
			return noise.NewDRBG(secret.Derive("share/"+hex.EncodeToString(model[:]), round))
		},
		Sampler: privacy.Derived.Sampler,
		Encode:  encode,
		Client:  client,
		Send:    func(values []int32, _ []float64, _ []int32) Message { return Message{Values: values} },
		Open: func(dst []float64, opened []int64, s Step, _ int) error {
			decoder, err := privatise.NewDecoder(s.Rotation, s.Derived.Grid)
			if err != nil {
				return err
			}
			return decoder.Decode(dst, opened, s.Contract.Clip, s.Contract.Divisor())
		},
	}, nil
}

func encode(dst []int32, sum []float64, s Step, rng *noise.DRBG) error {
	e, err := privatise.NewEncoder(s.Rotation, s.Derived.Grid, s.Share)
	if err != nil {
		return err
	}
	clamp := s.Derived.Clamp(s.Records)
	if s.Contract.Rounding == privacy.RoundSum {
		return e.Sum(dst, sum, s.Contract.Clip, clamp, rng)
	}
	gradient := make([]float32, len(sum))
	for i, v := range sum {
		gradient[i] = float32(v)
	}
	fields, scratch := make([]int64, len(dst)), make([]int32, len(dst))
	if _, err := e.Record(fields, scratch, gradient, s.Contract.Clip, rng); err != nil {
		return err
	}
	return e.Finish(dst, fields, clamp, rng)
}

// training is the real trainer on synthetic images: most are dim, with gradients far below the clip norm; every
// tenth is bright and labelled against the others, with one far above.
type training struct {
	trainer *train.Trainer
	set     *dataset.Set
	params  []float32
}

func newTraining() (*training, error) {
	names := make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	cfg := train.Config{
		Architecture: nn.Architecture{
			Name: "linear", Input: nn.Shape{C: 1, H: side, W: side},
			Layers: []nn.Layer{{Kind: "flatten"}, {Kind: "dense", Out: classes}},
		},
		Classes: names, Optimizer: optim.Config{Name: optim.SGD, LR: 0.1}, Batch: microBatch, Epochs: 1,
	}
	trainer, err := train.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("trainer of the audit: %w", err)
	}
	const size = side * side
	pixels, labels := make([]uint8, Records*size), make([]int32, Records)
	for i := range Records {
		brightness := uint8(2)
		if i%10 == 9 {
			brightness, labels[i] = 255, 1
		}
		for j := range size {
			pixels[i*size+j] = brightness
		}
	}
	set, err := dataset.New(dataset.Shape{C: 1, H: side, W: side}, pixels, labels, names)
	if err != nil {
		return nil, fmt.Errorf("data of the audit: %w", err)
	}
	return &training{trainer, set, make([]float32, size*classes+classes)}, nil
}

func (t *training) clipped(batch []int32, clip float64, sum []float64) error {
	return t.trainer.Clipped(context.Background(), t.params, t.set, batch, clip, nil, sum)
}
