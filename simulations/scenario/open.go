package scenario

import (
	"errors"

	"github.com/sotto-fl/sotto/model/dataset"
)

// Open returns the training data of every client, in order, and the test data: for
// those who want a scenario's data but drive rounds in their own way. It completes
// s.Run and refuses an invalid scenario.
func (s *Scenario) Open() (clients []*dataset.Set, test *dataset.Set, err error) {
	if err := errors.Join(s.Run.Complete(), s.Validate()); err != nil {
		return nil, nil, err
	}
	data, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	clients = make([]*dataset.Set, len(data.owners))
	for i, o := range data.owners {
		clients[i] = o.training
	}
	return clients, data.test, nil
}
