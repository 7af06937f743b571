package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/sotto-fl/sotto/privacy/ledger"
)

// canvas is a chart in SVG: x grows to the right and y upwards, in the units of the data.
type canvas struct {
	b                      strings.Builder
	width, height          float64
	left, right, top, foot float64
	x0, x1, y0, y1         float64
}

func newCanvas(title string, x0, x1, y0, y1 float64) *canvas {
	c := &canvas{width: 720, height: 300, left: 52, right: 16, top: 14, foot: 42, x0: x0, x1: x1, y0: y0, y1: y1}
	fmt.Fprintf(&c.b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, c.width, c.height, template.HTMLEscapeString(title))
	return c
}

func (c *canvas) x(v float64) float64 {
	return c.left + (v-c.x0)/(c.x1-c.x0)*(c.width-c.left-c.right)
}

func (c *canvas) y(v float64) float64 {
	return c.height - c.foot - (v-c.y0)/(c.y1-c.y0)*(c.height-c.top-c.foot)
}

func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, template.HTMLEscapeString(s))
}

// axes draws grid lines, numbers and names.
func (c *canvas) axes(xName, yName string, y func(float64) string) {
	for _, v := range ticks(c.y0, c.y1, 5) {
		fmt.Fprintf(&c.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="grid"/>`, c.left, c.width-c.right, c.y(v), c.y(v))
		c.text(c.left-8, c.y(v)+4, "end", "tick", y(v))
	}
	for _, v := range ticks(c.x0, c.x1, 8) {
		if v != math.Trunc(v) { // rounds are whole
			continue
		}
		c.text(c.x(v), c.height-c.foot+18, "middle", "tick", fmt.Sprintf("%g", v))
	}
	fmt.Fprintf(&c.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="axis"/>`, c.left, c.width-c.right, c.y(c.y0), c.y(c.y0))
	c.text((c.left+c.width-c.right)/2, c.height-6, "middle", "name", xName)
	fmt.Fprintf(&c.b, `<text x="14" y="%.1f" transform="rotate(-90 14 %.1f)" text-anchor="middle" class="name">%s</text>`,
		(c.top+c.height-c.foot)/2, (c.top+c.height-c.foot)/2, template.HTMLEscapeString(yName))
}

func (c *canvas) line(class string, xs, ys []float64) {
	c.b.WriteString(`<polyline class="` + class + `" points="`)
	for i := range xs {
		fmt.Fprintf(&c.b, "%.1f,%.1f ", c.x(xs[i]), c.y(min(ys[i], c.y1)))
	}
	c.b.WriteString(`"/>`)
}

func (c *canvas) done() template.HTML {
	c.b.WriteString("</svg>")
	return template.HTML(c.b.String()) // all text in it was escaped
}

// ticks are round numbers from lo to hi.
func ticks(lo, hi float64, n int) []float64 {
	raw := (hi - lo) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5, 10} {
		if step*f >= raw {
			step *= f
			break
		}
	}
	var out []float64
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		v := i * step
		out = append(out, max(0, math.Round(v*1e9)/1e9))
	}
	return out
}

// maxPoints keeps pages small; more than one a pixel is not seen.
const maxPoints = 700

