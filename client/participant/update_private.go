package participant

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// contribute is one client's part of a round under unit client: it trains, divides its
// update by the steps that it made, clips, rotates and rounds it, and adds a share of
// the noise. What it cannot train, for its numbers are no longer finite, counts as
// zero and is sent like any other: an error would say something of the data. In lane B a
// secret coin says whether the client trains at all; one that does not sends zero
// and its share of the noise, so that nobody can tell the coin from the upload, nor the
// number of heads from how much noise there is in the sum.
//
// Roundings and noise are bound to the round's number among the key holders and to
// everything that a server can choose of a round. An attempt that is repeated repeats them;
// whatever differs has noise of its own, so that no two sums of one number differ by
// anything that is not noised. The coin is bound to the number alone.
func (p *Participant) contribute(ctx context.Context, o Order, s *sealed, t *private, global []float32) ([]int32, error) {
	number := int(s.announcement.Round)
	secret := p.secrets.Master.Derive("run/"+o.Run, 0)
	var update []float32 // nil: takes no part
	takes, err := takesPart(t.contract, secret, number)
	if err != nil {
		return nil, err
	}
	if takes {
		update = make([]float32, p.layout.Size())
		if err := p.trainUpdate(ctx, o, number, global, update); err != nil {
			return nil, err
		}
	}
	clip := t.contract.Clip
	if t.contract.Adaptive.Enabled() {
		clip = o.Clip
	}
	t.rotation.Reseed(privacy.RotationSeed(t.hash, o.Round))
	values := make([]int32, t.derived.Fields)
	rng := noise.NewDRBG(secret.Derive(fmt.Sprintf("update/%s/%s/%d/%d", hex.EncodeToString(o.Model[:]), hex.EncodeToString(s.announcement.Task[:]), o.Round, o.Plan.Tasks), number))
	if err := t.encoder.Client(values, update, clip, t.derived.Clamp(p.training.Len()), t.derived.BitHeight, rng); err != nil {
		return nil, fmt.Errorf("encode round %d: %w", o.Round, err)
	}
	return values, nil
}

// takesPart tosses the coin of lane B; in lane A whoever is asked takes part.
func takesPart(c privacy.Contract, secret noise.Seed, number int) (bool, error) {
	if c.Lane != privacy.LaneB {
		return true, nil
	}
	heads, err := privatise.DrawBatch(nil, 1, c.SamplingRate, 1, secret.Derive("takes part", 0), number)
	return len(heads) == 1, err
}

// trainUpdate fills update with what training moved the model by in one of its steps, on the
// average. How many steps an order makes follows from public numbers alone: dividing by
// it makes the clip norm mean the same for every client and amount of work.
func (p *Participant) trainUpdate(ctx context.Context, o Order, number int, global, update []float32) error {
	t, release, err := p.trainers.Borrow(ctx, p.task)
	if err != nil {
		return err
	}
	defer release()
	got, err := t.Run(ctx, global, p.training, nil, train.Work{Round: number, Client: p.name, Epochs: o.Epochs, Steps: int(o.Plan.Tasks), LR: o.LR}, update)
	switch {
	case errors.Is(err, train.ErrDiverged):
		// The encoder makes zero of what is not finite.
		for i := range update {
			update[i] = float32(math.NaN())
		}
		return nil
	case err != nil:
		return fmt.Errorf("train round %d: %w", o.Round, err)
	}
	zerolog.Ctx(ctx).Debug().Int("round", o.Round).Int("steps", got.Steps).Msg("update divided by its steps, before it is clipped")
	for i := range update {
		update[i] /= float32(got.Steps)
	}
	return nil
}

// checkClip refuses a clip norm that the contract does not let the server choose, or none
// where it must.
func checkClip(c privacy.Contract, clip float64) error {
	switch {
	case !c.Adaptive.Enabled() && clip != 0:
		return fmt.Errorf("the order sets a clip norm (%g), which the contract fixes", clip)
	case c.Adaptive.Enabled() && !(clip >= privatise.MinClip && clip <= privatise.MaxClip):
		return fmt.Errorf("the order has clip norm %g, want %g to %g: the contract adapts it", clip, privatise.MinClip, privatise.MaxClip)
	}
	return nil
}
