package privacy

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/privacy/noise"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

const (
	// MinShareSigma is the least scale of one noise share in integer units: sums of shares are then Gaussian for all purposes,
	// and one share alone can be certified.
	MinShareSigma = 4
	// MinSigma is the least scale of the charged sum: the certificate as a continuous Gaussian then costs
	// less than 1e-5 of it.
	MinSigma = 512
	// gridPerRoot is how many units of sqrt(d) make a grid fine: rounding a sum then costs at most 1 %.
	gridPerRoot = 100
	maxRounds   = 1_000_000
	maxOwners   = 1 << 20
	maxRecords  = 1 << 30
	maxParams   = 1 << 28
	// maxMicroBatch keeps the error of float32 sums below 0.4 % of the clip norm.
	maxMicroBatch = 128
	maxWidth      = 30 // values travel as int32

	maxUploadAfter = 24 * time.Hour
)

// Validate returns every problem, one line each, starting with the key it is about and saying what to do.
// A valid contract can be derived from and planned.
func (c Contract) Validate() error {
	if c.None() {
		if c != (Contract{Unit: UnitNone}) {
			return errors.New("unit: none promises nothing, but other fields are set: remove them, or choose example, group or client")
		}
		return nil
	}
	var p problems
	c.checkWords(&p)
	c.checkNumbers(&p)
	if len(p) == 0 {
		c.checkAgreement(&p)
	}
	if len(p) == 0 {
		c.checkDerived(&p)
	}
	return errors.Join(p...)
}

type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

func (p *problems) word(key, got string, want ...string) {
	if !slices.Contains(want, got) {
		p.add(key, "got %q, want %s", got, strings.Join(want, " or "))
	}
}

// number checks that v lies in [lo, hi]; NaN does not.
func (p *problems) number(key string, v, lo, hi float64) {
	if !(v >= lo && v <= hi) {
		p.add(key, "got %g, want %g to %g", v, lo, hi)
	}
}

func (p *problems) count(key string, v, lo, hi int) {
	if v < lo || v > hi {
		p.add(key, "got %d, want %d to %d", v, lo, hi)
	}
}

func (c Contract) checkWords(p *problems) {
	p.word("unit", c.Unit, UnitExample, UnitGroup, UnitClient, UnitNone)
	p.word("adjacency", c.Adjacency, ZeroOut)
	p.word("mechanism", c.Mechanism, DiscreteGaussian, Skellam)
	p.word("rounding", c.Rounding, RoundSum, RoundRecord)
	p.word("lane", c.Lane, LaneA, LaneB, DistributedDPSGD, LocalDPSGD)
	p.word("counts", c.Counts, CountsPublic, CountsBucketed)
}

func (c Contract) checkNumbers(p *problems) {
	p.number("clip_norm", c.Clip, 1e-12, 1e12)
	p.number("noise_multiplier", c.Noise, 0.01, 1e4)
	p.number("sampling_rate", c.SamplingRate, 0, 1)
	p.number("epsilon", c.Epsilon, 1e-6, 100)
	p.number("delta", c.Delta, 1e-15, 0.1)
	p.count("rounds", c.Rounds, 1, maxRounds)
	p.count("max_participations", c.MaxParticipations, 1, maxRounds)
	p.count("colluders", c.Colluders, 1, maxOwners)
	p.count("min_cohort", c.MinCohort, 1, maxOwners)
	p.count("max_cohort", c.MaxCohort, 1, maxOwners)
	p.count("min_records", c.MinRecords, 1, maxRecords)
	p.count("records", c.Records, 0, maxRecords)
	p.count("micro_batch", c.MicroBatch, 0, maxMicroBatch)
	p.count("parameters", c.Parameters, 1, maxParams)
	if c.UploadAfter < 0 || c.UploadAfter > maxUploadAfter {
		p.add("upload_after", "got %v, want 0 to %v", c.UploadAfter, maxUploadAfter)
	}
	if c.Grid < 1 || c.Grid > privatise.MaxGrid || bits.OnesCount64(uint64(c.Grid)) != 1 {
		p.add("grid", "got %d, want a power of two up to %d", c.Grid, privatise.MaxGrid)
	}
	if a := c.Adaptive; a.Enabled() {
		p.number("adaptive_clip.quantile", a.Quantile, 0.01, 0.99)
		p.number("adaptive_clip.rate", a.Rate, 1e-3, 1)
		p.number("adaptive_clip.bit_noise", a.BitNoise, 0.01, 1e6)
	} else if a != (AdaptiveClip{}) {
		p.add("adaptive_clip.quantile", "got 0 beside a rate or bit_noise: set it, or remove them")
	}
}

