package coordinator

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/model/train"
)

// EncryptionThreshold is the value of encryption under which updates are encrypted
// to a committee of key holders.
const EncryptionThreshold = "threshold"

// CommitteeConfig is what a run fixes about its encryption. Who the key holders are
// stands in the committee record that they sign.
type CommitteeConfig struct {
	Security   string  `yaml:"security" json:"security" doc:"classical128, or conservative: 128 bits also under the most pessimistic published model of quantum attacks"`
	MaxUploads int     `yaml:"max_uploads" json:"max_uploads" doc:"most updates in one sum; more make uploads a little larger"`
	MinWork    uint64  `yaml:"min_work" json:"min_work" doc:"fewest training records that any client of a sum may be asked to process"`
	MinWeight  float64 `yaml:"min_weight" json:"min_weight" doc:"least weight that any client of a sum may be given"`
}

// DefaultCommittee holds the defaults.
func DefaultCommittee() CommitteeConfig {
	return CommitteeConfig{Security: kahe.Classical128, MaxUploads: 100, MinWork: 1, MinWeight: 1e-3}
}

// Validate reports every problem, each with its key path.
func (c CommitteeConfig) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Security != kahe.Classical128 && c.Security != kahe.Conservative {
		bad("security: got %q, want %s or %s", c.Security, kahe.Classical128, kahe.Conservative)
	}
	if c.MaxUploads < DefaultMinReports || c.MaxUploads > kahe.MaxUploads {
		bad("max_uploads: got %d, want %d to %d", c.MaxUploads, DefaultMinReports, kahe.MaxUploads)
	}
	if c.MinWork < 1 {
		bad("min_work: got %d, want at least 1", c.MinWork)
	}
	if !(c.MinWeight > 0 && c.MinWeight <= 1) {
		bad("min_weight: got %g, want above 0, at most 1", c.MinWeight)
	}
	return errors.Join(problems...)
}

// Terms are what the configuration says of encrypted sums. Equal configurations
// give equal terms.
func (c Config) Terms() (terms.Terms, error) {
	layout, err := c.Task.Architecture.Layout()
	if err != nil {
		return terms.Terms{}, err
	}
	need := kahe.Requirement{
		Values: layout.Size() + c.Update.MetricsLen(), Width: c.Update.SumBits(c.Committee.MaxUploads),
		Uploads: c.Committee.MaxUploads, Security: c.Committee.Security,
	}
	t := terms.Terms{
		Run: c.Name, Codec: c.Update,
		Organisations: c.Rounds.MinReports, Cohort: c.Rounds.MinReports,
		MinWork: c.Committee.MinWork, MinWeight: c.Committee.MinWeight,
	}
	if c.private() {
		d, err := c.Contract.Derive()
		if err != nil {
			return terms.Terms{}, err
		}
		if t.Privacy, err = c.Contract.Encode(); err != nil {
			return terms.Terms{}, err
		}
		t.Codec = aggregation.Codec{}
		t.Cohort = max(t.Cohort, c.Contract.MinCohort)
		t.MinWork = max(t.MinWork, uint64(c.Contract.MinRecords))
		need.Values, need.Width = d.Fields, d.Width
	}
	p, err := kahe.Plan(need)
	if err != nil {
		return terms.Terms{}, fmt.Errorf("choose the encryption: %w", err)
	}
	t.Encryption = p.Spec()
	return t, nil
}

// seal sets the coordinator up for threshold encryption.
func (c *Coordinator) seal(o Options) error {
	if o.Committee == nil || o.Spools == nil {
		return fmt.Errorf("run %s is encrypted to key holders, and has no committee record: make one first", c.cfg.Name)
	}
	if err := o.Committee.Record.Verify(); err != nil {
		return fmt.Errorf("committee record of run %s: %w", c.cfg.Name, err)
	}
	t, err := c.cfg.Terms()
	if err != nil {
		return err
	}
	if c.terms, err = t.Encode(); err != nil {
		return err
	}
	ring, params, err := t.Ring()
	if err != nil {
		return err
	}
	r := &o.Committee.Record.Record
	if r.Preset != t.Encryption.Preset {
		return fmt.Errorf("the committee record is for encryption %s, run %s needs %s: draft a new record", r.Preset, c.cfg.Name, t.Encryption.Preset)
	}
	c.committee, c.known = newCommittee(o.Committee), new(keyshare.Known)
	c.carrier = &sealed{c: c, params: params, ring: ring, frame: terms.NewFrame(r, ring, params), spools: o.Spools}
	return nil
}

// announce fixes what all clients of an attempt are told alike; c.mu is held.
func (c *Coordinator) announce(a *attempt, goal int, head statement.Digest) {
	a.announcement = keyshare.Announcement{
		Version: keyshare.ProtocolVersion, Run: c.cfg.Name, Round: c.state.ticket(), Attempt: uint64(a.attempt),
		Model: c.model, Task: terms.WorkHash(c.taskHash, c.cfg.Task.Epochs, a.lr, a.clip, uint64(a.plan.reference)),
		Contract: statement.Hash(c.terms), Record: c.committee.hash, Ledger: head,
		Goal: uint64(goal), Deadline: uint64(a.started.Add(c.cfg.Rounds.Deadline).UnixMilli()),
	}
	a.keys = c.committee.ready(a.announcement.Round)
}

// sealing is a client's part of the announcement; c.mu is held.
func (c *Coordinator) sealing(a *attempt, client string) *Sealing {
	s := &Sealing{
		Announcement: a.announcement.Bytes(), Terms: c.terms, Record: c.committee.signed.Bytes(),
		Work: a.signed(client).Work,
	}
	for i := range a.keys {
		s.Keys = append(s.Keys, a.keys[i].Bytes())
	}
	return s
}

// signed is the order as a client signs it; c.mu is held.
func (a *attempt) signed(client string) keyshare.Order {
	o := keyshare.Order{Weight: a.cohort[client]}
	if w := a.plan.of(client); w != nil {
		o.Work, o.Mode = w.Records, w.Order.Mode
	}
	return o
}

// records is the number of training records that a client of so many is asked to process:
// those of the steps, or of the epochs if there are none; under a contract, all that it
// may draw its batch or its steps from.
func (c *Coordinator) records(steps int64, examples int) uint64 {
	switch {
	case steps > 0:
		return uint64(train.Processed(int(steps), examples, c.cfg.Task.Batch))
	case c.cfg.private():
		return uint64(examples)
	}
	return uint64(math.Ceil(c.cfg.Task.Epochs * float64(examples)))
}

func (c *Coordinator) now() uint64 { return uint64(time.Now().Unix()) }
