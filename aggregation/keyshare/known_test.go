package keyshare

import (
	"errors"
	"testing"
)

// What is remembered is the good signature on this statement by this key, and
// nothing else: expiry is checked every time, and any change is checked anew.
func TestKnown(t *testing.T) {
	w := newWorld(t, testInsecureRing, 2, 2, 1, 2)
	h, _ := w.draft(0)
	var known Known
	for range 2 {
		if err := h.Vouch.Check(w.record, h.Client, h.Key, testNow, &known); err != nil {
			t.Fatal(err)
		}
	}
	if len(known.good) != 1 {
		t.Fatalf("%d vouches remembered, want 1", len(known.good))
	}
	refuse := func(name string, v Vouch, r *Record, client string, now uint64) {
		t.Helper()
		if err := v.Check(r, client, h.Key, now, &known); !errors.Is(err, ErrVouch) {
			t.Errorf("%s: got %v, want ErrVouch", name, err)
		}
	}
	refuse("expired", h.Vouch, w.record, h.Client, testExpiry+1)
	refuse("another client", h.Vouch, w.record, "client-x", testNow)
	late := h.Vouch
	late.NotAfter++
	refuse("prolonged by the client", late, w.record, h.Client, testNow)
	forged := h.Vouch
	forged.Signature[3] ^= 1
	refuse("another signature", forged, w.record, h.Client, testNow)
	other := *w.record
	other.Vouchers = []Voucher{{w.record.Vouchers[0].Name, w.record.Vouchers[1].Key}, w.record.Vouchers[1]}
	refuse("another voucher of that name", h.Vouch, &other, h.Client, testNow)
	if len(known.good) != 1 {
		t.Errorf("%d vouches remembered, want still 1", len(known.good))
	}
}
