package compare

import (
	"bytes"
	"image/color"

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
func Plot(runs map[string][]*Run, policies []string, target float64) ([]byte, error) {
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
			return nil, err
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
		return nil, err
	}
	goal.Color, goal.Dashes = color.Gray{0x80}, []vg.Length{vg.Points(2), vg.Points(2)}
	p.Add(goal)
	p.X.Min, p.Y.Max = 0, 100
	p.Y.Min = max(p.Y.Min, 100*target-25)
	c := vgimg.NewWith(vgimg.UseWH(7*vg.Inch, 4.2*vg.Inch), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))
	p.Draw(draw.Crop(draw.New(c), vg.Points(8), -vg.Points(14), vg.Points(8), -vg.Points(8)))
	var b bytes.Buffer
	_, err = vgimg.PngCanvas{Canvas: c}.WriteTo(&b)
	return b.Bytes(), err
}
