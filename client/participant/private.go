package participant

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/train"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// Secrets are where a data holder's coins and noise come from: one secret, of which
// every round's is derived. So a round that is tried again, after a crash too,
// repeats its batch and its noise exactly, and a round with another number shares
// nothing with it. In a deployment the secret is the operating system's, kept in a
// file of mode 0600; only simulations derive it from a seed.
type Secrets struct{ Master noise.Seed }

// private is a task under a privacy contract, opened once.
type private struct {
	contract privacy.Contract
	hash     statement.Digest
	derived  privacy.Derived
	rotation *privatise.Rotation
	encoder  *privatise.Encoder
	batch    []int32
	sum      []float64

	// Under unit group, the positions of each group's records in data.
	data   *dataset.Set
	groups [][]int32
}

// openPrivacy reads the contract of an order's terms; nil when there is none.
func (p *Participant) openPrivacy(o Order, s *sealed) (*private, error) {
	if s == nil || len(s.terms.Privacy) == 0 {
		return nil, nil
	}
	refuse := func(err error) (*private, error) {
		return nil, fmt.Errorf("privacy contract of run %s: %w: %w", o.Run, ErrRefused, err)
	}
	if p.secrets == nil {
		return refuse(errors.New("this client has no secret to draw noise from"))
	}
	if p.private != nil && p.private.hash == s.announcement.Contract {
		return p.private.task, p.permit(o, p.private.task.contract)
	}
	c, err := privacy.Decode(s.terms.Privacy)
	if err != nil {
		return refuse(err)
	}
	if c.None() {
		return refuse(errors.New("it promises nothing"))
	}
	if err := p.permit(o, c); err != nil {
		return nil, err
	}
	t := &private{contract: c, sum: make([]float64, c.Parameters)}
	if t.derived, err = c.Derive(); err != nil {
		return refuse(err)
	}
	if t.hash, err = c.Hash(); err != nil {
		return refuse(err)
	}
	if s.terms.Encryption.Values != t.derived.Fields || s.terms.Encryption.Width < t.derived.Width {
		return refuse(fmt.Errorf("it needs %d fields of %d bits, the encryption has %d of %d", t.derived.Fields, t.derived.Width, s.terms.Encryption.Values, s.terms.Encryption.Width))
	}
	share, err := t.derived.Sampler()
	if err != nil {
		return refuse(err)
	}
	t.rotation = privatise.NewRotation(c.Parameters, [32]byte{})
	if t.encoder, err = privatise.NewEncoder(t.rotation, t.derived.Grid, share); err != nil {
		return refuse(err)
	}
	p.private = &openedContract{hash: s.announcement.Contract, task: t}
	return t, nil
}

// permit checks a contract against the task and the data at hand, either of which may be
// another than when the contract was opened.
func (p *Participant) permit(o Order, c privacy.Contract) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("privacy contract of run %s: %w: %w", o.Run, ErrRefused, fmt.Errorf(format, args...))
	}
	switch {
	case o.Plan.Tasks != 0 && c.Unit != privacy.UnitClient:
		return refuse("the order asks for %d steps, and the work is a secret batch: the server may choose mode and start only", o.Plan.Tasks)
	case c.Counts != privacy.CountsPublic:
		return refuse("it says that numbers of records are %s, and this client has told its own as it is", c.Counts)
	case c.Parameters != p.layout.Size():
		return refuse("it is for %d parameters, the model has %d", c.Parameters, p.layout.Size())
	case c.Unit != privacy.UnitClient && p.task.Batch > c.MicroBatch:
		return refuse("it charges for sums of %d gradients in float32 (micro_batch), the task adds up %d (batch)", c.MicroBatch, p.task.Batch)
	case c.Unit == privacy.UnitGroup && !p.training.HasGroups():
		return fmt.Errorf("%w in run %s: its privacy contract protects groups (%s), and this client's images have none: put them into folders class/patient/image, or name the group of each in groups.csv (see client check)", errLocal, o.Run, c.Unit)
	case c.Unit == privacy.UnitGroup && len(p.training.Groups()) < c.MinRecords:
		return fmt.Errorf("%w in run %s: its privacy contract wants at least %d groups of an owner (min_records), this client has %d: add some, or stay out of this run", errLocal, o.Run, c.MinRecords, len(p.training.Groups()))
	case p.training.Len() < c.MinRecords:
		return fmt.Errorf("%w in run %s: its privacy contract wants at least %d training records of an owner (min_records), this client has %d: add records, or stay out of this run", errLocal, o.Run, c.MinRecords, p.training.Len())
	}
	if c.SecretCoins() && c.UploadAfter == 0 && p.pause != nil {
		return refuse("it lets an upload leave when a batch is done, which tells how large it is: the contract wants an upload_after longer than the work of a round")
	}
	if err := checkClip(c, o.Clip); err != nil {
		return refuse("%w", err)
	}
	return nil
}

