package participant

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
)

// Sealer is what a data holder needs to have its updates encrypted, and what it
// permits.
type Sealer struct {
	Key    ed25519.PrivateKey // signs uploads; long-lived
	Vouch  keyshare.Vouch     // an organisation's word for that key; zero for an open roster
	Policy Policy
	// Rand gives keys and errors of the encryption. Nil is the operating system's,
	// and nothing else may be used outside simulations.
	Rand io.Reader
}

// Policy is what the data holder permits; client/policy has it.
// Errors are final: the participant does not train.
type Policy interface {
	CheckRecord(r *keyshare.Record) error
	CheckContract(l keyshare.Limits) error
	CheckOrder(o keyshare.Order, l keyshare.Limits) error
	// CheckRun looks at a run's privacy, whose contract has unit none if it promises
	// none, and at what is trained.
	CheckRun(c privacy.Contract, architecture, task [32]byte) error
}

// sealed is an order's encryption, checked.
type sealed struct {
	announcement *keyshare.Announcement
	record       *keyshare.Record
	keys         []keyshare.RoundKey
	terms        terms.Terms
	ring         keyshare.Ring
	params       kahe.Params
	order        keyshare.Order
	limits       keyshare.Limits
}

// ErrNoPolicy: the run encrypts updates, and the data holder has not said to whom
// they may be encrypted.
var ErrNoPolicy = errors.New("the run encrypts updates, and this client has no signing key and no policy for it")

// errUnsealed refuses a run that does not protect updates as the data holder's
// policy wants.
var errUnsealed = errors.New("this data holder's updates are encrypted to key holders only, and the server asks for them in the clear")

// checkSealing checks an order's encryption before anything is trained: who could open
// the update, how small the sum may be, and that everything shown here is what the
// announcement binds.
func (p *Participant) checkSealing(o Order) (*sealed, error) {
	refuse := func(err error) (*sealed, error) {
		return nil, fmt.Errorf("encryption of round %d: %w: %w", o.Round, ErrRefused, err)
	}
	switch {
	case p.sealer == nil && o.Sealing == nil:
		return nil, nil
	case o.Sealing == nil:
		return refuse(errUnsealed)
	case p.sealer == nil:
		return refuse(ErrNoPolicy)
	}
	s := &sealed{order: keyshare.Order{Work: o.Sealing.Work, Weight: o.Weight, Mode: o.Plan.Mode}}
	signed, err := keyshare.ParseSignedRecord(o.Sealing.Record)
	if err != nil {
		return refuse(err)
	}
	s.record = &signed.Record
	if err := p.sealer.Policy.CheckRecord(s.record); err != nil {
		return refuse(err)
	}
	limits, err := terms.Limits(o.Sealing.Terms)
	if err != nil {
		return refuse(err)
	}
	if err := p.sealer.Policy.CheckContract(limits); err != nil {
		return refuse(err)
	}
	if err := p.sealer.Policy.CheckOrder(s.order, limits); err != nil {
		return refuse(err)
	}
	s.limits = limits
	if s.terms, err = terms.Decode(o.Sealing.Terms); err != nil {
		return refuse(err)
	}
	if s.terms.Run != o.Run || s.terms.Codec != o.Codec || s.terms.Encryption.Preset != s.record.Preset {
		return refuse(errors.New("order, terms and committee record name different runs, codecs or parameters"))
	}
	if o.Codec == (aggregation.Codec{}) && len(s.terms.Privacy) == 0 {
		return refuse(errors.New("the order has neither a codec nor a privacy contract"))
	}
	if s.ring, s.params, err = s.terms.Ring(); err != nil {
		return refuse(err)
	}
	if s.announcement, err = keyshare.ParseAnnouncement(o.Sealing.Announcement); err != nil {
		return refuse(err)
	}
	a := s.announcement
	if err := a.Check(s.record.Hash(), statement.Hash(o.Sealing.Terms)); err != nil {
		return refuse(err)
	}
	if a.Run != o.Run || a.Attempt != uint64(o.Attempt) || a.Model != o.Model || a.Task != terms.WorkHash(o.TaskHash, o.Epochs, o.LR, o.Clip, uint64(o.Reference)) {
		return refuse(errors.New("the announcement is not about this order"))
	}
	for _, b := range o.Sealing.Keys {
		k, err := keyshare.ParseRoundKey(b)
		if err != nil {
			return refuse(err)
		}
		s.keys = append(s.keys, *k)
	}
	if err := keyshare.VerifyRoundKeys(s.record, a, s.keys); err != nil {
		return refuse(err)
	}
	return s, nil
}

// seal encrypts values under a fresh key, shares the key among the holders and signs
// the whole. The key exists in this function only; it is used for one vector.
func (p *Participant) seal(s *sealed, values []int32) ([]byte, error) {
	random := p.sealer.Rand
	if random == nil {
		random = rand.Reader
	}
	secret, err := kahe.NewSecret(s.params, random)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	vector, err := s.params.Encrypt(nil, values, kahe.NewPublic(s.params, s.announcement.Seed()), secret, random)
	if err != nil {
		return nil, err
	}
	h := &keyshare.Header{
		Announcement: s.announcement.Hash(), Client: p.name, Key: statement.PublicKey(p.sealer.Key),
		Order: s.order, Ciphertext: statement.Hash(vector), Vouch: p.sealer.Vouch,
	}
	boxes, err := keyshare.Deal(s.record, s.ring, h, s.keys, secret, random)
	if err != nil {
		return nil, err
	}
	h.Sign(p.sealer.Key)
	return terms.NewFrame(s.record, s.ring, s.params).Append(nil, terms.Upload{Header: h, Ciphertext: vector, Boxes: boxes})
}

// body turns an update's integers into the body of a report.
func (p *Participant) body(o Order, s *sealed, values []int32) ([]byte, error) {
	if s == nil {
		return aggregation.AppendPacked(nil, values, o.Codec.Bits), nil
	}
	b, err := p.seal(s, values)
	if err != nil {
		return nil, fmt.Errorf("encrypt the update of round %d: %w", o.Round, err)
	}
	return b, nil
}