// epsilonChart draws epsilon spent over rounds against the budget.
func (r *Report) epsilonChart() template.HTML {
	if r.Contract.None() || len(r.Rounds) == 0 {
		return ""
	}
	last := float64(max(r.Budget.Rounds, r.Rounds[len(r.Rounds)-1].Round))
	top := float64(max(r.Budget.Epsilon, r.Budget.Claim)) * 1.12
	c := newCanvas("epsilon spent over rounds against the budget", 0, last, 0, top)
	c.axes("round", "epsilon (ε)", func(v float64) string { return fmt.Sprintf("%g", v) })
	xs, ys := []float64{0}, []float64{0}
	step := max(1, len(r.Rounds)/maxPoints)
	var before ledger.Epsilon
	for i, o := range r.Rounds {
		if i%step == 0 || i == len(r.Rounds)-1 {
			xs = append(xs, float64(o.Round), float64(o.Round))
			ys = append(ys, float64(before), float64(o.Spent))
		}
		before = o.Spent
	}
	area := append(append([]float64{}, xs...), xs[len(xs)-1])
	c.line("area", area, append(append([]float64{}, ys...), 0))
	c.line("spent", xs, ys)
	e := float64(r.Budget.Epsilon)
	c.line("budget", []float64{0, last}, []float64{e, e})
	c.text(c.width-c.right-4, c.y(e)-6, "end", "label budget-label", fmt.Sprintf("budget %g", e))
	lx, ly := xs[len(xs)-1], ys[len(ys)-1]
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="4" class="dot"/>`, c.x(lx), c.y(ly))
	anchor, dx := "end", -8.0
	if c.x(lx) < c.width/3 {
		anchor, dx = "start", 8
	}
	y := c.y(ly) - 8
	if math.Abs(y-(c.y(e)-6)) < 14 { // keep clear of the budget's label, and of the curve
		y = c.y(ly) + 52
	}
	c.text(c.x(lx)+dx, y, anchor, "label", "spent "+epsilonText(ledger.Epsilon(ly)))
	for _, o := range r.Rounds {
		if o.Phase == ledger.Voided.String() && len(r.Rounds) <= maxPoints {
			class := "void"
			if o.Charged {
				class = "void charged"
			}
			fmt.Fprintf(&c.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="%s"/>`, c.x(float64(o.Round)), c.x(float64(o.Round)), c.y(0), c.y(0)-10, class)
		}
	}
	return c.done()
}

// accuracyChart draws accuracy on public data over the same rounds.
func (r *Report) accuracyChart() template.HTML {
	var xs, ys []float64
	lowest := 1.0
	step := max(1, len(r.Rounds)/maxPoints)
	for i, o := range r.Rounds {
		if o.Accuracy != nil && (i%step == 0 || i == len(r.Rounds)-1) {
			xs, ys = append(xs, float64(o.Round)), append(ys, *o.Accuracy*100)
			lowest = min(lowest, *o.Accuracy)
		}
	}
	if len(xs) == 0 {
		return ""
	}
	last := float64(max(r.Budget.Rounds, r.Rounds[len(r.Rounds)-1].Round))
	c := newCanvas("accuracy on public test data over rounds", 0, last, math.Floor(lowest*10)*10, 100)
	c.axes("round", "accuracy (%)", func(v float64) string { return fmt.Sprintf("%g", v) })
	c.line("accuracy", xs, ys)
	n := len(xs) - 1
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="4" class="dot accuracy-dot"/>`, c.x(xs[n]), c.y(ys[n]))
	anchor, dx := "end", 0.0
	if c.x(xs[n]) < c.width-80 { // beside the curve, not across it
		anchor, dx = "start", 10
	}
	c.text(c.x(xs[n])+dx, c.y(ys[n])+20, anchor, "label", fmt.Sprintf("%.1f %%", ys[n]))
	return c.done()
}

// clientsChart draws how many clients took part in how many rounds, and what that cost them.
func (r *Report) clientsChart() template.HTML {
	if len(r.Clients) == 0 {
		return ""
	}
	most := 0
	for _, s := range r.Clients {
		most = max(most, s.Clients)
	}
	lo, hi := r.Clients[0].Rounds, r.Clients[len(r.Clients)-1].Rounds
	c := newCanvas("clients by rounds they took part in", float64(lo)-0.75, float64(hi)+0.75, 0, float64(most)*1.15)
	c.axes("rounds that a client took part in", "clients", func(v float64) string { return fmt.Sprintf("%g", v) })
	w := min(40, 0.7*(c.x(1)-c.x(0)))
	for i, s := range r.Clients {
		x := c.x(float64(s.Rounds))
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="bar"><title>%d clients, %d rounds, epsilon %s</title></rect>`,
			x-w/2, c.y(float64(s.Clients)), w, c.y(0)-c.y(float64(s.Clients)), s.Clients, s.Rounds, epsilonText(s.Epsilon))
		if len(r.Clients) <= 14 || i == 0 || i == len(r.Clients)-1 {
			c.text(x, c.y(float64(s.Clients))-5, "middle", "tick", "ε "+epsilonText(s.Epsilon))
		}
	}
	return c.done()
}
