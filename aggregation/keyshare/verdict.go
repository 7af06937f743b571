package keyshare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Reason says what a holder has against a client's upload.
type Reason uint8

const (
	ReasonHeader       Reason = iota + 1 // the client's signature, or the header's form
	ReasonAnnouncement                   // signed for another announcement
	ReasonVouch                          // no voucher stands for it
	ReasonKey                            // two clients use its key
	ReasonWork                           // its order asks for less work than allowed
	ReasonWeight                         // its order gives less weight than allowed
	ReasonMissing                        // the server did not deliver the box
	ReasonBox                            // the server delivered another box than the client signed
	ReasonSealed                         // the box does not open for this client, round and holder
	ReasonShare                          // the share is not the one committed to, or not in the ring
	ReasonDominant                       // it has a larger part of its group's weight than allowed
	lastReason         = ReasonDominant
)

func (r Reason) String() string {
	if r < ReasonHeader || r > lastReason {
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
	return [...]string{
		"header or its signature is not valid", "signed another announcement", "no voucher stands for it",
		"another client uses its key", "order below the smallest work", "order below the smallest weight",
		"share was not delivered", "share delivered is not the one it signed", "sealed share does not open",
		"share is not the one it committed to", "too large a part of its group's weight",
	}[r-1]
}

// Objection names a client and what is wrong. It is a holder's word, not evidence:
// a box that does not open may be the client's fault or the holder's.
type Objection struct {
	Client string
	Reason Reason
}

// Verdict is a holder's opinion of a set. It binds nobody.
type Verdict struct {
	Set        statement.Digest
	Point      int
	Refusal    string      // the set as such is refused; empty otherwise
	Objections []Objection // sorted by client, one each
}

// Yes says whether the holder would sign.
func (v *Verdict) Yes() bool { return v.Refusal == "" && len(v.Objections) == 0 }

func (v *Verdict) sort() {
	slices.SortFunc(v.Objections, func(a, b Objection) int { return strings.Compare(a.Client, b.Client) })
}

const (
	verdictLabel = "sotto/verdict/v1"
	maxRefusal   = 512
)

// Refuse is the verdict on a set that is refused as such.
func Refuse(set statement.Digest, point int, reason error) Verdict {
	text := reason.Error()
	return Verdict{Set: set, Point: point, Refusal: text[:min(len(text), maxRefusal)]}
}

// Bytes encodes the verdict.
func (v *Verdict) Bytes() []byte {
	w := statement.New(verdictLabel).Fixed(v.Set[:]).Int(v.Point).String(v.Refusal).Count(len(v.Objections))
	for _, o := range v.Objections {
		w.String(o.Client).Uint(uint64(o.Reason))
	}
	return w.Statement()
}

// ParseVerdict reads what Bytes wrote.
func ParseVerdict(b []byte) (*Verdict, error) {
	d := statement.Read(b, verdictLabel)
	v := &Verdict{Set: d.Digest("set"), Point: d.Int("point", MaxMembers), Refusal: d.String("refusal", maxRefusal)}
	if n := d.Count("objections", MaxUploads, 13); n > 0 {
		v.Objections = make([]Objection, n)
	}
	for i := range v.Objections {
		v.Objections[i] = Objection{d.String("client", maxText), Reason(d.Uint("reason", uint64(lastReason)))}
		if d.Err() != nil {
			break
		}
		if v.Objections[i].Reason == 0 || i > 0 && v.Objections[i].Client <= v.Objections[i-1].Client {
			d.Fail("objections", "client %.80q has no reason or is out of order", v.Objections[i].Client)
		}
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return v, nil
}

// Resolve decides, from verdicts on one set, whom to leave out so that at least want
// holders can say yes: the fewest clients, then the lowest points. A client that
// more than c holders object to goes in any case, for one of them is honest. It
// returns the points of the holders that have nothing against the rest, and the
// clients to leave out, both sorted; ok is false when fewer than want verdicts are
// there. Refusals do not count, nor does a second verdict of one holder.
//
// want is at least t. With want = t the fewest clients go; but if a holder left out
// is honest, one among the rest that fails to sign after saying yes voids the round.
// A larger want leaves spare signers and lets a dishonest holder have clients
// removed. Begin with all voters and go down to t while too few clients remain.
func Resolve(r *Record, verdicts []Verdict, want int) (points []int, drop []string, ok bool) {
	count := map[string]int{}
	voters, seen := []*Verdict{}, map[int]bool{}
	for i := range verdicts {
		v := &verdicts[i]
		if v.Refusal != "" || seen[v.Point] {
			continue
		}
		seen[v.Point] = true
		voters = append(voters, v)
		for _, o := range v.Objections {
			count[o.Client]++
		}
	}
	must := map[string]bool{}
	for client, n := range count {
		if n > r.Corrupt {
			must[client] = true
		}
	}
	var best map[string]bool
	subsets(len(voters), max(want, r.Threshold), func(chosen []int) bool {
		union := maps.Clone(must)
		for _, i := range chosen {
			for _, o := range voters[i].Objections {
				union[o.Client] = true
			}
		}
		if best == nil || len(union) < len(best) {
			best = union
		}
		return true
	})
	if best == nil {
		return nil, nil, false
	}
	for _, v := range voters {
		if !slices.ContainsFunc(v.Objections, func(o Objection) bool { return !best[o.Client] }) {
			points = append(points, v.Point)
		}
	}
	slices.Sort(points)
	return points, slices.Sorted(maps.Keys(best)), true
}

// subsets calls f with each choice of k of the numbers below n, in lexicographic
// order, until f returns false. f must not keep the slice.
func subsets(n, k int, f func([]int) bool) {
	if k < 1 || k > n {
		return
	}
	c := make([]int, k)
	for i := range c {
		c[i] = i
	}
	for f(c) {
		i := k - 1
		for ; i >= 0 && c[i] == n-k+i; i-- {
		}
		if i < 0 {
			return
		}
		c[i]++
		for i++; i < k; i++ {
			c[i] = c[i-1] + 1
		}
	}
}
