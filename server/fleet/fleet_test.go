package fleet

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

func config() Config {
	return Config{Every: 5, Epsilon: 2, Delta: 1e-6, Release: 0.1, Longest: time.Minute}
}

func TestBudget(t *testing.T) {
	if b, err := (Config{}).Budget(10); b != nil || err != nil {
		t.Errorf("nothing configured: %v, %v", b, err)
	}
	b, err := config().Budget(100)
	if err != nil {
		t.Fatal(err)
	}
	if b.Epsilon != 2 || b.Order <= 1 {
		t.Errorf("budget %+v", b)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"too many releases": {func(c *Config) { c.Every = 1; c.Release = 1 }, "cost"},
		"no release":        {func(c *Config) { c.Every = 101 }, "nothing would be released"},
		"half of it":        {func(c *Config) { c.Delta = 0 }, "all of them 0"},
		"not a number":      {func(c *Config) { c.Release = math.NaN() }, "all of them 0"},
	} {
		k := config()
		c.change(&k)
		if _, err := k.Budget(100); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The mean of many releases is the truth, and their spread that of the event in the ledger:
// noise that is off, or counted as more than it is, does not pass. 4,000 draws of a Laplace
// of scale 20: the standard error of the mean is 0.45, that of the sample variance 3.5 %;
// bounds of 5 of them are passed by a correct program but for 1e-6.
func TestReleaseCarriesTheNoiseOfItsEvent(t *testing.T) {
	c := config()
	took := map[string]float64{}
	for i := range 200 {
		took[fmt.Sprint(i)] = 30
	}
	const draws = 4000
	var sum, squares float64
	for range draws {
		var w Window
		for range c.Every {
			w.Add(took)
		}
		if !w.Due(c) {
			t.Fatal("a full window is not due")
		}
		m, err := w.Release(c)
		if err != nil {
			t.Fatal(err)
		}
		if w.Due(c) || len(w.clients) != 0 {
			t.Fatal("the window is not empty after its release")
		}
		d := m[0].Values[0] - 200 // one contribution a client, whatever the number of its reports
		sum, squares = sum+d, squares+d*d
		if s := m[1].Values[0]; !(s >= 0 && s <= 60) {
			t.Fatalf("%v seconds, want 0 to 60", s)
		}
	}
	scale := 2 / c.Release
	if mean := sum / draws; math.Abs(mean) > 5*math.Sqrt2*scale/math.Sqrt(draws) {
		t.Errorf("the counts are off by %v on average", mean)
	}
	if v := squares / draws / (2 * scale * scale); math.Abs(v-1) > 5*math.Sqrt(5.0/draws) {
		t.Errorf("the variance is %v times that of the event in the ledger", v)
	}
	a, b := c.events()
	r, err := accountant.Accountant{Method: accountant.PLD}.Epsilon(accountant.Composed{Events: []accountant.Event{a, b}}, 1e-12)
	if err != nil || r.Upper > c.Release*1.001 {
		t.Errorf("a release costs %v, %v, want at most %v", r.Upper, err, c.Release)
	}
}

func TestLongTimesAreClamped(t *testing.T) {
	c := config()
	c.Release = 1000 // hardly any noise: what is left is the clamp
	var w Window
	w.Add(map[string]float64{"a": 1e9, "b": 1e9, "c": 1e9})
	m, err := w.Release(c)
	if err != nil {
		t.Fatal(err)
	}
	if s := m[1].Values[0]; math.Abs(s-60) > 1 {
		t.Errorf("%v seconds, want the bound of 60", s)
	}
}
