package rpc

import (
	"fmt"

	"github.com/sotto-fl/sotto/internal/costcurve"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/coordinator"
	"github.com/sotto-fl/sotto/server/energy"
)

var phases = [...]string{"download", "train", "encrypt", "upload", "wait"}

// Bounds of what one Ready may tell.
const (
	maxSpent  = 64
	maxSource = 300
)

// declared reads what a client tells of its energy from a message that may be hostile.
func declared(m *pb.Ready) (*energy.Offer, []coordinator.Spent, error) {
	var offer *energy.Offer
	if o := m.GetOffer(); o != nil {
		var err error
		if offer, err = energy.ParseOffer(o.GetTask(), o.GetCurve(), o.GetTier()); err != nil {
			return nil, nil, err
		}
		if offer.State, err = state(o); err != nil {
			return nil, nil, err
		}
	}
	if n := len(m.GetSpent()); n > maxSpent {
		return nil, nil, fmt.Errorf("%d readings at once, want at most %d", n, maxSpent)
	}
	var spent []coordinator.Spent
	for _, s := range m.GetSpent() {
		if s.GetPhase() >= uint32(len(phases)) || len(s.GetSource()) > maxSource || s.GetTier() > uint32(costcurve.TierDefault) {
			return nil, nil, fmt.Errorf("reading of phase %d, tier %d, source of %d bytes", s.GetPhase(), s.GetTier(), len(s.GetSource()))
		}
		if err := s.GetElapsed().CheckValid(); s.GetElapsed() != nil && err != nil {
			return nil, nil, fmt.Errorf("reading of phase %d: elapsed: %w", s.GetPhase(), err)
		}
		p := coordinator.Spent{
			Round: int(s.GetRound()), Attempt: int(s.GetAttempt()), Phase: phases[s.GetPhase()], Elapsed: s.GetElapsed().AsDuration(), Source: s.GetSource(),
			Joules: costcurve.Joules{Value: s.GetJoules(), Tier: costcurve.Tier(s.GetTier()), RelErr: s.GetRelativeError()},
		}
		if err := p.Joules.Validate(); err != nil {
			return nil, nil, err
		}
		if s.AboveIdle != nil {
			if v := s.GetAboveIdle(); !(v >= 0 && v <= s.GetJoules()) {
				return nil, nil, fmt.Errorf("reading of phase %d: %v J above idle of %v", s.GetPhase(), v, s.GetJoules())
			}
			p.AboveIdle = s.AboveIdle
		}
		spent = append(spent, p)
	}
	return offer, spent, nil
}

// state reads what limits a device, and refuses what is finer than it may be told.
func state(o *pb.Offer) (s costcurve.State, err error) {
	if o.GetLink() > uint32(costcurve.LinkFast) || o.GetBatteryPercent() > 100 {
		return s, fmt.Errorf("connection of class %d, battery at %d %%", o.GetLink(), o.GetBatteryPercent())
	}
	s = costcurve.State{
		Battery: o.BatteryPercent != nil, Percent: int(o.GetBatteryPercent()), Charging: o.GetCharging(), Full: o.GetBatteryJoules(),
		Class: costcurve.LinkClass(o.GetLink()),
	}
	return s, s.Validate()
}
