package scenario

import (
	"crypto/ed25519"
	"crypto/rand"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// spoiler is a malicious client under a good certificate: it encrypts under another key
// than it shares. All of its signatures are right, so that neither server nor key
// holders see anything before the sum does not open.
type spoiler struct {
	key     ed25519.PrivateKey
	sealing *coordinator.Sealing // of the newest order
}

func (s *spoiler) spoil(body []byte) ([]byte, error) {
	t, err := terms.Decode(s.sealing.Terms)
	if err != nil {
		return nil, err
	}
	ring, params, err := t.Ring()
	if err != nil {
		return nil, err
	}
	record, err := keyshare.ParseSignedRecord(s.sealing.Record)
	if err != nil {
		return nil, err
	}
	a, err := keyshare.ParseAnnouncement(s.sealing.Announcement)
	if err != nil {
		return nil, err
	}
	frame := terms.NewFrame(&record.Record, ring, params)
	u, err := frame.Parse(body)
	if err != nil {
		return nil, err
	}
	other, err := kahe.NewSecret(params, rand.Reader)
	if err != nil {
		return nil, err
	}
	if u.Ciphertext, err = params.Encrypt(nil, make([]int32, params.Spec().Values), kahe.NewPublic(params, a.Seed()), other, rand.Reader); err != nil {
		return nil, err
	}
	u.Header.Ciphertext = statement.Hash(u.Ciphertext)
	u.Header.Sign(s.key)
	return frame.Append(nil, u)
}
