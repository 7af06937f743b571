package fleet

import (
	"os"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/internal/config"
)

func TestSolar(t *testing.T) {
	var c Config
	if err := config.Load(&c, config.Sources{File: "../fleets/mixed.yaml"}); err != nil {
		t.Fatal(err)
	}
	f, err := Draw(c, 40, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSolar(strings.NewReader("time,a,b\n0,0,1\n300,0,1\n600,0,1\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, seconds := range []float64{0, 299, 300, 1e7} {
		w := s.Surplus(f, seconds)
		for z, v := range w { // four zones: a, b, a, b
			if len(w) != 4 || (v > 0) != (z%2 == 1) {
				t.Fatalf("after %v s: %v W", seconds, w)
			}
		}
	}
	for _, bad := range []string{
		"", "time\n0\n1\n", "time,a\n0,0\n", "time,a\n0,0\n300,0\n700,0\n", "time,a\n0,0\n300,1.5\n", "time,a\n0,0\n300,NaN\n",
		"time,a\n0,0\n0,0\n", "time,a\nNaN,0\n1,0\n", "time,a\nx,0\n", "time,a\n0,0,0\n", "time,a\n5,0\n4,0\n",
	} {
		if _, err := ReadSolar(strings.NewReader(bad), false); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSolarTrace(t *testing.T) {
	file, err := os.Open("../../../shared/data/traces/vessim_solar.csv.gz")
	if err != nil {
		t.Skipf("../shared/data/traces is not there: %v", err)
	}
	defer file.Close()
	s, err := ReadSolar(file, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Plants) != 10 || len(s.share) != 8352 || s.step != 300 {
		t.Errorf("%d plants, %d rows of %v s", len(s.Plants), len(s.share), s.step)
	}
}
