package rpc

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	clientenergy "github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

func curve(t testing.TB) costcurve.Curve {
	t.Helper()
	c, err := costcurve.Device{Modes: []costcurve.Mode{{Name: "one", ActiveWatts: 5, SecondsPerTask: 0.1}}}.Curve(costcurve.Terms{Deadline: 86400})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A client sends of its device what the server's lane lets it know, and nothing else
// crosses the wire; what it sent is beside the order, for the participant to hold
// against the contract.
func TestWhatTheLaneForbidsDoesNotLeaveTheClient(t *testing.T) {
	state := costcurve.Charge(80, false, 216000)
	state.Class = costcurve.LinkBroad
	offer := &participant.Offer{Task: "mnist-cnn, 32 images", Curve: curve(t), Tier: costcurve.TierCounter, State: state}
	for _, want := range []costcurve.Disclosure{costcurve.TellNothing, costcurve.TellCurve, costcurve.TellDevice} {
		s := newSite(t, Config{})
		s.run.discloses = want
		s.run.orders <- order
		c := connect(t, s.member(t, "a"))
		got, err := c.CheckIn(t.Context(), participant.Info{Examples: 7, Offer: offer})
		if err != nil {
			t.Fatal(err)
		}
		if got.Told != want {
			t.Errorf("wanted %s, the order says that it told %s", want, got.Told)
		}
		o := s.run.declared[0]
		switch want {
		case costcurve.TellNothing:
			if o != nil {
				t.Errorf("lane B: %+v arrived", o)
			}
		case costcurve.TellCurve:
			if o == nil || o.State != (costcurve.State{}) || len(o.Curve.Points) != 1 {
				t.Errorf("secret batches: %+v arrived", o)
			}
		case costcurve.TellDevice:
			if o == nil || o.State != state || o.State.Percent != 75 {
				t.Errorf("lane A: %+v arrived, want %+v", o, state)
			}
		}
	}
}

// Posted prices, starts and the end of the attempt before arrive as they were sent, and
// so do readings with what of them is above idle.
func TestEnergyOverTheWire(t *testing.T) {
	s := newSite(t, Config{})
	s.run.discloses = costcurve.TellDevice
	o := order
	o.Reference, o.Settled = 7, 3*time.Second
	o.Posted = &costcurve.Posted{Price: costcurve.Price{Lambda: 0.25, Theta: 0.5}, Min: 3, Max: 12, Window: time.Minute}
	o.Plan.StartAt = time.Hour
	s.run.orders <- o
	c := connect(t, s.member(t, "a"))
	idle := 2.0
	reading := clientenergy.Reading{Joules: costcurve.Joules{Value: 9, Tier: costcurve.TierCounter, RelErr: 0.05}, Phase: clientenergy.Wait, Elapsed: 4 * time.Second, Source: "test"}
	got, err := c.CheckIn(t.Context(), participant.Info{Examples: 7, Spent: []participant.Spent{{Round: 1, Attempt: 1, Reading: reading, Idle: &idle}, {Round: 1, Attempt: 1, Reading: reading}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Posted == nil || *got.Posted != *o.Posted || got.Reference != 7 || got.Settled != o.Settled || got.Plan.StartAt != time.Hour || got.Plan.Tasks != 0 || got.Told != costcurve.TellNothing {
		t.Errorf("order %+v, want %+v", got, o)
	}
	if len(s.run.spent) != 2 || s.run.spent[0].AboveIdle == nil || *s.run.spent[0].AboveIdle != 1 || s.run.spent[1].AboveIdle != nil {
		t.Errorf("readings %+v: want 1 J above idle, then nothing known", s.run.spent)
	}
}

// What is finer than a bucket, or no state at all, is refused.
func TestHostileStates(t *testing.T) {
	percent := func(v uint32) *uint32 { return &v }
	above := func(v float64) *float64 { return &v }
	good := func() *pb.Ready {
		return &pb.Ready{
			Offer: &pb.Offer{Task: "t", Curve: curve(t).Append(nil), Tier: 1, BatteryPercent: percent(50), BatteryJoules: 3 << 16, Link: 2},
			Spent: []*pb.Spent{{Joules: 5, RelativeError: 0.1, AboveIdle: above(2)}},
		}
	}
	if _, _, err := declared(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*pb.Ready){
		"percent":           func(r *pb.Ready) { r.Offer.BatteryPercent = percent(53) },
		"more than full":    func(r *pb.Ready) { r.Offer.BatteryPercent = percent(1 << 31) },
		"exact joules":      func(r *pb.Ready) { r.Offer.BatteryJoules++ },
		"no joules":         func(r *pb.Ready) { r.Offer.BatteryJoules = 0 },
		"joules alone":      func(r *pb.Ready) { r.Offer.BatteryPercent = nil },
		"class":             func(r *pb.Ready) { r.Offer.Link = 1 << 20 },
		"above all":         func(r *pb.Ready) { r.Spent[0].AboveIdle = above(6) },
		"less than nothing": func(r *pb.Ready) { r.Spent[0].AboveIdle = above(-1) },
	} {
		r := good()
		spoil(r)
		if o, s, err := declared(r); err == nil {
			t.Errorf("%s: taken as %+v, %+v", name, o, s)
		}
	}
}

// Whatever a client declares is refused, or is within what it may tell.
func FuzzDeclared(f *testing.F) {
	percent, above := uint32(50), 1.0
	for _, r := range []*pb.Ready{
		{},
		{Offer: &pb.Offer{Task: "t", Curve: curve(f).Append(nil), BatteryPercent: &percent, BatteryJoules: 3 << 16, Link: 4}},
		{Spent: []*pb.Spent{{Joules: 5, RelativeError: 0.1, AboveIdle: &above, Phase: 4}}},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r pb.Ready
		if proto.Unmarshal(b, &r) != nil {
			return
		}
		offer, spent, err := declared(&r)
		if err != nil {
			return
		}
		if offer != nil && offer.State.Validate() != nil || len(spent) > maxSpent {
			t.Fatalf("%+v, %d readings", offer, len(spent))
		}
		for _, s := range spent {
			if s.Joules.Validate() != nil || s.AboveIdle != nil && !(*s.AboveIdle >= 0 && *s.AboveIdle <= s.Joules.Value) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
