package scenario

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/client/books"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// pages is a ledger.Storage in memory.
type pages struct{ b []byte }

func (p *pages) Read() ([]byte, error) { return slices.Clone(p.b), nil }

func (p *pages) Append(b []byte) error {
	p.b = append(p.b, b...)
	return nil
}

// unlimited is the budget of simulated data over all runs: there is one run.
var unlimited = books.Limit{Epsilon: 1e5, Delta: 0.999}

// shelf makes the data holders' own books, which share the costly part.
type shelf struct {
	c      *coordinator.Coordinator
	prices ledger.Prices
}

// books are those of one client; nil in a run without a privacy contract.
func (s *shelf) books(client string) (participant.Books, error) {
	if s == nil {
		return nil, nil
	}
	m, err := books.NewMemory(client, unlimited, &s.prices, time.Now())
	if err != nil {
		return nil, err
	}
	return books.New(m, s, m, unlimited, time.Now), nil
}

// Ledger implements books.Source.
func (s *shelf) Ledger(_ context.Context, seen int64, plan bool) (ledger.Shown, error) {
	shown, err := s.c.Show(seen, plan)
	if errors.Is(err, coordinator.ErrStale) {
		err = fmt.Errorf("%w: %w", participant.ErrClosed, err)
	}
	return shown, err
}

// newBooks starts the ledger of a simulated run, with a key of its own.
func newBooks(s Scenario, committee *coordinator.Committee, initial []float32) (*coordinator.Books, *pages, string, error) {
	private, public, err := ledger.GenerateKey(rand.Reader, "simulation")
	if err != nil {
		return nil, nil, "", err
	}
	layout, err := s.Run.Task.Architecture.Layout()
	if err != nil {
		return nil, nil, "", err
	}
	if initial == nil {
		m, err := s.Run.Task.Architecture.Init(s.Run.Seed)
		if err != nil {
			return nil, nil, "", err
		}
		initial = m.Params
	}
	first := model.Model{Params: initial, Layout: layout}
	plan, err := s.Run.PlanOf(committee, first.SHA256())
	if err != nil {
		return nil, nil, "", err
	}
	storage := &pages{}
	l, err := ledger.Create(storage, private, time.Now(), plan)
	if err != nil {
		return nil, nil, "", err
	}
	secret := statement.New("sotto/simulated-cohorts/v1").Uint(s.Run.Seed).Hash()
	return &coordinator.Books{Ledger: l, Key: public, Secret: secret[:]}, storage, public, nil
}