// checkAgreement refuses what is fine by itself and wrong together.
func (c Contract) checkAgreement(p *problems) {
	client := c.Unit == UnitClient
	if client == c.dpsgd() {
		p.add("lane", "got %q for unit %s: records are protected by distributed-dp-sgd or local-dp-sgd, clients by lane A or B", c.Lane, c.Unit)
	}
	if c.Lane == LaneA && c.SamplingRate != 0 {
		p.add("sampling_rate", "got %g in lane A, which claims no amplification: set 0, or use lane B with secret independent coins", c.SamplingRate)
	}
	if c.Lane != LaneA && !(c.SamplingRate > 0) {
		p.add("sampling_rate", "got 0 in lane %s: set the probability of a coin, or use lane A", c.Lane)
	}
	if client && c.Rounding != RoundRecord {
		p.add("rounding", "got %q for unit client: an update is rounded by itself, with its integer norm checked; use record", c.Rounding)
	}
	if client && c.Records != 0 {
		p.add("records", "got %d for unit client: updates are weighted equally; set 0", c.Records)
	}
	if !client && c.Records < c.MinRecords*max(c.MinCohort, 1) {
		p.add("records", "got %d, fewer than min_records %d for each of min_cohort %d owners: declare the total of all owners", c.Records, c.MinRecords, c.MinCohort)
	}
	if client != (c.MicroBatch == 0) {
		p.add("micro_batch", "got %d for unit %s: want the batch size of training for records, 0 for clients", c.MicroBatch, c.Unit)
	}
	if c.Adaptive.Enabled() && !client {
		p.add("adaptive_clip.quantile", "got %g for unit %s: a bit for every record is not supported; set 0", c.Adaptive.Quantile, c.Unit)
	}
	if c.Lane != LocalDPSGD && c.MinCohort < c.Colluders+2 {
		p.add("min_cohort", "got %d with %d colluders: colluders left alone with one other would see its update under its own share alone; want at least %d", c.MinCohort, c.Colluders, c.Colluders+2)
	}
	if c.MaxCohort < c.MinCohort {
		p.add("max_cohort", "got %d, below min_cohort %d: every round would be void", c.MaxCohort, c.MinCohort)
	}
	if c.MaxParticipations > c.Rounds {
		p.add("max_participations", "got %d in %d rounds: want at most as many", c.MaxParticipations, c.Rounds)
	}
	if c.Lane != LaneA && c.MaxParticipations != c.Rounds {
		p.add("max_participations", "got %d of %d rounds in lane %s: a limit that depends on secret coins would reveal them; set it to rounds, or use lane A", c.MaxParticipations, c.Rounds, c.Lane)
	}
	if units := c.units(); c.Delta > 1/float64(units) {
		p.add("delta", "got %g for %d units: publishing one unit at random would satisfy it; want at most %.2g", c.Delta, units, 1/float64(units))
	}
	if a := c.Adaptive; a.Enabled() && 2*a.BitNoise <= c.Noise {
		p.add("adaptive_clip.bit_noise", "got %g, which alone spends more than noise_multiplier %g allows: want more than %g, and several times that for a useful update", a.BitNoise, c.Noise, c.Noise/2)
	}
	if fields := privatise.Padded(c.Parameters); c.Rounding == RoundSum && float64(c.Grid) < gridPerRoot*math.Sqrt(float64(fields)) {
		p.add("grid", "got %d for sums of %d fields: rounding would add %.0f %% to the sensitivity; want at least %d, or rounding: record", c.Grid, fields, 100*math.Sqrt(float64(fields))/float64(c.Grid), Grid(c.Parameters))
	}
}

// checkDerived refuses what the integers cannot carry.
func (c Contract) checkDerived(p *problems) {
	m := c.derive()
	if c.Mechanism == DiscreteGaussian && m.Sigma < MinSigma {
		p.add("grid", "got %d: the noise would have a scale of %.0f units, want at least %d to be certified as a Gaussian; want a grid of at least %d, or mechanism: skellam", c.Grid, m.Sigma, MinSigma, powerAbove(float64(c.Grid)*MinSigma/m.Sigma))
	}
	if c.Mechanism == DiscreteGaussian && m.ShareVariance < MinShareSigma*MinShareSigma {
		p.add("grid", "got %d: a noise share would have a scale of %.1f units, want at least %d; use a finer grid", c.Grid, math.Sqrt(float64(m.ShareVariance)), MinShareSigma)
	}
	if most := uint64(noise.MaxGaussianVariance); c.Mechanism == DiscreteGaussian && m.ShareVariance > most {
		p.add("grid", "got %d: a noise share would have a variance of %d, want at most %d; use a coarser grid", c.Grid, m.ShareVariance, most)
	}
	if most := uint64(noise.MaxSkellamVariance); c.Mechanism == Skellam && m.ShareVariance > most {
		p.add("grid", "got %d: a noise share would have a variance of %d, want at most %d for Skellam; use a coarser grid with rounding: record, or mechanism: discrete-gaussian", c.Grid, m.ShareVariance, most)
	}
	if m.Width > maxWidth {
		p.add("grid", "got %d: a sum of %d owners takes fields of %d bits, want at most %d; use a coarser grid or a smaller cohort", c.Grid, c.MaxCohort, m.Width, maxWidth)
	} else if c.MaxCohort > 0 && m.Clamp(c.MinRecords) < 1 {
		p.add("min_records", "got %d of %d: such an owner's clamp is below one unit; ask for more", c.MinRecords, c.Records)
	}
	if m.MissDelta >= c.Delta/10 {
		p.add("delta", "got %g, of which the batch caps take %.2g: want at least ten times that", c.Delta, m.MissDelta)
	}
}

func (c Contract) units() int {
	if c.Unit == UnitClient {
		return c.MaxCohort
	}
	return c.Records
}

// Grid is the least power of two that makes rounding a sum of d parameters cost at most 1 %.
func Grid(d int) int64 {
	return powerAbove(gridPerRoot * math.Sqrt(float64(privatise.Padded(d))))
}

func powerAbove(v float64) int64 {
	g := int64(1)
	for float64(g) < v && g < privatise.MaxGrid {
		g *= 2
	}
	return g
}
