package keyshare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sotto-fl/sotto/internal/statement"
)

// MaxUploads bounds the clients of one set, and with it a holder's memory.
const MaxUploads = 100_000

// Set is what the server proposes to open: disjoint groups of uploads of one
// attempt, usually one group. The sum of each group is opened by itself.
type Set struct {
	Announcement Announcement
	Groups       [][]Header // each sorted by client; the groups by their first client
}

// NewSet puts groups in their canonical order. It keeps the slices and sorts them
// in place.
func NewSet(a Announcement, groups ...[]Header) *Set {
	for _, g := range groups {
		slices.SortFunc(g, func(x, y Header) int { return strings.Compare(x.Client, y.Client) })
	}
	slices.SortFunc(groups, func(x, y []Header) int {
		if len(x) == 0 || len(y) == 0 {
			return len(x) - len(y)
		}
		return strings.Compare(x[0].Client, y[0].Client)
	})
	return &Set{a, groups}
}

// Clients is the number of uploads in all groups.
func (s *Set) Clients() int {
	n := 0
	for _, g := range s.Groups {
		n += len(g)
	}
	return n
}

// Hash is what holders sign: of the announcement and all signed headers, by group.
func (s *Set) Hash() statement.Digest {
	a := s.Announcement.Hash()
	w := statement.New("sotto/set/v1").Fixed(a[:]).Count(len(s.Groups))
	for _, g := range s.Groups {
		w.Count(len(g))
		for i := range g {
			h := g[i].Hash()
			w.Fixed(h[:])
		}
	}
	return w.Hash()
}

// Limits are what a group must come up to: those of the contract, raised by the
// holder's own policy.
type Limits struct {
	Contract  statement.Digest // of the contract that they come from
	KMin      int              // vouchers a group (clients, where the roster is open); at least 2
	MinCohort int              // clients a group
	MinWork   uint64           // of every client's order
	MinWeight float64          // of every client's order
	MaxShare  float64          // of a group's weight that one client may have; 0 is no limit
}

// dominant returns the clients of a group with more than the allowed share of its
// weight: what is opened would be nearly their update. Statistical offices know the
// rule by that name.
func (l Limits) dominant(group []Header) map[string]bool {
	if l.MaxShare <= 0 {
		return nil
	}
	total := 0.0
	for i := range group {
		total += group[i].Order.Weight
	}
	var found map[string]bool
	for i := range group {
		if group[i].Order.Weight > l.MaxShare*total {
			if found == nil {
				found = map[string]bool{}
			}
			found[group[i].Client] = true
		}
	}
	return found
}

// check refuses what no honest server proposes. What a single client may have
// caused is left to objections.
func (s *Set) check(r *Record, l Limits) error {
	if l.KMin < 2 {
		return fmt.Errorf("%w: the limits ask for %d organisations, want at least 2: a sum of one is an update", ErrTooFew, l.KMin)
	}
	if err := s.Announcement.Check(r.Hash(), l.Contract); err != nil {
		return err
	}
	if len(s.Groups) == 0 || s.Clients() > MaxUploads {
		return fmt.Errorf("%w: %d groups of %d clients, want 1 group or more and at most %d clients", ErrSet, len(s.Groups), s.Clients(), MaxUploads)
	}
	seen := make(map[string]bool, s.Clients())
	for i, g := range s.Groups {
		if len(g) < l.MinCohort {
			return fmt.Errorf("%w: group %d has %d clients, want at least %d", ErrTooFew, i, len(g), l.MinCohort)
		}
		organisations := map[string]bool{}
		for j := range g {
			h := &g[j]
			if seen[h.Client] {
				return fmt.Errorf("%w: client %s is named twice", ErrSet, h.Client)
			}
			if j > 0 && h.Client < g[j-1].Client {
				return fmt.Errorf("%w: client %s is not in order in group %d", ErrSet, h.Client, i)
			}
			seen[h.Client] = true
			if r.Roster == RosterOpen {
				organisations[h.Client] = true
			} else {
				organisations[h.Vouch.Voucher] = true
			}
		}
		if len(organisations) < l.KMin {
			return fmt.Errorf("%w: group %d has clients of %d organisations, want at least %d", ErrTooFew, i, len(organisations), l.KMin)
		}
		if i > 0 && g[0].Client < s.Groups[i-1][0].Client {
			return fmt.Errorf("%w: group %d is not in order", ErrSet, i)
		}
	}
	return nil
}
