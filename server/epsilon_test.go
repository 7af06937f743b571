package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/sotto-fl/sotto/privacy/accountant"
)

func ask(args string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = run(append([]string{"epsilon"}, strings.Fields(args)...), &out, &problems)
	return code, out.String(), problems.String()
}

// Values of ../shared/golden/dp_accounting.json, by the source that it names.
func TestEpsilonGolden(t *testing.T) {
	for _, c := range []struct {
		args            string
		want, tolerance float64
	}{
		// google/differential-privacy b5b0286e, compute_dp_sgd_privacy_test.py
		{"-q 0.0025 -noise-multiplier 1.3 -steps 6000 -delta 1e-5 -accountant rdp", 0.7242234026109595, 1e-4},
		{"-q 0.001 -noise-multiplier 1 -steps 30000 -delta 1e-7 -accountant rdp", 1.4154988495444842, 1e-4},
		{"-q 0.01 -noise-multiplier 0.7 -steps 120 -delta 1e-5 -accountant pld", 2.4612381, 1e-3},
		// the same, pld_privacy_accountant_test.py
		{"-noise-multiplier 1.7320508075688772 -steps 3 -delta 0.126936 -accountant pld", 1, 1e-3},
		{"-noise-multiplier 1.7320508075688772 -steps 3 -delta 0.126936 -accountant gdp", 1, 1e-4},
		{"-noise-multiplier 1.7320508075688772 -steps 3 -delta 0.126936 -accountant exact", 1, 1e-4},
		{"-q 0.2 -noise-multiplier 0.5 -steps 3 -delta 0.15594 -accountant pld", 1, 1e-3},
		{"-mechanism truncated-poisson:records=1000,cap=60 -q 0.05 -noise-multiplier 1 -steps 100 -adjacency replace-one", 9.514, 1e-3},
		// rdp_privacy_accountant_test.py
		{"-mechanism tree -steps 1600 -noise-multiplier 8.83 -delta 1e-6 -accountant rdp", 1.773, 1e-3},
		// own implementations, named in the file
		{"-mechanism discrete-gaussian:sigma=2,sensitivity=1,dims=1,shares=1,share_sigma=2 -delta 0.05400722369415442 -accountant exact", 0.5, 1e-9},
		{"-mechanism skellam:variance=671088.64,l1=262144,l2=1024 -q 0.0042 -steps 100 -accountant rdp -orders 2-79", 1.550240881598615, 1e-6},
		{"-mechanism fixed-size:records=1000,batch=10 -noise-multiplier 1 -steps 100 -accountant rdp -adjacency replace-one", 1.482525669114427, 1e-4},
		// opacus 4d0ebc84, accountants_test.py
		{"-q 0.04 -noise-multiplier 1.5 -steps 2250 -delta 1e-5 -accountant rdp", 7.32911117143, 1e-4},
	} {
		code, stdout, stderr := ask(c.args + " -json")
		var r accountant.PlanResult
		if code != 0 || json.Unmarshal([]byte(stdout), &r) != nil {
			t.Fatalf("%s: exit code %d, %s%s", c.args, code, stdout, stderr)
		}
		if math.Abs(r.Upper-c.want) > c.tolerance*max(1, c.want) || r.Lower > r.Estimate || r.Estimate > r.Upper || r.Method == "" || len(r.Assumptions) == 0 {
			t.Errorf("%s: got %+v, want %g within %g relative", c.args, r, c.want, c.tolerance)
		}
	}
}

// The calibrated multiplier reaches its target, and a little less noise does not.
func TestEpsilonCalibrates(t *testing.T) {
	for _, method := range []string{"pld", "rdp"} {
		_, stdout, stderr := ask("-q 0.0341 -steps 400 -target-epsilon 3 -json -accountant " + method)
		var r accountant.PlanResult
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err, stderr)
		}
		if !(r.Upper <= 3 && r.Upper > 2.99) || !(r.NoiseMultiplier > 1) || r.TargetEpsilon != 3 {
			t.Errorf("%s: got %+v, want an epsilon just below 3", method, r)
		}
	}
}

func TestEpsilonRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                                                                   "either -noise-multiplier or -target-epsilon",
		"-noise-multiplier 1 -target-epsilon 1":                              "either -noise-multiplier or -target-epsilon",
		"-noise-multiplier 0":                                                "-noise-multiplier: got 0",
		"-noise-multiplier NaN":                                              "-noise-multiplier: got NaN",
		"-target-epsilon -1":                                                 "-target-epsilon: got -1",
		"-noise-multiplier 1 -q 0":                                           "sampling rate 0",
		"-noise-multiplier 1 -q 2":                                           "sampling rate 2",
		"-noise-multiplier 1 -q NaN":                                         "sampling rate NaN",
		"-noise-multiplier 1 -steps 0":                                       "steps 0",
		"-noise-multiplier 1 -steps x":                                       "-steps",
		"-noise-multiplier 1 -delta 1":                                       "-delta: got 1",
		"-noise-multiplier 1 -accountant moments":                            `accountant "moments"`,
		"-noise-multiplier 1 -q 0.1 -accountant gdp":                         "unsupported",
		"-noise-multiplier 1 -q 0.1 -accountant zcdp":                        "unsupported",
		"-noise-multiplier 1 north":                                          "takes flags only",
		"-noise-multiplier Inf":                                              "-noise-multiplier: got +Inf",
		"-noise-multiplier 1e-300":                                           "noise_multiplier 1e-300",
		"-noise-multiplier 1 -steps 1e9":                                     "-steps",
		"-noise-multiplier 1 -steps 9000000000000":                           "-steps: steps 9000000000000",
		"-noise-multiplier 1 -delta NaN":                                     "-delta: got NaN",
		"-target-epsilon Inf":                                                "-target-epsilon: got +Inf",
		"-target-epsilon 1e300":                                              "any noise multiplier",
		"-noise-multiplier 1 -adjacency nobody":                              `adjacency "nobody"`,
		"-noise-multiplier 1 -orders 2":                                      "add -accountant rdp",
		"-noise-multiplier 1 -accountant rdp -orders 2-99999":                "-orders: got",
		"-noise-multiplier 1 -accountant rdp -orders NaN":                    "-orders: got",
		"-noise-multiplier 1 -accountant rdp -orders 64-2":                   "-orders: got",
		"-mechanism magic":                                                   `unknown kind "magic"`,
		"-mechanism skellam":                                                 "variance 0",
		"-mechanism skellam:variance=NaN":                                    "want a finite number",
		"-mechanism skellam:variance=1,variance=2":                           "variance is there twice",
		"-mechanism skellam:mu=1":                                            "want a field of skellam",
		"-mechanism skellam:variance=9,l1=1,l2=1":                            "unsupported",
		"-mechanism skellam:variance=9,l1=1,l2=1 -noise-multiplier 1":        "says all about its noise",
		"-mechanism {}":                                                      "unknown kind",
		`-mechanism {"kind":"gaussian","sigma":3}`:                           "noise_multiplier 0",
		`-mechanism {"kind":"gaussian","noise_multiplier":1,"sigma":3}`:      "unknown",
		"-mechanism truncated-poisson:records=10,cap=-1 -noise-multiplier 1": "cap -1",
		"-mechanism fixed-size:records=10,batch=2 -noise-multiplier 1 -accountant rdp":         "replace-one neighbours only",
		"-mechanism matrix:coefficients=1/x,separation=3,participations=3 -noise-multiplier 1": "coefficients",
	} {
		code, stdout, stderr := ask(args)
		first, _, _ := strings.Cut(stderr, "\n")
		if code != 2 || stdout != "" || !strings.HasPrefix(first, "server: error: ") || !strings.Contains(first, want) || strings.Count(stderr, "error:") != 1 {
			t.Errorf("%q: exit code %d, %q, want 2 and one line with %q", args, code, stderr, want)
		}
	}
}
