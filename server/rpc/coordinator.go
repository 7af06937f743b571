package rpc

import "github.com/sotto-fl/sotto/server/coordinator"

// OfCoordinator lets c be served.
func OfCoordinator(c *coordinator.Coordinator) Run { return run{c} }

type run struct{ *coordinator.Coordinator }

func (r run) Attach(info coordinator.Info) (Session, error) {
	s, err := r.Coordinator.Attach(info)
	if err != nil {
		return nil, err
	}
	return s, nil
}
