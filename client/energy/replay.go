package energy

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// Replay is a recording of another meter, such as one at the wall: joules counted up
// to each of several times.
type Replay struct {
	seconds, total []float64
	tier           costcurve.Tier
	relErr         float64

	now  func() time.Duration
	last float64
}

// longestReplay bounds what is read: a day of ten readings a second.
const longestReplay = 864000

// ParseReplay reads lines "seconds,joules", both ascending, after a header of those two
// words. Tier and relative error are those of the meter that was recorded.
func ParseReplay(r io.Reader, tier costcurve.Tier, relErr float64) (*Replay, error) {
	if tier > costcurve.TierDefault || !(relErr > 0 && relErr <= 10) {
		return nil, fmt.Errorf("%w: recording of tier %d with relative error %v, want a tier up to %d and an error up to 10", costcurve.ErrInvalid, tier, relErr, costcurve.TierDefault)
	}
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord = 2, true
	p := &Replay{tier: tier, relErr: relErr}
	for line := 1; ; line++ {
		row, err := c.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("recording: %w", err)
		}
		if line == 1 && row[0] == "seconds" && row[1] == "joules" {
			continue
		}
		s, err := strconv.ParseFloat(row[0], 64)
		j, err2 := strconv.ParseFloat(row[1], 64)
		n := len(p.seconds)
		if err != nil || err2 != nil || !(s >= 0 && s <= costcurve.MaxSeconds && j >= 0 && j <= costcurve.MaxJoules) || n > 0 && (s <= p.seconds[n-1] || j < p.total[n-1]) {
			return nil, fmt.Errorf("%w: recording, line %d: %.40q, want ascending seconds and joules", costcurve.ErrInvalid, line, row)
		}
		if n == longestReplay {
			return nil, fmt.Errorf("%w: recording has more than %d lines", costcurve.ErrInvalid, longestReplay)
		}
		p.seconds, p.total = append(p.seconds, s), append(p.total, j)
	}
	if len(p.seconds) < 2 {
		return nil, fmt.Errorf("%w: recording has %d readings, want at least 2", costcurve.ErrInvalid, len(p.seconds))
	}
	return p, nil
}

func (p *Replay) at() (float64, error) {
	s := p.now().Seconds()
	i := sort.SearchFloat64s(p.seconds, s)
	if i == len(p.seconds) || i == 0 && s < p.seconds[0] {
		return math.NaN(), fmt.Errorf("%w: the recording does not cover %.3g s", ErrSource, s)
	}
	if i == 0 {
		return p.total[0], nil
	}
	part := (s - p.seconds[i-1]) / (p.seconds[i] - p.seconds[i-1])
	return p.total[i-1] + part*(p.total[i]-p.total[i-1]), nil
}

func (p *Replay) start() (err error) { p.last, err = p.at(); return err }

func (p *Replay) joules(time.Duration) (float64, error) {
	now, err := p.at()
	if err != nil {
		return 0, err
	}
	j := now - p.last
	p.last = now
	return j, nil
}

func (*Replay) name() string                         { return "recording" }
func (p *Replay) quality() (costcurve.Tier, float64) { return p.tier, p.relErr }
func (*Replay) period() time.Duration                { return time.Minute }
