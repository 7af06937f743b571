package scenario

import (
	"crypto/rand"
	"slices"
	"time"

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
	return &coordinator.Books{Ledger: l, Secret: secret[:]}, storage, public, nil
}
