package compare

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Okabe and Ito's palette, of which ours has the blues.
var (
	ours   = []color.Color{color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff}}
	others = []color.Color{
		color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
		color.RGBA{0x8c, 0x6d, 0x31, 0xff}, color.RGBA{0x63, 0x63, 0x63, 0xff},
	}
	ink = color.Gray{0x20}
)

// style is how a policy looks in every picture: ours in blue, the oracle, which is the
// least that is possible and no baseline, in black. Dashed where colours are used up.
func style(policies []string, at int) (color.Color, []vg.Length) {
	mine := func(name string) bool { return strings.HasPrefix(name, "price") }
	if policies[at] == "oracle" {
		return ink, []vg.Length{vg.Points(2), vg.Points(2)}
	}
	palette, before := others, 0
	if mine(policies[at]) {
		palette = ours
	}
	for _, name := range policies[:at] {
		if mine(name) == mine(policies[at]) && name != "oracle" {
			before++
		}
	}
	var dashes []vg.Length
	if k := before / len(palette); k > 0 {
		dashes = []vg.Length{vg.Points(6), vg.Points(float64(2 * k))}
	}
	return palette[before%len(palette)], dashes
}

// Plot draws test accuracy over the clients' joules, each the mean over seeds round by
// round, as a PNG. The same runs give the same picture.
func Plot(w io.Writer, runs map[string][]*Run, policies []string, target float64) error {
	p := panel(fmt.Sprintf("Accuracy for energy, %s", seeds(len(runs[policies[0]]))))
	p.X.Label.Text, p.Y.Label.Text = "energy of all clients, above idle (kJ)", "test accuracy (%)"
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xe4}, color.Gray{0xe4}
	p.Add(grid)
	most, best := 0.0, 100*target
	lines := make([]plotter.XYs, len(policies))
	for at, name := range policies {
		for n := range runs[name][0].Rounds {
			var pt plotter.XY
			for _, r := range runs[name] {
				pt.X += r.Rounds[n].Device / 1e3 / float64(len(runs[name]))
				pt.Y += 100 * r.Rounds[n].Accuracy / float64(len(runs[name]))
			}
			most, best = max(most, pt.X), max(best, pt.Y)
			lines[at] = append(lines[at], pt)
		}
	}
	goal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 100 * target}, {X: most, Y: 100 * target}})
	if err != nil {
		return err
	}
	goal.Color, goal.Dashes = color.Gray{0x90}, []vg.Length{vg.Points(2), vg.Points(2)}
	p.Add(goal)
	for at := len(policies) - 1; at >= 0; at-- { // the first on top
		line, err := plotter.NewLine(lines[at])
		if err != nil {
			return err
		}
		line.Color, line.Dashes = style(policies, at)
		line.Width = vg.Points(1.8)
		p.Add(line)
	}
	for at, name := range policies {
		line, err := plotter.NewLine(lines[at])
		if err != nil {
			return err
		}
		line.Color, line.Dashes = style(policies, at)
		line.Width = vg.Points(2.2)
		p.Legend.Add(name, line)
	}
	p.Legend.Top, p.Legend.XOffs, p.Legend.YOffs, p.Legend.Padding = false, -vg.Points(6), vg.Points(8), vg.Points(2.5)
	p.Legend.TextStyle.Font = letters(10)
	p.X.Min, p.X.Max = 0, most*1.02
	// From where most of the climb is over to a little above the best.
	p.Y.Min, p.Y.Max = max(0, 100*target-20), min(100, best+1.5)
	return paint(w, p, 7*vg.Inch, 4.2*vg.Inch)
}

// PlotJoules draws what each policy took to the target, mean and 95 % interval, as a PNG.
// Policies that never reached it have no bar.
func PlotJoules(w io.Writer, all []Summary, target float64, of int) error {
	p := panel(fmt.Sprintf("Energy to %.4g %% accuracy, %s", 100*target, seeds(of)))
	p.X.Label.Text = "energy of all clients, above idle (kJ), with 95 % intervals"
	p.X.Min = 0
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Width = color.Gray{0xe4}, 0
	p.Add(grid)
	names, policies := make([]string, len(all)), make([]string, len(all))
	for k, s := range all {
		policies[k] = s.Policy
	}
	most := 0.0
	for k, s := range all {
		row := float64(len(all) - 1 - k) // the first at the top
		names[len(all)-1-k] = s.Policy
		mean, half := s.Device.Mean/1e3, 0.0
		label := fmt.Sprintf("%.1f", mean)
		switch {
		case s.Device.N == 0:
			mean, label = 0, "never"
		case s.Device.N < of:
			label += fmt.Sprintf(" (%d of %d seeds)", s.Device.N, of)
		}
		if s.Device.N > 0 {
			bar, err := plotter.NewBarChart(plotter.Values{mean}, vg.Points(15))
			if err != nil {
				return err
			}
			bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, row, 0
			bar.Color, _ = style(policies, k)
			p.Add(bar)
		}
		if s.Device.N > 1 {
			half = s.Device.Half / 1e3
			ends, err := plotter.NewXErrorBars(struct {
				plotter.XYs
				plotter.XErrors
			}{plotter.XYs{{X: mean, Y: row}}, plotter.XErrors{{Low: min(half, mean), High: half}}})
			if err != nil {
				return err
			}
			ends.Color, ends.Width, ends.CapWidth = ink, vg.Points(1), vg.Points(6)
			p.Add(ends)
		}
		label = "  " + label
		value, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: mean + half, Y: row}}, Labels: []string{label}})
		if err != nil {
			return err
		}
		value.TextStyle[0].Font, value.TextStyle[0].YAlign, value.TextStyle[0].Color = letters(10), text.YCenter, ink
		p.Add(value)
		most = max(most, mean+half)
	}
	p.NominalY(names...)
	p.Y.Tick.Label.Font, p.Y.Width, p.Y.Padding = letters(10.5), 0, vg.Points(2)
	p.Y.Min, p.Y.Max = -0.6, float64(len(all))-0.4
	p.X.Max = 1.12 * most
	if !(most > 0) {
		p.X.Max = 1
	}
	return paint(w, p, 7*vg.Inch, vg.Length(1.1+0.32*float64(len(all)))*vg.Inch)
}

func seeds(n int) string {
	if n == 1 {
		return "one seed"
	}
	return fmt.Sprintf("mean of %d seeds", n)
}

func letters(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

func panel(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.Title.TextStyle.Font, p.Title.Padding = title, letters(12.5), vg.Points(8)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font, a.Label.Padding = letters(10.5), letters(10), vg.Points(4)
		a.LineStyle.Color, a.Tick.LineStyle.Color, a.Tick.Label.Color = ink, ink, ink
		a.Tick.Marker = ticks{}
	}
	return p
}

// ticks are few, round, and all labelled.
type ticks struct{}

func (ticks) Ticks(low, high float64) []plot.Tick {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	unit := math.Pow(10, math.Floor(math.Log10(span)))
	step := unit
	for _, f := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if span/(f*unit) <= 10 {
			step = f * unit
			break
		}
	}
	var all []plot.Tick
	for k := math.Ceil(low/step-1e-9) + 0; k*step <= high*(1+1e-12); k++ { // + 0: not the negative zero
		all = append(all, plot.Tick{Value: k * step, Label: fmt.Sprintf("%.6g", k*step)})
	}
	return all
}

func paint(w io.Writer, p *plot.Plot, width, height vg.Length) error {
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))
	p.Draw(draw.Crop(draw.New(c), vg.Points(8), -vg.Points(14), vg.Points(8), -vg.Points(8)))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}
