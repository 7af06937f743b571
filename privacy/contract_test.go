package privacy

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sotto-fl/sotto/privacy/accountant"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// examples is the default scenario: 10 owners of MNIST, distributed DP-SGD.
func examples() Contract {
	return Contract{
		Unit: UnitExample, Adjacency: ZeroOut,
		Clip: 0.1, Mechanism: DiscreteGaussian, Noise: 0.709, Grid: 1 << 14, Rounding: RoundSum,
		Lane: DistributedDPSGD, SamplingRate: 0.01707, Rounds: 200, MaxParticipations: 200,
		Epsilon: 4, Delta: 1e-5,
		Colluders: 1, MinCohort: 7, MaxCohort: 10, MinRecords: 100, Records: 60000, MicroBatch: 64,
		Counts: CountsPublic, Parameters: 26010,
	}
}

// clients is the scenario of 500 clients in lane A.
func clients() Contract {
	return Contract{
		Unit: UnitClient, Adjacency: ZeroOut,
		Clip: 0.5, Mechanism: DiscreteGaussian, Noise: 3.025, Grid: 1 << 12, Rounding: RoundRecord,
		Lane: LaneA, Rounds: 40, MaxParticipations: 40,
		Epsilon: 8, Delta: 1.07e-3, // 500^-1.1
		Colluders: 1, MinCohort: 318, MaxCohort: 500, MinRecords: 1,
		Counts: CountsPublic, Parameters: 8340,
	}
}

func changed(c Contract, f func(*Contract)) Contract { f(&c); return c }

func TestDerive(t *testing.T) {
	got, err := examples().Derive()
	if err != nil {
		t.Fatal(err)
	}
	if got.Fields != 6*4096+2048 || got.Shares != 6 || got.BitHeight != 0 || got.NormBound != 0 {
		t.Errorf("got %+v", got)
	}
	// C + gamma sqrt(d), 1 % above C.
	if want := 16384 + math.Sqrt(26624) + 16; math.Abs(got.Sensitivity-want) > 0.1 || got.Sensitivity < want {
		t.Errorf("sensitivity %.3f, want a little above %.3f", got.Sensitivity, want)
	}
	if want := 0.709 * got.Sensitivity; got.Sigma < want || got.Sigma > want+0.001 {
		t.Errorf("sigma %.4f, want a little above %.4f", got.Sigma, want)
	}
	if v := float64(got.ShareVariance); v*6 < got.Sigma*got.Sigma || (v-1.01)*6 > got.Sigma*got.Sigma {
		t.Errorf("share variance %g for sigma %g", v, got.Sigma)
	}
	// The worked number of docs/privacy.md.
	if got.ShareVariance != 22_984_175 || math.Abs(got.Sensitivity-16563.2) > 0.05 || math.Round(got.Sigma) != 11743 {
		t.Errorf("share variance %d, sensitivity %.1f, sigma %.1f: not those of docs/privacy.md", got.ShareVariance, got.Sensitivity, got.Sigma)
	}
	if c := float64(got.Clamp(6000)) / 16384; got.Width != 20 || c < 2.3 || c > 2.4 {
		t.Errorf("width %d, an owner of a tenth has a clamp of %.2f C: not those of docs/privacy.md", got.Width, c)
	}
	// Twice the batch and the noise take one bit more.
	larger, err := changed(examples(), func(c *Contract) { c.SamplingRate, c.Noise = 2*c.SamplingRate, 1.406 }).Derive()
	if err != nil {
		t.Fatal(err)
	}
	if c := float64(larger.Clamp(6000)) / 16384; larger.Width != 21 || c < 4.7 || c > 4.9 {
		t.Errorf("width %d, clamp %.2f C, want 21 and 4.8", larger.Width, c)
	}
}

// The bound that roundings are held to is that of the literature, cut to an integer.
func TestNormBound(t *testing.T) {
	for _, grid := range []int64{1, 16, 1 << 10, 1 << 17} {
		for _, fields := range []int{1, 64, 26624, 545280} {
			norm := accountant.RoundedNorm(float64(grid), math.Exp(-0.5), int64(fields))
			got := float64(privatise.NormBound(grid, fields))
			if want := norm * norm; got > want*(1+1e-12) || got < want*(1-1e-12)-1 {
				t.Errorf("grid %d, %d fields: bound %.0f, want %.3f cut off", grid, fields, got, want)
			}
		}
	}
}

