package schedule

import "math"

// Replan says whether to begin a round now, and where. Each site's Intensity starts
// with what is measured now, and goes on with the latest forecast up to the horizon.
// The round begins if the cheapest plan for all remaining rounds has its first one
// here. Asked in every slot, it repairs earlier forecasts: what was wrong then is
// measured now. A forecast that jitters from slot to slot should pass Smooth first.
//
// While a round is running or its gap lasts, do not ask.
func Replan(sites []Site, r Rounds) (start bool, site int, err error) {
	if r.Count == 0 {
		return false, 0, nil
	}
	starts, _, err := PlanStarts(sites, r)
	if err != nil {
		return false, 0, err
	}
	return starts[0].Slot == 0, starts[0].Site, nil
}

// Correct moves a forecast by the error that shows now: the measured intensity less
// the forecast for now, fading by persistence in [0, 1) with every slot. Errors of
// forecasts last for hours, so what is wrong now tells of what will be. forecast
// starts with now, is changed in place, and stays at 0 or above.
func Correct(forecast []float64, measured, persistence float64) {
	if len(forecast) == 0 {
		return
	}
	off := measured - forecast[0]
	for t := range forecast {
		forecast[t] = max(0, forecast[t]+off)
		off *= persistence
	}
}

// Gate decides online when there is no forecast: run when the intensity is low for
// how far behind the rounds are. It keeps the queue of Neely's drift plus penalty
// ("Stochastic Network Optimization", 2010): cost within O(1/V) of the best, late by
// O(V), and never too late, for it opens when slack is gone. Not safe for concurrent
// use; the zero Gate is not usable.
type Gate struct {
	V      float64 // rounds of queue for one unit of intensity: patience
	Left   int     // rounds still to run
	Slots  int     // slots until the horizon
	Length int     // slots that a round takes, during which the gate is not asked; 0: 1
	queue  float64
}

// Step takes the intensity of the slot that begins, and reports whether to run a
// round in it. Intensities are not negative; a NaN counts as infinite. While a round
// takes more slots than this one, leave the gate alone: it knows.
func (g *Gate) Step(intensity float64) bool {
	if g.Left <= 0 || g.Slots <= 0 {
		return false
	}
	if math.IsNaN(intensity) {
		intensity = math.Inf(1)
	}
	length := max(1, g.Length)
	g.queue += float64(g.Left) / float64(g.Slots)
	run := g.V*intensity <= g.queue || g.Left > (g.Slots-1)/length
	if !run {
		g.Slots--
		return false
	}
	passed := min(length, g.Slots)
	g.queue = max(g.queue+float64(g.Left*(passed-1))/float64(g.Slots)-1, 0)
	g.Left--
	g.Slots -= passed
	return true
}

// Wait tells the gate that slots remain: what passed since it was asked last counts as
// waiting, as far as it did not know of it.
func (g *Gate) Wait(slots int) {
	if passed := g.Slots - slots; passed > 0 && g.Slots > 0 {
		g.queue += float64(g.Left*passed) / float64(g.Slots)
	}
	g.Slots = slots
}

// Smooth returns the series without what changes faster than period slots (half of
// the amplitude is gone there): the minimum of
// sum (v - y)^2 + (period/2pi)^4 sum (second difference of v)^2, known as the
// Whittaker or Hodrick-Prescott smoother. Grid intensity follows the sun and the
// shops over hours; what jitters between slots of a forecast is its error. Linear
// time. The values are finite; period 0 returns a copy.
func Smooth(y []float64, period float64) []float64 {
	n := len(y)
	v := append([]float64(nil), y...)
	w := math.Pow(period/(2*math.Pi), 4)
	if n < 3 || !(w > 0) || math.IsInf(w, 1) {
		return v
	}
	// LDL' of the pentadiagonal I + w D'D: diagonal d, sub-diagonals e and f.
	diag := func(i int) float64 {
		c := 0.0
		for _, k := range [3]int{i - 2, i - 1, i} { // second differences that hold v_i
			if k >= 0 && k <= n-3 {
				c += [3]float64{1, 4, 1}[i-k]
			}
		}
		return 1 + w*c
	}
	sub := func(i int) float64 { // of i and i+1
		c := 0.0
		if i-1 >= 0 && i-1 <= n-3 {
			c -= 2
		}
		if i <= n-3 {
			c -= 2
		}
		return w * c
	}
	d, e, f := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		d[i] = diag(i)
		if i >= 1 {
			d[i] -= e[i-1] * e[i-1] * d[i-1]
		}
		if i >= 2 {
			d[i] -= f[i-2] * f[i-2] * d[i-2]
		}
		if i+1 < n {
			e[i] = sub(i)
			if i >= 1 {
				e[i] -= e[i-1] * f[i-1] * d[i-1]
			}
			e[i] /= d[i]
		}
		if i+2 < n {
			f[i] = w / d[i]
		}
	}
	for i := range n {
		if i >= 1 {
			v[i] -= e[i-1] * v[i-1]
		}
		if i >= 2 {
			v[i] -= f[i-2] * v[i-2]
		}
	}
	for i := n - 1; i >= 0; i-- {
		v[i] /= d[i]
		if i+1 < n {
			v[i] -= e[i] * v[i+1]
		}
		if i+2 < n {
			v[i] -= f[i] * v[i+2]
		}
	}
	return v
}