// keepTime waits until the round's public upload time, which is left away. An upload that comes
// later than that may tell something of the batch; what can mend it is known to the data
// holder alone.
func (p *Participant) keepTime(ctx context.Context, o Order, left time.Duration) error {
	if p.pause == nil {
		return nil
	}
	if left <= 0 {
		zerolog.Ctx(ctx).Warn().Int("round", o.Round).Dur("late", -left).Msg("the work of a round took longer than the contract's upload_after: its end may tell how much there was to do; use a faster machine, or ask for a longer time")
		return nil
	}
	return p.pause(ctx, left)
}

// openedContract remembers the last contract that was opened.
type openedContract struct {
	hash [32]byte
	task *private
}

// units is how many records, or groups, the owner has.
func (t *private) units(data *dataset.Set) int {
	if t.contract.Unit != privacy.UnitGroup {
		return data.Len()
	}
	if t.data != data {
		t.data, t.groups = data, data.Groups()
	}
	return len(t.groups)
}

// step is one owner's part of a round of DP-SGD: a secret Poisson batch of its records, or
// groups, the sum of their clipped gradients, rotated, rounded once, and a share of the noise.
// Coins and noise belong to the round's number among the key holders, who open one
// sum for it: an attempt that is repeated repeats them, and nothing else does. The noise
// is bound to the model as well: were a number ever used for two models, the difference
// of the two sums would still carry noise.
func (p *Participant) step(ctx context.Context, o Order, s *sealed, t *private, global []float32) ([]int32, error) {
	if t.contract.Unit == privacy.UnitClient {
		return p.contribute(ctx, o, s, t, global)
	}
	trainer, release, err := p.trainers.Borrow(ctx, p.task)
	if err != nil {
		return nil, err
	}
	defer release()
	records := t.units(p.training)
	number := int(s.announcement.Round)
	secret := p.secrets.Master.Derive("run/"+o.Run, 0)
	limit := privacy.BatchCap(records, t.contract.SamplingRate)
	if t.batch, err = privatise.DrawBatch(t.batch[:0], records, t.contract.SamplingRate, limit, secret, number); err != nil {
		return nil, err
	}
	if err := clipped(ctx, trainer, global, p.training, t, secret, number); err != nil {
		return nil, fmt.Errorf("gradients of round %d: %w", o.Round, err)
	}
	t.rotation.Reseed(privacy.RotationSeed(t.hash, o.Round))
	values := make([]int32, t.derived.Fields)
	rng := noise.NewDRBG(secret.Derive("share/"+hex.EncodeToString(o.Model[:]), number))
	if err := t.encoder.Sum(values, t.sum, t.contract.Clip, t.derived.Clamp(records), rng); err != nil {
		return nil, fmt.Errorf("encode round %d: %w", o.Round, err)
	}
	return values, nil
}

// clipped leaves the sum of the batch's clipped gradients in t.sum. A group with more
// records than the task's batch takes part with so many of them, drawn anew each round.
func clipped(ctx context.Context, trainer *train.Trainer, global []float32, data *dataset.Set, t *private, secret noise.Seed, round int) error {
	vary := rand.New(noise.NewDRBG(secret.Derive("augment", round)))
	if t.contract.Unit != privacy.UnitGroup {
		return trainer.Clipped(ctx, global, data, t.batch, t.contract.Clip, vary, t.sum)
	}
	rng := rand.New(noise.NewDRBG(secret.Derive("members", round)))
	groups := make([][]int32, len(t.batch))
	for i, g := range t.batch {
		groups[i] = t.groups[g]
		if most := trainer.Batch(); len(groups[i]) > most {
			groups[i] = slices.Clone(groups[i])
			rng.Shuffle(len(groups[i]), func(a, b int) { groups[i][a], groups[i][b] = groups[i][b], groups[i][a] })
			groups[i] = groups[i][:most]
		}
	}
	return trainer.ClippedGroups(ctx, global, data, groups, t.contract.Clip, vary, t.sum)
}
