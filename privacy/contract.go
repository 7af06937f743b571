package privacy

import (
	"math/bits"
	"time"
)

// Units: what one guarantee is about.
const (
	UnitNone    = "none" // no privacy, written out; every other field is then empty
	UnitExample = "example"
	UnitGroup   = "group" // all records of one patient, writer or device at an owner
	UnitClient  = "client"
)

// ZeroOut is the adjacency of every contract: the unit stays in the pool with its public
// metadata and contributes zero.
const ZeroOut = "zero-out"

// Mechanisms.
const (
	DiscreteGaussian = "discrete-gaussian"
	Skellam          = "skellam"
)

// Lanes: how units get into rounds, which decides what may be claimed.
const (
	// LaneA: any choice of clients, no amplification, one Gaussian a participation.
	LaneA = "A"
	// LaneB: independent secret coins at rates up to SamplingRate; amplification against recipients of the model alone.
	LaneB = "B"
	// DistributedDPSGD: every round is one step of DP-SGD over all owners' encrypted, noise-shared sums.
	DistributedDPSGD = "distributed-dp-sgd"
	// LocalDPSGD: the same steps, with each owner's noise complete by itself.
	LocalDPSGD = "local-dp-sgd"
)

// Roundings of gradients to integers.
const (
	RoundSum    = "sum"    // an owner's sum once: fine grid, one rotation a round
	RoundRecord = "record" // every record (or update): coarse grids, one rotation each
)

// Visibility of the owners' numbers of records.
const (
	CountsPublic   = "public"
	CountsBucketed = "bucketed" // rounded down to two significant binary digits before they leave
)

// Contract is what a run promises. Keys of YAML and JSON are the same. The zero value promises nothing
// and is refused.
type Contract struct {
	Unit      string `yaml:"unit" json:"unit" doc:"what is protected: example, group (all records of one patient, writer or device), client, or none, which must be written out"`
	Adjacency string `yaml:"adjacency" json:"adjacency" doc:"zero-out: the unit stays in the pool with its public metadata and contributes zero"`

	Clip      float64 `yaml:"clip_norm" json:"clip_norm" doc:"C: largest L2 norm of one unit's contribution, in parameter units"`
	Mechanism string  `yaml:"mechanism" json:"mechanism" doc:"discrete-gaussian, or skellam (certified by RDP only: 5 to 8 % more noise)"`
	Noise     float64 `yaml:"noise_multiplier" json:"noise_multiplier" doc:"z: standard deviation of the noise that is charged, over the sensitivity; that of a full cohort is larger"`
	Grid      int64   `yaml:"grid" json:"grid" doc:"C/gamma: integer units that make up the clip norm, a power of two"`
	Rounding  string  `yaml:"rounding" json:"rounding" doc:"sum: an owner's sum is rounded once; record: every record, or a client's update, is"`

	Lane              string  `yaml:"lane" json:"lane" doc:"A, B, distributed-dp-sgd or local-dp-sgd"`
	SamplingRate      float64 `yaml:"sampling_rate" json:"sampling_rate" doc:"q: probability of the secret coin of one record (dp-sgd), or its largest for one client (lane B); 0 in lane A"`
	Rounds            int     `yaml:"rounds" json:"rounds" doc:"most rounds that are released"`
	MaxParticipations int     `yaml:"max_participations" json:"max_participations" doc:"most rounds that one client contributes to; equal to rounds if there is no further limit"`

	Epsilon float64 `yaml:"epsilon" json:"epsilon" doc:"budget at delta, over the whole run"`
	Delta   float64 `yaml:"delta" json:"delta" doc:"probability that the guarantee does not cover; well below one over the number of units"`

	Colluders  int `yaml:"colluders" json:"colluders" doc:"f: owners whose noise share is not counted; at least 1, for each owner knows its own"`
	MinCohort  int `yaml:"min_cohort" json:"min_cohort" doc:"noise floor: a round with fewer contributors is void; shares are sized for min_cohort - colluders"`
	MaxCohort  int `yaml:"max_cohort" json:"max_cohort" doc:"most contributors to one round; sets the field width"`
	MinRecords int `yaml:"min_records" json:"min_records" doc:"smallest work: an owner with fewer records (or groups) does not take part"`
	Records    int `yaml:"records" json:"records" doc:"n: public number of records (or groups) of all owners; with the sampling rate the divisor of dp-sgd; 0 for unit client"`

	Counts     string `yaml:"counts" json:"counts" doc:"owners' numbers of records: public, or bucketed"`
	Parameters int    `yaml:"parameters" json:"parameters" doc:"d: length of the update"`

	MicroBatch int `yaml:"micro_batch" json:"micro_batch" doc:"most clipped gradients that are added up in float32 before float64 takes over, 1 for none; 0 for unit client"`

	// UploadAfter is left out of the encoding when it is 0.
	UploadAfter time.Duration `yaml:"upload_after" json:"upload_after,omitempty" doc:"how long after a round's order every owner uploads, however soon its work is done: longer than the work of the largest batch takes, or time tells the batch; simulations need none"`

	Adaptive AdaptiveClip `yaml:"adaptive_clip" json:"adaptive_clip" doc:"follow a quantile of the clients' norms with a private bit each; unit client only"`
}

// AdaptiveClip makes clip_norm the first of a sequence.
type AdaptiveClip struct {
	Quantile float64 `yaml:"quantile" json:"quantile" doc:"share of clients whose norm is to be within the clip norm; 0 keeps it fixed"`
	Rate     float64 `yaml:"rate" json:"rate" doc:"geometric step of one round; 0.2 is usual"`
	BitNoise float64 `yaml:"bit_noise" json:"bit_noise" doc:"standard deviation of the noise that is charged on the sum of the bits; cohort/20 is usual"`
}

// Enabled says whether the clip norm adapts.
func (a AdaptiveClip) Enabled() bool { return a.Quantile != 0 }

// None says that the contract promises no privacy.
func (c Contract) None() bool { return c.Unit == UnitNone }

// SecretCoins says that amplification by secret coins is claimed, so that nothing else may tell them.
func (c Contract) SecretCoins() bool { return c.dpsgd() || c.Lane == LaneB }

// dpsgd says that a round is one step over Poisson batches of records.
func (c Contract) dpsgd() bool { return c.Lane == DistributedDPSGD || c.Lane == LocalDPSGD }

// Divisor is the public constant that an opened sum is divided by: the planned batch for
// dp-sgd, the planned cohort for unit client.
func (c Contract) Divisor() float64 {
	switch {
	case c.dpsgd():
		return c.SamplingRate * float64(c.Records)
	case c.Lane == LaneB:
		return c.SamplingRate * float64(c.MaxCohort)
	}
	return float64(c.MaxCohort)
}

// Shares is how many noise shares are charged: those of the smallest cohort without the colluders'; 1 if every owner's
// noise is complete.
func (c Contract) Shares() int {
	if c.Lane == LocalDPSGD {
		return 1
	}
	return c.MinCohort - c.Colluders
}

// Bucket is the number of records that an owner of n declares under CountsBucketed: the two highest binary
// digits of n, the others zero. The records beyond it stay out of the run.
func Bucket(n int) int {
	if n < 4 {
		return max(n, 0)
	}
	drop := bits.Len(uint(n)) - 2
	return n >> drop << drop
}
