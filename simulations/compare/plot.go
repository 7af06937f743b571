package compare

import (
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Okabe and Ito's palette.
var colours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x00, 0x00, 0x00, 0xff}, color.RGBA{0xf0, 0xe4, 0x42, 0xff},
}

// Plot draws test accuracy over the clients' joules, each the mean over seeds round by
// round, as a PNG. The same runs give the same picture.
func Plot(w io.Writer, runs map[string][]*Run, policies []string, target float64) error {
	p := plot.New()
	p.Title.Text = "accuracy and energy, mean over seeds"
	p.X.Label.Text, p.Y.Label.Text = "energy of all clients, above idle (kJ)", "test accuracy (%)"
	p.Add(plotter.NewGrid())
	p.Legend.Top = false
	most := 0.0
	for at, name := range policies {
		var xy plotter.XYs
		for n := range runs[name][0].Rounds {
			var pt plotter.XY
			for _, r := range runs[name] {
				pt.X += r.Rounds[n].Device / 1e3 / float64(len(runs[name]))
				pt.Y += 100 * r.Rounds[n].Accuracy / float64(len(runs[name]))
			}
			most = max(most, pt.X)
			xy = append(xy, pt)
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return err
		}
		line.Color, line.Width = colours[at%len(colours)], vg.Points(1.6)
		if at >= len(colours) {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(name, line)
	}
	goal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 100 * target}, {X: most, Y: 100 * target}})
	if err != nil {
		return err
	}
	goal.Color, goal.Dashes = color.Gray{0x80}, []vg.Length{vg.Points(2), vg.Points(2)}
	p.Add(goal)
	p.X.Min, p.Y.Max = 0, 100
	p.Y.Min = max(p.Y.Min, 100*target-25)
	return paint(w, p)
}

// PlotJoules draws what each policy took to the target, mean and 95 % interval, as a PNG.
// Policies that never reached it have no bar.
func PlotJoules(w io.Writer, all []Summary) error {
	p := plot.New()
	p.Title.Text = "energy to the target, mean and 95 % interval over seeds"
	p.Y.Label.Text = "energy of all clients, above idle (kJ)"
	p.Y.Min = 0
	var names []string
	for at, s := range all {
		names = append(names, s.Policy)
		if s.Device.N == 0 {
			continue
		}
		bar, err := plotter.NewBarChart(plotter.Values{s.Device.Mean / 1e3}, vg.Points(24))
		if err != nil {
			return err
		}
		bar.XMin, bar.Color, bar.LineStyle.Width = float64(at), colours[at%len(colours)], 0
		p.Add(bar)
		if s.Device.N < 2 {
			continue
		}
		half := s.Device.Half / 1e3
		ends, err := plotter.NewYErrorBars(struct {
			plotter.XYs
			plotter.YErrors
		}{plotter.XYs{{X: float64(at), Y: s.Device.Mean / 1e3}}, plotter.YErrors{{Low: half, High: half}}})
		if err != nil {
			return err
		}
		p.Add(ends)
	}
	p.NominalX(names...)
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign = 0.6, draw.XRight
	return paint(w, p)
}

func paint(w io.Writer, p *plot.Plot) error {
	c := vgimg.NewWith(vgimg.UseWH(7*vg.Inch, 4.2*vg.Inch), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))
	p.Draw(draw.Crop(draw.New(c), vg.Points(8), -vg.Points(14), vg.Points(8), -vg.Points(8)))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}
