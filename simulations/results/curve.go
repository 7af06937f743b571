package results

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colours from Okabe and Ito's palette, which readers who do not see all colours
// tell apart as well.
var (
	blue   = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	orange = color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
	pale   = color.Gray{Y: 0xe0}
)

// Curve draws accuracy and loss over the rounds as a PNG, or returns nil when
// neither was measured in any round. The same rows give the same picture.
func Curve(title string, rows []Row) ([]byte, error) {
	accuracy := points(rows, func(r Row) float64 { return 100 * r.Accuracy })
	loss := points(rows, func(r Row) float64 { return r.Loss })
	train := points(rows, func(r Row) float64 { return r.TrainLoss })

	var panels []*plot.Plot
	if len(accuracy) > 0 {
		p := newPanel("test accuracy (%)")
		if err := addLine(p, fmt.Sprintf("final: %.2f %%", accuracy[len(accuracy)-1].Y), accuracy, blue, nil); err != nil {
			return nil, err
		}
		p.Legend.Top, p.Legend.YOffs = false, -p.Legend.YOffs
		fit(&p.Y, 100)
		panels = append(panels, p)
	}
	if len(loss)+len(train) > 0 {
		p := newPanel("mean loss")
		p.Y.Min = 0
		if err := addLine(p, "test", loss, blue, nil); err != nil {
			return nil, err
		}
		if err := addLine(p, "clients' training", train, orange, []vg.Length{vg.Points(5), vg.Points(3)}); err != nil {
			return nil, err
		}
		fit(&p.Y, math.Inf(1))
		panels = append(panels, p)
	}
	if len(panels) == 0 {
		return nil, nil
	}
	last := 1.0
	for _, r := range rows {
		last = max(last, float64(r.Round))
	}
	for _, p := range panels {
		p.X.Min, p.X.Max = 0, last
		p.X.Tick.Marker = ticks(steps(0, last, 10, 1))
	}
	panels[0].Title.Text = title
	panels[len(panels)-1].X.Label.Text = "round"
	return render(panels)
}

func points(rows []Row, y func(Row) float64) plotter.XYs {
	var xy plotter.XYs
	for _, r := range rows {
		if v := y(r); measured(v) != nil {
			xy = append(xy, plotter.XY{X: float64(r.Round), Y: v})
		}
	}
	return xy
}

func newPanel(label string) *plot.Plot {
	p := plot.New()
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.Legend.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font,
	} {
		f.Variant = "Sans"
	}
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.Title.Padding = vg.Points(6)
	p.Y.Label.Text = label
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size = vg.Points(11)
		a.Tick.Label.Font.Size = vg.Points(10)
		a.Padding = 0
	}
	p.Legend.Top = true
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.Legend.XOffs, p.Legend.Padding = vg.Points(-6), vg.Points(3)
	p.Legend.YOffs = vg.Points(-4)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = pale, pale
	p.Add(grid)
	return p
}

func addLine(p *plot.Plot, name string, xy plotter.XYs, c color.Color, dashes []vg.Length) error {
	if len(xy) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(xy)
	if err != nil {
		return err
	}
	line.Color, line.Width, line.Dashes = c, vg.Points(1.6), dashes
	dots.Color, dots.Shape, dots.Radius = c, draw.CircleGlyph{}, vg.Points(1.8)
	p.Add(line)
	p.Legend.Add(name, line)
	if len(xy) <= 60 { // more would run into each other
		p.Add(dots)
	}
	return nil
}

// steps divides an axis into at most n steps of 1, 2 or 5 times a power of ten, of
// at least smallest.
func steps(least, most float64, n int, smallest float64) float64 {
	exact := max((most-least)/float64(n), smallest)
	power := math.Pow(10, math.Floor(math.Log10(exact)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= exact*(1-1e-9) {
			return f * power
		}
	}
	return 10 * power
}

// ticks marks the multiples of step.
type ticks float64

func (t ticks) Ticks(least, most float64) []plot.Tick {
	var out []plot.Tick
	digits := max(0, -int(math.Floor(math.Log10(float64(t)))))
	first := math.Ceil(least/float64(t)-1e-9) + 0 // + 0: not the negative zero
	for i := first; i*float64(t) <= most+1e-9*float64(t); i++ {
		v := i * float64(t)
		label := strconv.FormatFloat(v, 'f', digits, 64)
		if math.Abs(v) >= 1e6 {
			label = strconv.FormatFloat(v, 'g', 3, 64)
		}
		out = append(out, plot.Tick{Value: v, Label: label})
	}
	return out
}

// fit ends the vertical axis on a mark at both ends, within [0, most]. A flat line
// gets room above and below.
func fit(a *plot.Axis, most float64) {
	if room := max(1, math.Abs(a.Max)); a.Max-a.Min < 1e-6*room {
		a.Min, a.Max = a.Min-room, a.Max+room
	}
	a.Min, a.Max = max(a.Min, 0), min(a.Max, most)
	step := steps(a.Min, a.Max, 5, 0)
	a.Min = math.Floor(a.Min/step+1e-9) * step
	a.Max = min(math.Ceil(a.Max/step-1e-9)*step, most)
	a.Tick.Marker = ticks(step)
}

func render(panels []*plot.Plot) ([]byte, error) {
	const width, panelHeight = 7 * vg.Inch, 2.9 * vg.Inch
	c := vgimg.NewWith(vgimg.UseWH(width, vg.Length(len(panels))*panelHeight), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))
	tiles := draw.Tiles{
		Rows: len(panels), Cols: 1, PadY: vg.Points(10),
		PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(10), PadRight: vg.Points(16),
	}
	grid := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		grid[i] = []*plot.Plot{p}
	}
	for i, row := range plot.Align(grid, tiles, draw.New(c)) {
		panels[i].Draw(row[0])
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
