package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
	"github.com/sotto-fl/sotto/privacy/privatise"
)

// clientMean is a round under unit client: the sum of the clients' clipped updates and noise
// shares, divided by the public constant of the contract.
type clientMean struct {
	contract privacy.Contract
	derived  privacy.Derived
	hash     statement.Digest
}

func (m clientMean) read(round int, values []int64, _ []float64, rec *Record) ([]float64, error) {
	k := m.contract
	rotation := privatise.NewRotation(k.Parameters, privacy.RotationSeed(m.hash, round))
	decoder, err := privatise.NewDecoder(rotation, m.derived.Grid)
	if err != nil {
		return nil, err
	}
	if len(values) != m.derived.Fields {
		return nil, fmt.Errorf("the sum has %d fields, want %d", len(values), m.derived.Fields)
	}
	clip, fields := k.Clip, rotation.Fields()
	if k.Adaptive.Enabled() {
		clip = rec.Clip
		if rec.NextClip, err = privatise.NextClip(clip, values[fields], m.derived.BitHeight, k.Divisor(), k.Adaptive.Quantile, k.Adaptive.Rate); err != nil {
			return nil, err
		}
	}
	mean := make([]float64, k.Parameters)
	return mean, decoder.Decode(mean, values[:fields], clip, k.Divisor())
}

// validateClients refuses what contradicts a contract for unit client.
func (c Config) validateClients() (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if k := c.Contract; k.Lane == privacy.LaneB && c.Rounds.Cohort != 0 {
		bad("rounds.cohort: got %d, want 0 in lane B: clients' own coins decide who takes part, and drawing some of them first would not be independent coins any more", c.Rounds.Cohort)
	}
	return problems
}

// clipNorm is the clip norm of the next round where the contract adapts it, else 0; c.mu is held. It
// follows from released sums alone, and from the history, so that a restart changes nothing.
func (c *Coordinator) clipNorm() float64 {
	if !c.cfg.private() || !c.cfg.Contract.Adaptive.Enabled() {
		return 0
	}
	for i := len(c.state.History) - 1; i >= 0; i-- {
		if clip := c.state.History[i].NextClip; clip != 0 {
			return clip
		}
	}
	return c.cfg.Contract.Clip
}

// limited says whether the server keeps a filter for each client: in lane A a client is charged
// for the rounds whose sum it is in. With one noise multiplier z for all of them, the sum of
// 1/z^2 stays within the budget (Smith, Thakurta 2022) as long as their number stays within
// max_participations.
func (c *Coordinator) limited() bool {
	return c.cfg.private() && c.cfg.Contract.Lane == privacy.LaneA
}

// eligible leaves out the clients that have spent their budget. It halts the run when the
// others are too few for a round, and in lane B when there are too many; c.mu is held.
func (c *Coordinator) eligible(ready []Info) ([]Info, error) {
	if k := c.cfg.Contract; c.cfg.private() && k.Lane == privacy.LaneB && len(ready) > k.MaxCohort {
		return nil, fmt.Errorf("%w: %d clients are ready, the contract is for %d (max_cohort), and lane B draws nobody: start a run with a larger contract", ErrHalted, len(ready), k.MaxCohort)
	}
	if !c.limited() {
		return ready, nil
	}
	filter := ledger.Participations{Limit: c.cfg.Contract.MaxParticipations, Rounds: c.state.Participations}
	var left []Info
	for _, info := range ready {
		if filter.Eligible(info.Client) {
			left = append(left, info)
		}
	}
	if len(left) < c.cfg.Rounds.MinReports {
		return nil, fmt.Errorf("%w: of the %d clients that are ready, %d have taken part in %d rounds, all that the contract allows one of them (max_participations); %d left, too few for a round of at least %d: let more clients join, or end the run here",
			ErrHalted, len(ready), len(ready)-len(left), filter.Limit, len(left), c.cfg.Rounds.MinReports)
	}
	return left, nil
}

// participated is the filter with one more round for the clients of set; nil where there is none.
func (c *Coordinator) participated(rounds map[string]int, set []string) map[string]int {
	if !c.limited() {
		return nil
	}
	filter := ledger.Participations{Rounds: maps.Clone(rounds)}
	filter.Charge(set)
	return filter.Rounds
}

// counts are the sizes of a cohort as the ledger has them. In lane B there are none: how
// many took part is a secret of their coins. least is the size of the smallest group.
func (c *Coordinator) counts(a *attempt, left []string, least int) *ledger.Counts {
	if c.cfg.Contract.Lane == privacy.LaneB {
		return nil
	}
	n := &ledger.Counts{Target: a.goal, Sampled: len(a.cohort), Survived: len(left)}
	if least < len(left) {
		n.Least = least
	}
	return n
}

// spread enters how often clients took part into the ledger, at the end of a run.
func (c *Coordinator) spread(log *zerolog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.state.History)
	if !c.limited() || c.books == nil || n == 0 || c.state.History[n-1].Ledger == nil {
		return
	}
	filter := ledger.Participations{Rounds: c.state.Participations}
	_, err := c.books.Ledger.Add(time.Now(), filter.Spread(c.state.History[n-1].Ledger.Round))
	// A crash between store and ledger makes the filter count a round more than the
	// ledger does: the filter stays on the safe side and is not published.
	if err != nil && !errors.Is(err, ledger.ErrInvalid) {
		log.Warn().Err(err).Msg("how often clients took part could not be entered in the ledger")
	}
}