// Whatever the sizes of owners, all clamps and all noise fit the field.
func TestWidthHoldsTheSum(t *testing.T) {
	for name, c := range valid() {
		d, err := c.Derive()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum := int64(0)
		if c.Records > 0 {
			for _, n := range []int{1, 7, c.Records / 3, c.Records - 8 - c.Records/3} {
				sum += int64(d.Clamp(n))
			}
		} else {
			sum = int64(c.MaxCohort) * int64(d.Clamp(0))
		}
		if top := math.Ldexp(1, d.Width-1) - 1; float64(sum)+d.tail(c.MaxCohort) > top {
			t.Errorf("%s: clamps %d and noise %.0f do not fit %d bits", name, sum, d.tail(c.MaxCohort), d.Width)
		}
		if got := d.Clamp(-5); got < 0 {
			t.Errorf("%s: clamp %d of a negative number of records", name, got)
		}
	}
}

func valid() map[string]Contract {
	return map[string]Contract{
		"examples": examples(), "clients": clients(),
		"group": changed(examples(), func(c *Contract) {
			c.Unit, c.Records, c.SamplingRate, c.MinRecords = UnitGroup, 500, 0.1, 5
			c.Delta = 1e-3
		}),
		"local":        changed(examples(), func(c *Contract) { c.Lane = LocalDPSGD }),
		"record":       changed(examples(), func(c *Contract) { c.Rounding, c.Grid = RoundRecord, 1<<10 }),
		"skellam":      changed(examples(), func(c *Contract) { c.Rounding, c.Grid, c.Mechanism = RoundRecord, 1<<10, Skellam }),
		"lane B":       changed(clients(), func(c *Contract) { c.Lane, c.SamplingRate = LaneB, 0.7 }),
		"adaptive":     changed(clients(), func(c *Contract) { c.Adaptive = AdaptiveClip{Quantile: 0.5, Rate: 0.2, BitNoise: 25} }),
		"one per half": changed(clients(), func(c *Contract) { c.MaxParticipations = 20 }),
	}
}

func TestPlan(t *testing.T) {
	for name, c := range valid() {
		rows, err := c.Plan()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(rows) != 4 {
			t.Fatalf("%s: %d rows", name, len(rows))
		}
		for _, r := range rows {
			if err := accountant.Validate(r.Run); err != nil {
				t.Errorf("%s, %s: %v", name, r.Adversary, err)
			}
			if _, err := accountant.Encode(r.Run); err != nil {
				t.Errorf("%s, %s: %v", name, r.Adversary, err)
			}
		}
		_, amplified := rows[0].Round.(accountant.PoissonSampled)
		_, server := rows[2].Round.(accountant.PoissonSampled)
		if want := c.Lane != LaneA; amplified != want {
			t.Errorf("%s: amplified against recipients is %v, want %v", name, amplified, want)
		}
		if want := c.dpsgd(); server != want {
			t.Errorf("%s: amplified against the server is %v, want %v", name, server, want)
		}
	}
}

// The multiplier that an accountant charges is the contract's.
func TestChargedMultiplier(t *testing.T) {
	for name, c := range valid() {
		rows, err := c.Plan()
		if err != nil {
			t.Fatal(err)
		}
		e := rows[2].Round
		if s, ok := e.(accountant.PoissonSampled); ok {
			e = s.Event
		}
		var z float64
		switch e := e.(type) {
		case accountant.DiscreteGaussian:
			z = math.Sqrt(e.Sigma*e.Sigma-accountant.SmoothingScale*accountant.SmoothingScale) / e.Sensitivity
		case accountant.Skellam:
			z = math.Sqrt(e.Variance) / e.L2
		}
		if z < c.Noise*(1-1e-12) || z > c.Noise*(1+1e-3) {
			t.Errorf("%s: the event has multiplier %.9f, the contract %.9f", name, z, c.Noise)
		}
	}
}

