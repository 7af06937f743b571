package books

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Memory is an Account and a Key that die with the process, for simulations: what is spent on simulated data protects
// nobody. Use it from one goroutine.
type Memory struct {
	data *ledger.Data
	key  string
}

// NewMemory makes an account with that budget. prices may be shared by many.
func NewMemory(id string, limit Limit, prices *ledger.Prices, now time.Time) (*Memory, error) {
	private, _, err := ledger.GenerateKey(rand.Reader, "data-holder")
	if err != nil {
		return nil, err
	}
	d, err := ledger.CreateData(&pages{}, private, now, ledger.DataSet{ID: id, Epsilon: ledger.Epsilon(limit.Epsilon), Delta: limit.Delta})
	if err != nil {
		return nil, err
	}
	d.Share(prices)
	return &Memory{data: d}, nil
}

// With implements Account.
func (m *Memory) With(f func(d *ledger.Data) error) error { return f(m.data) }

// Load implements Key.
func (m *Memory) Load() (string, error) { return m.key, nil }

// Store implements Key.
func (m *Memory) Store(key string) error {
	m.key = key
	return nil
}

// pages is a ledger.Storage in memory.
type pages struct{ b []byte }

func (p *pages) Read() ([]byte, error) { return slices.Clone(p.b), nil }

func (p *pages) Append(b []byte) error {
	p.b = append(p.b, b...)
	return nil
}
