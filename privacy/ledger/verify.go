package ledger

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Verified is a run's ledger that is what it should be.
type Verified struct {
	State
	Records []Stamped
	Head    Head
	Key     string // the public key that it was checked with
}

// Option adds to what Verify demands.
type Option func(*checker)

// Pinned demands that the ledger continues the one with this head: the way to see that its end was cut off, or that it is
// not the ledger that others were shown. Take head from OpenCheckpoint.
func Pinned(h Head) Option { return func(c *checker) { c.pins = append(c.pins, h) } }

// Verify recomputes everything from the bytes of a run's ledger: frames, canonical form, tree, signatures of checkpoints
// and key holders, order of records, plan, noise, and every epsilon and budget. It returns a *Difference for the first
// place that is not as it should be. It needs nothing but the server's public key, keeps b, and uses all processors.
//
// Without Pinned nobody can tell whether the newest records were cut off.
func Verify(b []byte, public string, options ...Option) (*Verified, error) {
	v, err := newVerifier(public)
	if err != nil {
		return nil, err
	}
	out := &Verified{Key: strings.TrimSpace(public)}
	c := checker{verifier: v, machine: &out.State, prices: true}
	for _, o := range options {
		o(&c)
	}
	if d := c.run(b); d != nil {
		return nil, d
	}
	if out.Plan == nil {
		return nil, &Difference{Index: -1, What: "the plan", Got: "an empty ledger", Want: "a plan as the first record"}
	}
	out.Records, out.Head = c.read, c.heads[len(c.heads)-1]
	return out, nil
}

// checker re-derives a ledger.
type checker struct {
	verifier note.Verifier
	machine  machine
	prices   bool // recompute milestones
	pins     []Head

	tree    tree
	heads   []Head // after each record
	read    []Stamped
	records [][2]int
	end     int
	last    []byte
}

// run returns the first difference, or nil.
func (c *checker) run(b []byte) error {
	frames, whole, torn, err := scan(b)
	c.end = whole
	search := newSearchers() // for signatures, which are slow and need no order
	if err != nil {
		search.found(err.(*Difference))
	}
	for i := 0; i+1 < len(frames); i += 2 {
		jobs, d := c.step(frames[i], frames[i+1])
		for _, j := range jobs {
			search.jobs <- j
		}
		if d != nil {
			search.found(d)
			break
		}
	}
	if d := search.wait(); d != nil {
		return d
	}
	if torn {
		return &Difference{Index: int64(len(frames) / 2), Offset: int64(whole), What: "the end of the file",
			Got: fmt.Sprintf("%d bytes of a record that was never acknowledged", len(b)-whole), Want: "whole records"}
	}
	for _, p := range c.pins {
		if p.Size > c.tree.size {
			return &Difference{Index: c.tree.size, Offset: int64(whole), What: "the size of the ledger",
				Got: fmt.Sprintf("%d records: the end was cut off or rolled back", c.tree.size), Want: fmt.Sprintf("at least the %d that were seen", p.Size)}
		}
		if p.Size > 0 && c.heads[p.Size-1] != p {
			return &Difference{Index: p.Size - 1, Kind: c.read[p.Size-1].Record.Kind(), Offset: c.read[p.Size-1].Offset, What: "the tree up to this record",
				Got: c.heads[p.Size-1].Root.String() + ": one of the records so far is not what others were shown", Want: p.Root.String()}
		}
	}
	return nil
}

