package costcurve

import (
	"errors"
	"fmt"
	"time"
)

// Posted is what a client is asked under amplification: a price, and public bounds. It
// answers from its own device alone (Answer), and nobody needs to know the device.
type Posted struct {
	Price    Price
	Min, Max int64
	Window   time.Duration // that the work must fit in
}

// Validate refuses what cannot be meant.
func (p Posted) Validate() error {
	if err := p.Price.Validate(); err != nil {
		return err
	}
	if p.Min < 1 || p.Max < p.Min || p.Max > MaxTasks {
		return fmt.Errorf("%w: work from %d to %d tasks, want 1 to %d, ascending", ErrInvalid, p.Min, p.Max, int64(MaxTasks))
	}
	if s := p.Window.Seconds(); !(s > 0 && s <= MaxSeconds) {
		return fmt.Errorf("%w: window of %v", ErrInvalid, p.Window)
	}
	return nil
}

// Answer is what a device does at the price, in joules above idle: Respond, on its curve of
// the window. One that cannot do the smallest work in time does it in its fastest mode:
// it was asked, and its share of the noise is needed. ErrInvalid if p or d are.
func (p Posted) Answer(d Device, own Queue) (Order, error) {
	if err := p.Validate(); err != nil {
		return Order{}, err
	}
	l := Limits{Min: p.Min, Max: p.Max, Queue: own}
	c, err := d.Curve(Terms{Deadline: p.Window.Seconds()})
	if err == nil {
		var o Order
		if o, err = Respond(c, p.Price, l); err == nil {
			return o, nil
		}
	}
	if !errors.Is(err, ErrNoTime) {
		return Order{}, err
	}
	c, err = d.Curve(Terms{Deadline: MaxSeconds})
	if err != nil {
		return Order{}, err
	}
	return Order{Tasks: p.Min, Mode: c.Points[len(c.Points)-1].Name}, nil
}
