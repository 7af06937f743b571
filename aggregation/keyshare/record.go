package keyshare

import (
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"

	"github.com/sotto-fl/sotto/internal/statement"
)

// Bounds of a committee record.
const (
	MaxMembers  = 16 // subsets of answers stay few enough to try
	MaxVouchers = 10_000
	maxText     = 128
)

// Roster says whose clients may take part.
type Roster string

const (
	// RosterPinned admits clients for whom a voucher of the record stands; group
	// sizes count vouchers.
	RosterPinned Roster = "pinned"
	// RosterOpen admits every client; group sizes count clients. A server that
	// invents clients is not stopped: see the threat model.
	RosterOpen Roster = "open"
)

// Member is a key holder. Its point is its place in the record, from 1.
type Member struct {
	Name string
	Key  statement.Key
}

// Voucher is an organisation that stands for its clients with its key. A client
// without one is its own voucher.
type Voucher struct {
	Name string
	Key  statement.Key
}

// Record is the committee of a federation: who holds shares, how many must answer,
// how many may be corrupt, who vouches for clients. Everyone pins its hash; a lost
// member is replaced by a new record.
type Record struct {
	Name      string // of the federation
	Members   []Member
	Threshold int    // t: holders that must answer
	Corrupt   int    // c: holders that may collude with the server
	Preset    string // name of the encryption parameters
	Roster    Roster
	Vouchers  []Voucher // sorted by name; empty for an open roster
}

// A DNS label: safe in certificates, file names, logs and metrics.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate reports, as ErrRecord, the first thing that makes the record unusable.
//
// The rule on t, c and m is what makes two certified sets impossible: two sets of
// t signers have at least 2t - m members in common, and 2t - m > c leaves an honest
// one among them. c < t keeps the corrupt members from opening anything alone.
func (r *Record) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrRecord, fmt.Sprintf(format, args...))
	}
	m, t, c := len(r.Members), r.Threshold, r.Corrupt
	switch {
	case r.Name == "" || len(r.Name) > maxText:
		return bad("name has %d bytes, want 1 to %d", len(r.Name), maxText)
	case r.Preset == "" || len(r.Preset) > maxText:
		return bad("preset has %d bytes, want 1 to %d", len(r.Preset), maxText)
	case m < 2 || m > MaxMembers:
		return bad("%d members, want 2 to %d", m, MaxMembers)
	case t < 1 || t > m:
		return bad("threshold %d, want 1 to the %d members", t, m)
	case c < 0 || c >= t:
		return bad("%d corrupt members, want 0 to less than the threshold %d", c, t)
	case 2*t <= m+c:
		return bad("threshold %d of %d with %d corrupt members lets two sets be certified, want more than %d/2", t, m, c, m+c)
	}
	names, keys := map[string]bool{}, map[statement.Key]bool{}
	for _, x := range r.Members {
		if !validName.MatchString(x.Name) || names[x.Name] || keys[x.Key] {
			return bad("member %.80q has a bad name, or name or key of another", x.Name)
		}
		names[x.Name], keys[x.Key] = true, true
	}
	switch {
	case r.Roster == RosterOpen && len(r.Vouchers) > 0:
		return bad("an open roster has %d vouchers, want none", len(r.Vouchers))
	case r.Roster == RosterPinned && (len(r.Vouchers) < 1 || len(r.Vouchers) > MaxVouchers):
		return bad("%d vouchers, want 1 to %d", len(r.Vouchers), MaxVouchers)
	case r.Roster != RosterOpen && r.Roster != RosterPinned:
		return bad("roster %.80q, want %s or %s", string(r.Roster), RosterPinned, RosterOpen)
	}
	clear(keys)
	for i, x := range r.Vouchers {
		if !validName.MatchString(x.Name) || keys[x.Key] {
			return bad("voucher %.80q has a bad name, or the key of another", x.Name)
		}
		if i > 0 && x.Name <= r.Vouchers[i-1].Name {
			return bad("voucher %q is not after %q: want them sorted and distinct", x.Name, r.Vouchers[i-1].Name)
		}
		keys[x.Key] = true
	}
	return nil
}

