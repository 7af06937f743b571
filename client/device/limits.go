package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sotto-fl/sotto/client/energy"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/internal/costcurve"
)

// DayFile is where a day's joules are kept, so that a restart does not forget them.
const DayFile = "energy-day.json"

// day is what the owner's day has had: joules above idle, in the device's local time.
type day struct {
	Date   string  `json:"date"`
	Joules float64 `json:"joules"`
}

// today reads the day's account; another day's counts for nothing.
func (d *Device) today() (day, error) {
	now := day{Date: d.options.Now().Format(time.DateOnly)}
	path := filepath.Join(d.dir, DayFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil
	}
	if err != nil {
		return now, err
	}
	var was day
	if err := json.Unmarshal(b, &was); err != nil || !(was.Joules >= 0 && was.Joules <= costcurve.MaxJoules) {
		return now, fmt.Errorf("%s: not an account of a day's joules; remove it to begin the day anew", path)
	}
	if was.Date == now.Date {
		now.Joules = was.Joules
	}
	return now, nil
}

// spend adds to the day's account, durably. A correction never takes it below zero.
func (d *Device) spend(joules float64) error {
	today, err := d.today()
	if err != nil {
		return err
	}
	today.Joules = max(0, today.Joules+joules)
	b, err := json.Marshal(today)
	if err != nil {
		return err
	}
	return replace(d.dir, DayFile, b)
}

// Spare implements participant.Device. What is set aside stays so when the process is killed:
// the day then has a little less than it could.
func (d *Device) Spare(o costcurve.Order, steps int64, measured bool) participant.Verdict {
	if least := float64(d.options.MinBattery); least > 0 {
		if c, ok := energy.ReadCharge(d.options.Sys); ok && !c.Charging && c.Percent < least {
			return participant.Verdict{Wait: time.Minute, Reason: fmt.Sprintf("the battery is at %.0f %%, min_battery is %d", c.Percent, d.options.MinBattery)}
		}
	}
	limit := d.options.DailyJoules
	if limit == 0 {
		return participant.Verdict{}
	}
	today, err := d.today()
	if err != nil {
		return participant.Verdict{Wait: time.Minute, Reason: err.Error()}
	}
	cost := d.cost(o, steps)
	if steps > 0 && d.measured { // an order that came to nothing: what it took is in the meter yet
		today.Joules = max(0, today.Joules-d.reserved)
	} else {
		d.reserved = 0
	}
	switch {
	case cost > limit:
		return participant.Verdict{Never: true, Reason: fmt.Sprintf("an order of %d steps takes %.3g J, and daily_joules is %.3g", steps, cost, limit)}
	case today.Joules+cost > limit || today.Joules >= limit:
		return participant.Verdict{Wait: d.tomorrow(), Reason: fmt.Sprintf("%.3g of daily_joules (%.3g) are spent today, and the work takes %.3g", today.Joules, limit, cost)}
	case steps == 0:
		return participant.Verdict{}
	}
	if err := d.spend(cost - d.reserved); err != nil {
		return participant.Verdict{Wait: time.Minute, Reason: fmt.Sprintf("set a day's joules aside: %v", err)}
	}
	d.reserved, d.measured = cost, measured
	return participant.Verdict{}
}

// cost is what an order takes above idle by the profile; in the dearest mode where it names
// none that is known.
func (d *Device) cost(o costcurve.Order, steps int64) float64 {
	if d.profile == nil || steps == 0 {
		return 0
	}
	task := func(m energy.Mode) float64 {
		return max(0, m.JoulesPerTask.Value-d.profile.IdleWatts.Value*m.SecondsPerTask)
	}
	dearest := 0.0
	for _, m := range d.profile.Modes {
		if m.Name == o.Mode && o.SwitchTo == "" {
			return float64(steps) * task(m)
		}
		dearest = max(dearest, task(m))
	}
	return float64(steps) * dearest
}

// tomorrow is how long the owner's day has to run.
func (d *Device) tomorrow() time.Duration {
	now := d.options.Now()
	y, m, date := now.Date()
	return max(time.Second, time.Date(y, m, date+1, 0, 0, 0, 0, now.Location()).Sub(now))
}

// correct puts what a round was measured to take in place of what was set aside for it.
func (d *Device) correct(readings []energy.Reading) error {
	if d.options.DailyJoules == 0 || !d.measured {
		return nil
	}
	var took float64
	for _, r := range readings {
		if r.Phase != energy.Between {
			took += r.AboveIdle(d.profile.IdleWatts.Value).Value
		}
	}
	took -= d.reserved
	d.reserved = 0
	return d.spend(took)
}
