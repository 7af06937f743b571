package scenario

import (
	"context"

	"github.com/sotto-fl/sotto/server/coordinator"
)

// memory is a coordinator.Store that lives as long as the process. Only the
// coordinator's goroutine uses it.
type memory struct{ state *coordinator.State }

func (m *memory) Latest(context.Context) (*coordinator.State, error) {
	if m.state == nil {
		return nil, coordinator.ErrNoState
	}
	return m.state, nil
}

func (m *memory) Begin(context.Context, int, int, []string) error { return nil }

func (m *memory) Propose(context.Context, *coordinator.Pending) error { return nil }

func (m *memory) Commit(_ context.Context, s *coordinator.State) error {
	m.state = s
	return nil
}
