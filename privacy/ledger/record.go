package ledger

import "fmt"

// Record is one entry of a ledger. The set of kinds is closed and append-only: a kind never changes its meaning.
type Record interface {
	Kind() string
	validate() error
}

// Counts are the sizes of a cohort. They are left out where the contract forbids them (sampling lane B).
type Counts struct {
	Target   int `json:"target"`          // that the round asked for
	Sampled  int `json:"sampled"`         // that were drawn
	Survived int `json:"survived"`        // whose updates are in the sum
	Least    int `json:"least,omitempty"` // of them in the smallest group, when a round opens several sums
}

// smallest is the size of the smallest sum.
func (c *Counts) smallest() int {
	if c.Least > 0 {
		return c.Least
	}
	return c.Survived
}

// Balance is the state of the budget after a record.
type Balance struct {
	Rounds   int     `json:"rounds"`           // charged
	Reserved int     `json:"reserved"`         // neither charged nor returned
	Spent    Epsilon `json:"spent"`            // epsilon of the charged rounds at the contract's delta
	Claim    Epsilon `json:"claim"`            // the same with all reservations charged: the most that can have been spent
	Left     Epsilon `json:"left"`             // budget less claim
	Metrics  Epsilon `json:"metrics,omitzero"` // epsilon of the released metrics, which have a budget of their own
}

// Signed is a key holder's signature.
type Signed struct {
	Point     int `json:"point"` // of the member, from 1
	Signature Sig `json:"signature"`
}

// Reserve sets a round's cost aside, before its cohort is drawn.
type Reserve struct {
	Round   int     `json:"round"`
	Attempt int     `json:"attempt"`
	Plan    Hash    `json:"plan"`     // Ledger.PlanHash; filled in by Append
	ModelIn Hash    `json:"model_in"` // that the round starts from
	Balance Balance `json:"balance"`
}

// Certified is written before any key holder is asked for a signature. From here on the round is spent.
type Certified struct {
	Round   int     `json:"round"`
	Attempt int     `json:"attempt"`
	Set     Hash    `json:"set"`    // that the key holders are asked to sign
	Cohort  Hash    `json:"cohort"` // root over the blinded participants; see Cohort
	Counts  *Counts `json:"counts,omitempty"`
	Noise   Noise   `json:"noise"` // filled in by Append
	Balance Balance `json:"balance"`
}

// Noise is what was promised and what is in the sum, as multiples of the sensitivity.
type Noise struct {
	Planned   float64 `json:"planned"`   // charged
	Effective float64 `json:"effective"` // of the survivors less the colluders; never credited
}

// Commit says that a round's sum was opened and moved the model.
type Commit struct {
	Round       int         `json:"round"`
	Attempt     int         `json:"attempt"`
	Set         Hash        `json:"set"`
	Cohort      Hash        `json:"cohort"`
	Counts      *Counts     `json:"counts,omitempty"`
	Noise       Noise       `json:"noise"`
	Clip        float64     `json:"clip"`
	Sum         Hash        `json:"sum,omitzero"` // of the opened sum
	ModelIn     Hash        `json:"model_in"`
	ModelOut    Hash        `json:"model_out"`
	Certificate []Signed    `json:"certificate,omitempty"` // the key holders' signatures on Set
	Public      *Evaluation `json:"public,omitempty"`
	Balance     Balance     `json:"balance"`
}

// Evaluation is the accuracy of the new model on public data that no contract protects.
type Evaluation struct {
	Accuracy float64 `json:"accuracy"`
	Loss     float64 `json:"loss"`
	Examples int     `json:"examples"`
}

// Void ends a round without a release. It is charged if the round was certified.
type Void struct {
	Round   int     `json:"round"`
	Attempt int     `json:"attempt"`
	Reason  string  `json:"reason"`
	Counts  *Counts `json:"counts,omitempty"`
	Charged bool    `json:"charged"`
	Balance Balance `json:"balance"`
}