// Absent is the number of members without which a round still opens, if all
// others answer. To open although all c corrupt members stay silent, it must be at
// least c.
func (r *Record) Absent() int { return len(r.Members) - r.Threshold }

// Warnings says, for people who are about to approve the record, what it does not
// protect from. Reports repeat it.
func (r *Record) Warnings() []string {
	var w []string
	if r.Corrupt == 0 {
		w = append(w, "c = 0: one dishonest key holder and the server together can open single updates")
	}
	if r.Absent() < r.Corrupt {
		w = append(w, fmt.Sprintf("%d silent key holders of the %d that may be corrupt stop every round", r.Absent()+1, r.Corrupt))
	}
	if r.Roster == RosterOpen {
		w = append(w, "open roster: a server that invents clients can surround one; group sizes protect only beyond the clients it invents")
	}
	return w
}

// Seeded says whether the share of that point is sent as a seed.
func (r *Record) Seeded(point int) bool { return point < r.Threshold }

// Member returns the member at a point.
func (r *Record) Member(point int) (Member, bool) {
	if point < 1 || point > len(r.Members) {
		return Member{}, false
	}
	return r.Members[point-1], true
}

// Point returns the point of the member with that key, or 0.
func (r *Record) Point(key statement.Key) int {
	for i, m := range r.Members {
		if m.Key == key {
			return i + 1
		}
	}
	return 0
}

// voucherKey finds a voucher by name; the vouchers are sorted.
func (r *Record) voucherKey(name string) (statement.Key, bool) {
	lo, hi := 0, len(r.Vouchers)
	for lo < hi {
		mid := (lo + hi) / 2
		if r.Vouchers[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(r.Vouchers) && r.Vouchers[lo].Name == name {
		return r.Vouchers[lo].Key, true
	}
	return statement.Key{}, false
}

const recordLabel = "sotto/committee/v1"

// Bytes returns the statement that members sign.
func (r *Record) Bytes() []byte {
	w := statement.New(recordLabel).String(r.Name).Int(r.Threshold).Int(r.Corrupt).String(r.Preset).String(string(r.Roster))
	w.Count(len(r.Members))
	for _, m := range r.Members {
		w.String(m.Name).Fixed(m.Key[:])
	}
	w.Count(len(r.Vouchers))
	for _, v := range r.Vouchers {
		w.String(v.Name).Fixed(v.Key[:])
	}
	return w.Statement()
}

// Hash identifies the record.
func (r *Record) Hash() statement.Digest { return statement.Hash(r.Bytes()) }

// ParseRecord reads what Bytes wrote. The record it returns is valid.
func ParseRecord(b []byte) (*Record, error) {
	d := statement.Read(b, recordLabel)
	r := readRecord(d)
	if err := d.Close(); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r, nil
}

func readRecord(d *statement.Reader) *Record {
	r := &Record{
		Name: d.String("name", maxText), Threshold: d.Int("threshold", MaxMembers), Corrupt: d.Int("corrupt", MaxMembers),
		Preset: d.String("preset", maxText), Roster: Roster(d.String("roster", maxText)),
	}
	for range d.Count("members", MaxMembers, 36) {
		m := Member{Name: d.String("member", maxText)}
		d.Fixed("member key", m.Key[:])
		r.Members = append(r.Members, m)
	}
	for range d.Count("vouchers", MaxVouchers, 36) {
		v := Voucher{Name: d.String("voucher", maxText)}
		d.Fixed("voucher key", v.Key[:])
		r.Vouchers = append(r.Vouchers, v)
	}
	return r
}

var fingerprintAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Fingerprint is a record's hash for people to compare by voice: its first 160
// bits. Whoever drafts records can look for two with one fingerprint, at 2^80
// hashes; programs compare the whole hash.
func Fingerprint(hash statement.Digest) string {
	text := fingerprintAlphabet.EncodeToString(hash[:20])
	var groups []string
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, "-")
}