// The multiplier of the update alone and of the bits compose to the contract's.
func TestAdaptiveClipIsCharged(t *testing.T) {
	c := valid()["adaptive"]
	d, err := c.Derive()
	if err != nil {
		t.Fatal(err)
	}
	update := d.Sigma / math.Sqrt(float64(d.NormBound))
	bits := d.Sigma / (2 * float64(d.BitHeight)) // noise on the sum of +-1/2
	if r := bits / c.Adaptive.BitNoise; r < 1 || r > 1+1.1/float64(d.BitHeight) {
		t.Errorf("the bits have noise %.3f, want %.3f", bits, c.Adaptive.BitNoise)
	}
	if z := 1 / math.Sqrt(1/(update*update)+1/(4*bits*bits)); math.Abs(z/c.Noise-1) > 1e-6 {
		t.Errorf("composed multiplier %.6f, want %.6f", z, c.Noise)
	}
	if d.Fields != 8340/4096*4096+256+1 {
		t.Errorf("%d fields", d.Fields)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range valid() {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Contract{Unit: UnitNone}).Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		base   Contract
		change func(*Contract)
		want   string // key and part of the fix
	}{
		"nothing":              {Contract{}, func(*Contract) {}, "unit: got \"\""},
		"none with noise":      {Contract{Unit: UnitNone, Noise: 1}, func(*Contract) {}, "remove them"},
		"add or remove":        {examples(), func(c *Contract) { c.Adjacency = "add-remove" }, "adjacency: got \"add-remove\", want zero-out"},
		"no clip":              {examples(), func(c *Contract) { c.Clip = 0 }, "clip_norm: got 0"},
		"clip NaN":             {examples(), func(c *Contract) { c.Clip = math.NaN() }, "clip_norm: got NaN"},
		"clip infinite":        {examples(), func(c *Contract) { c.Clip = math.Inf(1) }, "clip_norm: got +Inf"},
		"no noise":             {examples(), func(c *Contract) { c.Noise = 0 }, "noise_multiplier: got 0"},
		"no colluder":          {examples(), func(c *Contract) { c.Colluders = 0 }, "colluders: got 0, want 1"},
		"floor too low":        {examples(), func(c *Contract) { c.MinCohort = 2 }, "min_cohort: got 2 with 1 colluders"},
		"floor above cohort":   {examples(), func(c *Contract) { c.MaxCohort = 6 }, "every round would be void"},
		"record in lane A":     {examples(), func(c *Contract) { c.Lane = LaneA; c.SamplingRate = 0 }, "lane: got \"A\" for unit example"},
		"client in dp-sgd":     {clients(), func(c *Contract) { c.Lane = DistributedDPSGD; c.SamplingRate = 0.1 }, "lane: got"},
		"amplified lane A":     {clients(), func(c *Contract) { c.SamplingRate = 0.1 }, "claims no amplification"},
		"lane B without coins": {clients(), func(c *Contract) { c.Lane = LaneB }, "sampling_rate: got 0 in lane B"},
		"limit in dp-sgd":      {examples(), func(c *Contract) { c.MaxParticipations = 100 }, "secret coins"},
		"more than all rounds": {clients(), func(c *Contract) { c.MaxParticipations = 41 }, "max_participations: got 41"},
		"grid no power":        {examples(), func(c *Contract) { c.Grid = 16000 }, "grid: got 16000"},
		"coarse rounded sum":   {examples(), func(c *Contract) { c.Grid = 1 << 10 }, "want at least 16384, or rounding: record"},
		"rounded client sum":   {clients(), func(c *Contract) { c.Rounding = RoundSum }, "rounding: got \"sum\" for unit client"},
		"too coarse to be Gaussian": {changed(examples(), func(c *Contract) { c.Rounding = RoundRecord }), func(c *Contract) {
			c.Grid = 128
		}, "certified as a Gaussian"},
		"huge delta":         {examples(), func(c *Contract) { c.Delta = 1e-3 }, "publishing one unit"},
		"delta under caps":   {examples(), func(c *Contract) { c.Delta = 1e-8 }, "batch caps"},
		"adaptive records":   {examples(), func(c *Contract) { c.Adaptive = AdaptiveClip{0.5, 0.2, 10} }, "unit example"},
		"bits spend all":     {clients(), func(c *Contract) { c.Adaptive = AdaptiveClip{0.5, 0.2, 1.5} }, "bit_noise: got 1.5"},
		"half an adaptation": {clients(), func(c *Contract) { c.Adaptive.BitNoise = 3 }, "remove them"},
		"no micro-batch":     {examples(), func(c *Contract) { c.MicroBatch = 0 }, "micro_batch: got 0 for unit example"},
		"few records":        {examples(), func(c *Contract) { c.Records = 600 }, "records: got 600"},
		"skellam too fine":   {examples(), func(c *Contract) { c.Mechanism = Skellam; c.Noise = 4 }, "coarser grid"},
		"fields too wide":    {clients(), func(c *Contract) { c.Grid = 1 << 22; c.Noise = 20 }, "bits"},
	} {
		t.Run(name, func(t *testing.T) {
			err := changed(c.base, c.change).Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEncoding(t *testing.T) {
	seen := map[[32]byte]string{}
	for name, c := range valid() {
		b, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		h, err := c.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
		for what, bad := range map[string][]byte{
			"white space":   append([]byte(" "), b...),
			"trailing":      append(bytes.Clone(b), '\n'),
			"two":           append(bytes.Clone(b), b...),
			"unknown field": bytes.Replace(b, []byte(`"unit"`), []byte(`"epsilom":1,"unit"`), 1),
			"missing field": bytes.Replace(b, []byte(`"colluders":1,`), nil, 1),
			"other case":    bytes.Replace(b, []byte(`"unit"`), []byte(`"Unit"`), 1),
			"twice":         bytes.Replace(b, []byte(`"colluders":1,`), []byte(`"colluders":9,"colluders":1,`), 1),
			"other number":  bytes.Replace(b, []byte(`"colluders":1,`), []byte(`"colluders":1.0,`), 1),
			"empty":         nil,
			"null":          []byte("null"),
			"long":          make([]byte, MaxEncoded+1),
		} {
			if _, err := Decode(bad); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: got %v, want ErrMalformed", name, what, err)
			}
		}
	}
	var h [32]byte
	if a := RotationSeed(h, 1); a == RotationSeed(h, 2) || a == RotationSeed([32]byte{1}, 1) || a != RotationSeed(h, 1) {
		t.Error("the rotation's seed is not a function of contract and round")
	}
	if _, err := (Contract{Unit: UnitNone}).Derive(); !errors.Is(err, ErrNone) {
		t.Errorf("got %v, want ErrNone", err)
	}
}

// YAML and JSON use the same keys, and no key lacks its text for -help.
func TestYAML(t *testing.T) {
	c := valid()["adaptive"]
	y, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Contract
	d := yaml.NewDecoder(bytes.NewReader(y))
	d.KnownFields(true)
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var fromYAML, fromJSON map[string]any
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(yaml.Unmarshal(y, &fromYAML), json.Unmarshal(b, &fromJSON)); err != nil {
		t.Fatal(err)
	}
	for key := range fromJSON {
		if _, ok := fromYAML[key]; !ok {
			t.Errorf("%s is in JSON, not in YAML", key)
		}
	}
}

// Values from mpmath 1.3.0, binomial survival function summed with 50 digits.
func TestBatchCap(t *testing.T) {
	for _, c := range []struct {
		n    int
		q    float64
		b    int
		want float64
	}{
		{6000, 0.01707, 150, 3.45750537457972e-6}, {60000, 0.01707, 1200, 3.06329937744176e-8}, {50, 0.1, 20, 3.70737462564221e-9}, {3, 0.5, 1, 0.5},
	} {
		if got := BatchExcess(c.n, c.q, c.b); math.Abs(got/c.want-1) > 3e-6 {
			t.Errorf("Pr[Bin(%d, %g) > %d] is %.9g, want %.9g", c.n, c.q, c.b, got, c.want)
		}
	}
	for _, n := range []int{1, 2, 10, 100, 6000, 60000} {
		for _, q := range []float64{1e-6, 0.01707, 0.3, 0.999, 1} {
			b := BatchCap(n, q)
			if b < 1 || b > n {
				t.Fatalf("cap %d of %d at %g", b, n, q)
			}
			if e := BatchExcess(n, q, b); e > CapMiss {
				t.Errorf("n %d, q %g: cap %d is exceeded with probability %g", n, q, b, e)
			}
			if e := BatchExcess(n-1, q, b-1); e > CapMiss && b < n {
				t.Errorf("n %d, q %g: with the others alone cap %d is reached with probability %g", n, q, b, e)
			}
			if b > 1 && q < 1 && float64(b-2) > float64(n)*q && BatchExcess(n-1, q, b-2) <= CapMiss {
				t.Errorf("n %d, q %g: cap %d is not the least", n, q, b)
			}
		}
	}
}

func TestBucket(t *testing.T) {
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 3: 3, 4: 4, 5: 4, 6: 6, 7: 6, 11: 8, 12: 12, 60000: 49152} {
		if got := Bucket(n); got != want {
			t.Errorf("Bucket(%d) is %d, want %d", n, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range valid() {
		b, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"unit":"none"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s encodes as %s, %v", b, again, err)
		}
		if !c.None() {
			if _, err := c.Plan(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
