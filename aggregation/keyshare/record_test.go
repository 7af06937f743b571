package keyshare

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/statement"
)

func TestRecordValidate(t *testing.T) {
	good := func() *Record { return newWorld(t, testInsecureRing, 4, 3, 1, 3).record }
	for name, change := range map[string]func(*Record){
		"no name":             func(r *Record) { r.Name = "" },
		"long name":           func(r *Record) { r.Name = strings.Repeat("x", 200) },
		"no preset":           func(r *Record) { r.Preset = "" },
		"one member":          func(r *Record) { r.Members, r.Threshold, r.Corrupt = r.Members[:1], 1, 0 },
		"no members":          func(r *Record) { r.Members, r.Threshold, r.Corrupt = nil, 0, 0 },
		"threshold 0":         func(r *Record) { r.Threshold, r.Corrupt = 0, 0 },
		"threshold above m":   func(r *Record) { r.Threshold = 5 },
		"negative corrupt":    func(r *Record) { r.Corrupt = -1 },
		"two sets":            func(r *Record) { r.Corrupt = 2 },
		"two sets, 2 of 4":    func(r *Record) { r.Threshold, r.Corrupt = 2, 0 },
		"corrupt = threshold": func(r *Record) { r.Corrupt = 3 },
		"member twice":        func(r *Record) { r.Members[1] = r.Members[0] },
		"member name twice":   func(r *Record) { r.Members[1].Name = r.Members[0].Name },
		"member key twice":    func(r *Record) { r.Members[1].Key = r.Members[0].Key },
		"member name":         func(r *Record) { r.Members[1].Name = "a/b" },
		"roster":              func(r *Record) { r.Roster = "" },
		"open with vouchers":  func(r *Record) { r.Roster = RosterOpen },
		"pinned without":      func(r *Record) { r.Vouchers = nil },
		"vouchers unsorted":   func(r *Record) { slices.Reverse(r.Vouchers) },
		"voucher twice":       func(r *Record) { r.Vouchers[1] = r.Vouchers[0] },
		"voucher key twice":   func(r *Record) { r.Vouchers[1].Key = r.Vouchers[0].Key },
		"voucher name":        func(r *Record) { r.Vouchers[2].Name = "~" },
	} {
		r := good()
		change(r)
		refused(t, name, r.Validate(), ErrRecord)
		if _, err := ParseRecord(r.bytesForTest()); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if err := good().Validate(); err != nil {
		t.Error(err)
	}
	if r := good(); r.Absent() != 1 || len(r.Warnings()) != 0 {
		t.Errorf("the default committee: absent %d, warnings %v", r.Absent(), r.Warnings())
	}
}

// bytesForTest is Bytes for records that hold numbers Bytes cannot write.
func (r *Record) bytesForTest() []byte {
	c := *r
	c.Corrupt, c.Threshold = max(c.Corrupt, 0), max(c.Threshold, 0)
	if c.Corrupt != r.Corrupt {
		return nil
	}
	return c.Bytes()
}

// The hash covers everything.
func TestRecordHash(t *testing.T) {
	base := newWorld(t, testInsecureRing, 4, 3, 1, 3).record.Hash()
	for name, change := range map[string]func(*Record){
		"name":      func(r *Record) { r.Name = "other" },
		"threshold": func(r *Record) { r.Threshold = 4 },
		"corrupt":   func(r *Record) { r.Corrupt = 0 },
		"preset":    func(r *Record) { r.Preset = "other" },
		"roster":    func(r *Record) { r.Roster = RosterOpen },
		"order":     func(r *Record) { r.Members[0], r.Members[1] = r.Members[1], r.Members[0] },
		"member":    func(r *Record) { r.Members[3].Key[0] ^= 1 },
		"voucher":   func(r *Record) { r.Vouchers[0].Key[0] ^= 1 },
		"fewer":     func(r *Record) { r.Vouchers = r.Vouchers[:2] },
	} {
		r := newWorld(t, testInsecureRing, 4, 3, 1, 3).record
		change(r)
		if r.Hash() == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
	f := Fingerprint(base)
	if !regexp.MustCompile(`^([a-z2-7]{4}-){7}[a-z2-7]{4}$`).MatchString(f) {
		t.Errorf("fingerprint %q", f)
	}
	base[19] ^= 1
	if Fingerprint(base) == f {
		t.Error("bit 152 does not change the fingerprint")
	}
}

func (w *world) signedRecord() *SignedRecord {
	s := &SignedRecord{Record: *w.record}
	for _, k := range w.signing {
		x, err := SignRecord(w.record, k)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Signatures = append(s.Signatures, x)
	}
	return s
}

func TestSignedRecord(t *testing.T) {
	w := newWorld(t, testInsecureRing, 4, 3, 1, 3)
	s := w.signedRecord()
	again, err := ParseSignedRecord(s.Bytes())
	if err != nil || again.Record.Hash() != w.record.Hash() {
		t.Fatal(err)
	}
	_, err = SignRecord(w.record, w.vouchers[0])
	refused(t, "signed by none of the members", err, ErrRecord)
	for name, change := range map[string]func(*SignedRecord){
		"one missing":   func(s *SignedRecord) { s.Signatures = s.Signatures[:3] },
		"swapped":       func(s *SignedRecord) { s.Signatures[0], s.Signatures[1] = s.Signatures[1], s.Signatures[0] },
		"changed after": func(s *SignedRecord) { s.Record.Corrupt = 0 },
	} {
		s := w.signedRecord()
		change(s)
		refused(t, name, s.Verify(), ErrRecord)
		if _, err := ParseSignedRecord(s.Bytes()); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func TestVoucherLookup(t *testing.T) {
	r := &Record{}
	for i := range 50 {
		r.Vouchers = append(r.Vouchers, Voucher{fmt.Sprintf("v-%02d", i), statement.Key{byte(i)}})
	}
	for _, v := range r.Vouchers {
		if k, ok := r.voucherKey(v.Name); !ok || k != v.Key {
			t.Errorf("%s not found", v.Name)
		}
		if _, ok := r.voucherKey(v.Name + "x"); ok {
			t.Errorf("%sx found", v.Name)
		}
	}
}
