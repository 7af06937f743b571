package rpc

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// orderFrom checks the form of an order; the participant checks its sense.
func orderFrom(m *pb.Order) (participant.Order, error) {
	bad := func(format string, args ...any) (participant.Order, error) {
		return participant.Order{}, fmt.Errorf("order from the server: "+format, args...)
	}
	if m.GetRound() < 1 || m.GetRound() > math.MaxInt32 || m.GetAttempt() > math.MaxInt32 {
		return bad("round %d, attempt %d", m.GetRound(), m.GetAttempt())
	}
	if len(m.GetTaskSha256()) != 32 || len(m.GetModelSha256()) != 32 {
		return bad("hashes of %d and %d bytes, want 32", len(m.GetTaskSha256()), len(m.GetModelSha256()))
	}
	if m.GetCodec().GetBits() > 64 {
		return bad("codec of %d bits", m.GetCodec().GetBits())
	}
	if err := m.GetDeadline().CheckValid(); err != nil {
		return bad("deadline: %w", err)
	}
	deadline := m.GetDeadline().AsDuration()
	if deadline < 0 {
		return bad("deadline %s", deadline)
	}
	o := participant.Order{
		Run: m.GetRun(), Round: int(m.GetRound()), Attempt: int(m.GetAttempt()),
		Task: m.GetTask(), TaskHash: [32]byte(m.GetTaskSha256()), Model: [32]byte(m.GetModelSha256()),
		Codec:   aggregation.Codec{Bits: int(m.GetCodec().GetBits()), Range: m.GetCodec().GetRange()},
		Settled: max(0, m.GetSettledAgo().AsDuration()),
		Epochs:  m.GetEpochs(), LR: m.GetLearningRate(), Clip: m.GetClipNorm(), Weight: m.GetWeight(), Deadline: deadline,
	}
	if w := m.GetWork(); w != nil {
		if w.GetSteps() > costcurve.MaxTasks || w.GetReference() > costcurve.MaxTasks {
			return bad("%d steps scaled to %d", w.GetSteps(), w.GetReference())
		}
		o.Plan = costcurve.Order{Tasks: int64(w.GetSteps()), Mode: w.GetMode(), SwitchTo: w.GetSwitchTo(), SwitchAfter: w.GetSwitchAfter().AsDuration(), StartAt: w.GetStartAfter().AsDuration()}
		o.Reference = int64(w.GetReference())
		if err := o.Plan.Validate(); err != nil {
			return bad("%w", err)
		}
		if p := w.GetPosted(); p != nil {
			if p.GetLeastSteps() > costcurve.MaxTasks || p.GetMostSteps() > costcurve.MaxTasks {
				return bad("%d to %d steps", p.GetLeastSteps(), p.GetMostSteps())
			}
			o.Posted = &costcurve.Posted{
				Price: costcurve.Price{Lambda: p.GetPrice(), Theta: p.GetFairness()}, Min: int64(p.GetLeastSteps()), Max: int64(p.GetMostSteps()), Window: p.GetWindow().AsDuration(),
			}
			if err := o.Posted.Validate(); err != nil {
				return bad("%w", err)
			}
		}
	}
	if s := m.GetSealing(); s != nil {
		o.Sealing = &participant.Sealing{Announcement: s.GetAnnouncement(), Terms: s.GetTerms(), Record: s.GetRecord(), Keys: s.GetKeys(), Work: s.GetWork()}
	}
	return o, nil
}

// readyMessage says what a client declares with its readiness.
func readyMessage(info participant.Info) *pb.Ready {
	m := &pb.Ready{}
	if o := info.Offer; o != nil {
		m.Offer = &pb.Offer{Task: o.Task, Curve: o.Curve.Append(nil), Tier: uint32(o.Tier), Link: uint32(o.State.Class)}
		if s := o.State; s.Battery {
			percent := uint32(s.Percent)
			m.Offer.BatteryPercent, m.Offer.Charging, m.Offer.BatteryJoules = &percent, s.Charging, s.Full
		}
	}
	for _, s := range info.Spent {
		var above *float64
		if s.Idle != nil {
			v := s.AboveIdle(*s.Idle).Value
			above = &v
		}
		m.Spent = append(m.Spent, &pb.Spent{
			AboveIdle: above,
			Round:     uint32(s.Round), Attempt: uint32(s.Attempt), Phase: uint32(s.Phase), Joules: s.Value, Tier: uint32(s.Tier),
			RelativeError: s.RelErr, Elapsed: durationpb.New(s.Elapsed), Source: s.Source,
		})
	}
	return m
}
