package scenario

import (
	"fmt"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/server/energy"
	"github.com/sotto-fl/sotto/simulations/fleet"
)

// offers are the cost curves of the devices that a scenario's clients are taken to run on,
// drawn by the seed; nil each without a fleet. Their joules are modelled from device
// profiles: nothing of this machine is measured.
func (s Scenario) offers() ([]*participant.Offer, error) {
	offers := make([]*participant.Offer, s.Clients)
	if s.Fleet == "" {
		return offers, nil
	}
	var c fleet.Config
	if err := config.Load(&c, config.Sources{File: s.Fleet}); err != nil {
		return nil, fmt.Errorf("fleet of scenario %s: %w", s.Name, err)
	}
	f, err := fleet.Draw(c, s.Clients, s.Run.Seed)
	if err != nil {
		return nil, err
	}
	for i := range offers {
		d := f.Clients[i].Device
		d.Battery = costcurve.Battery{}
		curve, err := d.Curve(costcurve.Terms{Deadline: 86400, Boundary: costcurve.AboveIdle})
		if err != nil {
			return nil, fmt.Errorf("fleet of scenario %s: client %d: %w", s.Name, i+1, err)
		}
		offers[i] = &participant.Offer{
			Task: energy.TaskName(s.Run.Task.Architecture.Name, s.Run.Task.Batch), Curve: curve, Tier: costcurve.TierProfile,
		}
	}
	return offers, nil
}