// Closed says that a void round can never be opened: so many key holders have signed that they will never certify or open
// it that those who remain are too few. It gives the reservation of an uncharged round back; participants take back their
// own charges with it, also where the round was certified.
type Closed struct {
	Round    int      `json:"round"`
	Closures []Signed `json:"closures"`
	Balance  Balance  `json:"balance"`
}

// Metric is the release of a noised statistic.
type Metric struct {
	Name    string    `json:"name"`
	Event   Event     `json:"event"`
	Values  []float64 `json:"values"` // as released
	Balance Balance   `json:"balance"`
}

// Release names a file that was given out.
type Release struct {
	Round int    `json:"round"` // that made the model
	Model Hash   `json:"model"` // identity of its parameters
	File  Hash   `json:"file"`  // SHA-256 of the file
	Name  string `json:"name"`
}

// Exclusion says that a participant is no longer asked.
type Exclusion struct {
	Participant Hash   `json:"participant"` // blinded
	Round       int    `json:"round"`
	Reason      string `json:"reason"`
	Evidence    Hash   `json:"evidence"` // SHA-256 of what shows it
}

// Spread is how often clients took part so far: Clients of them in Rounds charged rounds each.
type Spread struct {
	Round  int     `json:"round"` // up to here
	Counts []Tally `json:"counts"`
}

// Tally is one bar of a Spread.
type Tally struct {
	Rounds  int `json:"rounds"`
	Clients int `json:"clients"`
}

// Note is a remark for the auditor: an audit's result, tuning runs, a witness's signature.
type Note struct {
	Text string `json:"text"`
}

func (*Plan) Kind() string      { return "plan" }
func (*Reserve) Kind() string   { return "reserve" }
func (*Certified) Kind() string { return "certified" }
func (*Commit) Kind() string    { return "commit" }
func (*Void) Kind() string      { return "void" }
func (*Closed) Kind() string    { return "closed" }
func (*Metric) Kind() string    { return "metric" }
func (*Release) Kind() string   { return "release" }
func (*Exclusion) Kind() string { return "exclusion" }
func (*Spread) Kind() string    { return "spread" }
func (*Note) Kind() string      { return "note" }

// empty returns a new record of a kind, or nil.
func empty(kind string) Record {
	switch kind {
	case "plan":
		return new(Plan)
	case "reserve":
		return new(Reserve)
	case "certified":
		return new(Certified)
	case "commit":
		return new(Commit)
	case "void":
		return new(Void)
	case "closed":
		return new(Closed)
	case "metric":
		return new(Metric)
	case "release":
		return new(Release)
	case "exclusion":
		return new(Exclusion)
	case "spread":
		return new(Spread)
	case "note":
		return new(Note)
	}
	return emptyData(kind)
}

// balance returns the balance that a record states, or nil if it states none.
func balance(r Record) *Balance {
	switch r := r.(type) {
	case *Reserve:
		return &r.Balance
	case *Certified:
		return &r.Balance
	case *Commit:
		return &r.Balance
	case *Void:
		return &r.Balance
	case *Closed:
		return &r.Balance
	case *Metric:
		return &r.Balance
	}
	return dataBalance(r)
}

// differ names the first field in which a stated balance is not the recomputed one.
func (b Balance) differ(want Balance) (field, got, wanted string, ok bool) {
	switch {
	case b.Rounds != want.Rounds:
		return "rounds charged", fmt.Sprint(b.Rounds), fmt.Sprint(want.Rounds), false
	case b.Reserved != want.Reserved:
		return "rounds reserved", fmt.Sprint(b.Reserved), fmt.Sprint(want.Reserved), false
	case !near(b.Spent, want.Spent):
		return "epsilon spent", fmt.Sprint(b.Spent), fmt.Sprint(want.Spent), false
	case !near(b.Claim, want.Claim):
		return "epsilon claimed", fmt.Sprint(b.Claim), fmt.Sprint(want.Claim), false
	case !near(b.Left, want.Left):
		return "epsilon left", fmt.Sprint(b.Left), fmt.Sprint(want.Left), false
	case !near(b.Metrics, want.Metrics):
		return "epsilon of the metrics", fmt.Sprint(b.Metrics), fmt.Sprint(want.Metrics), false
	}
	return "", "", "", true
}
