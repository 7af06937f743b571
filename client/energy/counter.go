package energy

import (
	"fmt"
	"io/fs"
	"math"
	"time"
)

// counter is a register that counts microjoules and begins again at span.
type counter struct {
	sys      fs.FS
	path     string
	span     int64 // 0: it never wraps
	maxWatts float64
	last     int64
}

func (c *counter) start() (err error) {
	c.last, err = c.read()
	return err
}

func (c *counter) read() (int64, error) {
	v, err := number(c.sys, c.path)
	if err == nil && (v < 0 || c.span > 0 && v > c.span) {
		err = fmt.Errorf("%w: %s is at %d uJ, want 0 to %d", ErrSource, c.path, v, c.span)
	}
	return v, err
}

// joules corrects one wrap, and refuses what may hide several, or a reset.
func (c *counter) joules(dt time.Duration) (float64, error) {
	now, err := c.read()
	if err != nil {
		return 0, err
	}
	last := c.last
	c.last = now
	seconds := dt.Seconds()
	if c.span > 0 && seconds*c.maxWatts*1e6 > float64(c.span) {
		return 0, fmt.Errorf("%w: %s was not read for %.0f s and wraps within %.0f s at full power; poll more often", ErrSource, c.path, seconds, float64(c.span)/1e6/c.maxWatts)
	}
	delta := float64(now) - float64(last)
	if now < last {
		if c.span == 0 {
			return 0, fmt.Errorf("%w: %s went back from %d to %d; the counter was reset", ErrSource, c.path, last, now)
		}
		delta += float64(c.span)
	}
	joules := delta / 1e6
	if joules > 1.5*c.maxWatts*seconds+1 {
		return 0, fmt.Errorf("%w: %s grew by %.3g J in %.3g s, more than the device can draw; the counter was reset", ErrSource, c.path, joules, seconds)
	}
	return joules, nil
}

// period is half of the time to a wrap, at most a minute.
func (c *counter) period() time.Duration {
	if c.span == 0 {
		return time.Minute
	}
	return min(time.Minute, time.Duration(float64(c.span)/1e6/c.maxWatts/2*1e9))
}

// power is a register of instantaneous or averaged power, integrated by trapezoids.
type power struct {
	watts func() (float64, error)
	last  float64
}

func (p *power) start() (err error) {
	p.last, err = p.read()
	return err
}

func (p *power) read() (float64, error) {
	w, err := p.watts()
	if err == nil && !(w >= 0 && w < 1e6) || math.IsNaN(w) {
		err = fmt.Errorf("%w: power of %v W", ErrSource, w)
	}
	return w, err
}

func (p *power) joules(dt time.Duration) (float64, error) {
	now, err := p.read()
	if err != nil {
		return 0, err
	}
	mean := (p.last + now) / 2
	p.last = now
	return mean * dt.Seconds(), nil
}

func (p *power) period() time.Duration { return time.Second }
