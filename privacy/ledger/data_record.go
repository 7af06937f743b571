package ledger

import "fmt"

// DataSet is the first record of a data holder's ledger: what it is about, and what may be spent on it in all.
type DataSet struct {
	Version int     `json:"version"`
	ID      string  `json:"id"`
	Epsilon Epsilon `json:"epsilon"` // over all runs of all servers
	Delta   float64 `json:"delta"`   // over all of them
}

// Accept takes part in a run: its plan, and how many of its rounds the budget bears. From then on so much is set aside.
type Accept struct {
	Server  string  `json:"server"` // public key of the run's ledger
	Plan    *Plan   `json:"plan"`
	Hash    Hash    `json:"hash"`    // of the plan record in the run's ledger
	Rounds  int     `json:"rounds"`  // that may be charged at most; filled in
	Earmark Epsilon `json:"earmark"` // their epsilon; filled in
	Balance Balance `json:"balance"`
}

// Upload is a charge, written before an upload leaves. A later attempt at the same round repeats coins and noise, and
// costs nothing more if it repeats the work too: the same noise on another gradient would cancel out in the difference,
// so that is refused.
type Upload struct {
	Plan    Hash    `json:"plan"`
	Round   int     `json:"round"`
	Attempt int     `json:"attempt"`
	Work    Hash    `json:"work"`   // of all that the update is computed from: model, task, order
	Upload  Hash    `json:"upload"` // SHA-256 of what leaves
	Ledger  Head    `json:"ledger"` // of the run, as announced
	Balance Balance `json:"balance"`
}

// Uncharge takes a charge back: key holders have closed the round for ever, or certified a set that omits this client.
type Uncharge struct {
	Plan        Hash     `json:"plan"`
	Round       int      `json:"round"`
	Closures    []Signed `json:"closures,omitempty"`
	Set         Hash     `json:"set,omitzero"` // that was certified without this client
	Certificate []Signed `json:"certificate,omitempty"`
	Balance     Balance  `json:"balance"`
}

// Finished says that a run is over: what it did not charge is free again.
type Finished struct {
	Plan    Hash    `json:"plan"`
	Balance Balance `json:"balance"`
}

// Pin is the newest checkpoint seen of a run's ledger.
type Pin struct {
	Server     string `json:"server"`
	Checkpoint string `json:"checkpoint"`
}

// Alarm keeps two checkpoints of one ledger that contradict each other: with the server's signature on both, this is
// evidence that anyone can check.
type Alarm struct {
	Server string `json:"server"`
	Seen   string `json:"seen"`
	Shown  string `json:"shown"`
	Reason string `json:"reason"`
}

// Refusal says why this client did not train.
type Refusal struct {
	Run    string `json:"run"`
	Round  int    `json:"round"`
	Reason string `json:"reason"`
}

// Rebudget changes what may be spent over all runs, by the data holder's own decision.
type Rebudget struct {
	Epsilon Epsilon `json:"epsilon"`
	Delta   float64 `json:"delta"`
	Balance Balance `json:"balance"`
}

// Unprotected says that the data was used in a run without a privacy contract: what such a run gives away has no bound,
// and the balance does not speak of it.
type Unprotected struct {
	Run string `json:"run"`
}

func (*DataSet) Kind() string  { return "data-set" }
func (*Accept) Kind() string   { return "accept" }
func (*Upload) Kind() string   { return "upload" }
func (*Uncharge) Kind() string { return "uncharge" }
func (*Finished) Kind() string { return "finished" }
func (*Pin) Kind() string      { return "pin" }
func (*Alarm) Kind() string    { return "alarm" }
func (*Refusal) Kind() string  { return "refusal" }

func (*Rebudget) Kind() string    { return "rebudget" }
func (*Unprotected) Kind() string { return "unprotected" }

func emptyData(kind string) Record {
	switch kind {
	case "data-set":
		return new(DataSet)
	case "accept":
		return new(Accept)
	case "upload":
		return new(Upload)
	case "uncharge":
		return new(Uncharge)
	case "finished":
		return new(Finished)
	case "pin":
		return new(Pin)
	case "alarm":
		return new(Alarm)
	case "refusal":
		return new(Refusal)
	case "rebudget":
		return new(Rebudget)
	case "unprotected":
		return new(Unprotected)
	}
	return nil
}

func dataBalance(r Record) *Balance {
	switch r := r.(type) {
	case *Accept:
		return &r.Balance
	case *Upload:
		return &r.Balance
	case *Uncharge:
		return &r.Balance
	case *Finished:
		return &r.Balance
	case *Rebudget:
		return &r.Balance
	}
	return nil
}

const dataVersion = 1

func (r *DataSet) validate() error {
	if r.Version != dataVersion {
		return invalid("data holder's ledger of version %d, this program reads %d", r.Version, dataVersion)
	}
	if err := budget(r.Epsilon, r.Delta); err != nil {
		return err
	}
	return text("id", r.ID, 1)
}

func budget(e Epsilon, delta float64) error {
	if !(e > 0) || !(delta >= 0 && delta < 1) {
		return invalid("budget of epsilon %v at delta %v", e, delta)
	}
	return nil
}

func (r *Rebudget) validate() error { return budget(r.Epsilon, r.Delta) }

func (r *Unprotected) validate() error { return text("run", r.Run, 1) }

func (r *Accept) validate() error {
	if r.Plan == nil {
		return invalid("accept without a plan")
	}
	if r.Rounds < 0 {
		return invalid("accept of %d rounds", r.Rounds)
	}
	if _, err := newVerifier(r.Server); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return r.Plan.validate()
}

func (r *Upload) validate() error {
	if r.Ledger.Size < 0 {
		return invalid("ledger of %d records", r.Ledger.Size)
	}
	return places(r.Round, r.Attempt)
}

func (r *Uncharge) validate() error {
	if (len(r.Closures) > 0) == (len(r.Certificate) > 0) {
		return invalid("a charge is taken back on closures or on a certificate, one of them")
	}
	for _, s := range [][]Signed{r.Closures, r.Certificate} {
		if err := signatures(s); err != nil {
			return err
		}
	}
	return places(r.Round, 1)
}

func (*Finished) validate() error { return nil }

func checkpointField(s string) error {
	if len(s) < 1 || len(s) > maxCheckpoint {
		return invalid("checkpoint of %d bytes", len(s))
	}
	return nil
}

func (r *Pin) validate() error { return checkpointField(r.Checkpoint) }

func (r *Alarm) validate() error {
	for _, s := range []string{r.Seen, r.Shown} {
		if err := checkpointField(s); err != nil {
			return err
		}
	}
	return text("reason", r.Reason, 1)
}

func (r *Refusal) validate() error {
	if r.Round < 0 {
		return invalid("round %d", r.Round)
	}
	if err := text("run", r.Run, 1); err != nil {
		return err
	}
	return text("reason", r.Reason, 1)
}