// step checks one record and its checkpoint.
func (c *checker) step(rf, cf frame) (jobs []func() *Difference, d *Difference) {
	index := int64(len(c.read))
	kind := ""
	differ := func(f frame, what, got, want string) *Difference {
		return &Difference{Index: index, Kind: kind, Offset: int64(f.offset), What: what, Got: got, Want: want}
	}
	s, err := decode(rf.body)
	if err != nil {
		return nil, differ(rf, "the record", err.Error(), "a record in canonical form")
	}
	kind = s.Record.Kind()
	if s.Index != index {
		return nil, differ(rf, "the index", fmt.Sprintf("%d: records are missing, doubled or out of order", s.Index), fmt.Sprint(index))
	}
	s.Offset, s.Size = int64(rf.offset), cf.offset+headerSize+1+len(cf.body)+sumSize-rf.offset
	head, err := c.tree.add(rf.body)
	if err != nil {
		return nil, differ(rf, "the tree", err.Error(), "a tree")
	}

	// What the record says, before who signed it: a wrong statement is more telling than a wrong root.
	b, err := c.machine.check(s.Record)
	if err != nil {
		return nil, differ(rf, "the record", err.Error(), "a record that may follow")
	}
	if stated := balance(s.Record); stated != nil {
		if field, got, want, ok := stated.differ(b); !ok {
			return nil, differ(rf, field, got, want)
		}
		b = *stated
	}
	if f := c.machine.signed(s.Record); f != nil {
		jobs = append(jobs, func() *Difference {
			if err := f(); err != nil {
				return differ(rf, "the key holders' signatures", err.Error(), "valid ones")
			}
			return nil
		})
	}
	if p := planOf(s.Record); p != nil && c.prices {
		jobs = append(jobs, func() *Difference { return p.recompute(differ, rf) })
	}
	c.machine.apply(s.Record, b, recordHash(rf.body))

	want := checkpointText(c.machine.origin(), head)
	verifier := c.verifier
	jobs = append(jobs, func() *Difference {
		n, err := note.Open(cf.body, note.VerifierList(verifier))
		if err != nil {
			return differ(cf, "the checkpoint's signature", err.Error(), "a signature by "+verifier.Name())
		}
		if canonical, err := noteBytes(n); err != nil || string(canonical) != string(cf.body) {
			return differ(cf, "the checkpoint", "more than one signature, or another form", "one signature in canonical form")
		}
		return nil
	})
	if text := noteText(cf.body); text != want {
		got := fmt.Sprintf("%.200q", text)
		if _, h, err := parseCheckpointText(text); err == nil && h.Size != head.Size {
			got = fmt.Sprintf("one of a ledger of %d records", h.Size)
		} else if err == nil {
			got = "root " + h.Root.String() + ": the record was changed, or the checkpoint is of another ledger"
		}
		return jobs, differ(cf, "the checkpoint", got, fmt.Sprintf("size %d, root %v of %q", head.Size, head.Root, c.machine.origin()))
	}
	c.heads = append(c.heads, head)
	c.read = append(c.read, s)
	c.records = append(c.records, [2]int{rf.offset + headerSize + 1, len(rf.body)})
	c.last = cf.body
	return jobs, nil
}

// planOf returns the plan whose prices a record states, or nil.
func planOf(r Record) *Plan {
	switch r := r.(type) {
	case *Plan:
		return r
	case *Accept:
		return r.Plan
	}
	return nil
}

// recompute prices the milestones again.
func (p *Plan) recompute(differ func(f frame, what, got, want string) *Difference, f frame) (d *Difference) {
	c, err := p.Terms()
	if err != nil {
		return differ(f, "the contract", err.Error(), "a valid contract")
	}
	err = p.price(c, func(i int, e Epsilon) error {
		if m := p.Milestones[i]; !near(m.Epsilon, e) && d == nil {
			d = differ(f, fmt.Sprintf("epsilon after %d rounds, by accountant %s version %d", m.Rounds, p.Accountant, p.version()), fmt.Sprint(m.Epsilon), fmt.Sprint(e))
		}
		return nil
	})
	if err != nil {
		return differ(f, "the milestones", err.Error(), "epsilons")
	}
	return d
}

// writer continues what was checked.
func (c *checker) writer(storage Storage, s note.Signer) writer {
	return writer{
		storage: storage, signer: s, machine: c.machine, tree: c.tree,
		records: c.records, end: c.end, checkpoint: append([]byte(nil), c.last...),
	}
}

var _ tlog.HashReader = (*tree)(nil)
