package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Augmentation says how training images vary from epoch to epoch. The zero
// value leaves them alone.
type Augmentation struct {
	Flip   bool    `yaml:"flip" json:"flip"`     // mirror left and right, with probability 1/2
	Shift  int     `yaml:"shift" json:"shift"`   // move by -Shift to Shift whole pixels, each axis on its own
	Rotate float64 `yaml:"rotate" json:"rotate"` // turn about the centre by -Rotate to Rotate degrees, bilinear
}

// Enabled says whether Apply would do anything.
func (a Augmentation) Enabled() bool { return a.Flip || a.Shift != 0 || a.Rotate != 0 }

// Validate says whether a makes sense for images of the shape s.
func (a Augmentation) Validate(s Shape) error {
	if a.Shift < 0 || a.Shift >= min(s.H, s.W) {
		return fmt.Errorf("augmentation shift is %d pixels, want 0 to %d for images of %v", a.Shift, min(s.H, s.W)-1, s)
	}
	if !(a.Rotate >= 0 && a.Rotate <= 180) {
		return fmt.Errorf("augmentation rotate is %v degrees, want 0 to 180", a.Rotate)
	}
	return nil
}

// Apply varies one image in place. img is (C, H, W) of the shape s, normalised
// by n; pixels that move in from outside are black, which n maps to its own
// value. scratch belongs to the caller, has at least s.Size() elements that do
// not overlap img, and holds nothing of use afterwards. Apply allocates nothing
// and panics if a slice is too short.
//
// The image is a function of its input and of rng, from which every enabled
// part draws once for each image, so that a stream stays in step.
func (a Augmentation) Apply(img, scratch []float32, s Shape, n Normalization, rng *rand.Rand) {
	if !a.Enabled() {
		return
	}
	var m motion
	if a.Flip {
		m.flip = rng.IntN(2) == 1
	}
	if a.Shift > 0 {
		m.dx, m.dy = rng.IntN(2*a.Shift+1)-a.Shift, rng.IntN(2*a.Shift+1)-a.Shift
	}
	if a.Rotate > 0 {
		m.angle = (2*rng.Float64() - 1) * a.Rotate * math.Pi / 180
	}
	if m == (motion{}) {
		return
	}
	size, plane := s.Size(), s.H*s.W
	img, scratch = img[:size], scratch[:size]
	copy(scratch, img)
	for c := range s.C {
		dst, src := img[c*plane:][:plane], scratch[c*plane:][:plane]
		black := n.Value(c, 0)
		if m.angle == 0 {
			m.move(dst, src, s.H, s.W, black)
		} else {
			m.turn(dst, src, s.H, s.W, black)
		}
	}
}

// motion mirrors, then turns, then shifts.
type motion struct {
	flip   bool
	dx, dy int
	angle  float64 // radians, clockwise on the screen
}

// move is the motion without its rotation: whole pixels, copied.
func (m motion) move(dst, src []float32, h, w int, black float32) {
	for y := range h {
		row := dst[y*w:][:w]
		sy := y - m.dy
		for x := range row {
			sx := x - m.dx
			if sx < 0 || sx >= w || sy < 0 || sy >= h {
				row[x] = black
				continue
			}
			if m.flip {
				sx = w - 1 - sx
			}
			row[x] = src[sy*w+sx]
		}
	}
}

// turn is the whole motion. It walks the destination and samples the source
// where each pixel came from.
func (m motion) turn(dst, src []float32, h, w int, black float32) {
	sin, cos := math.Sincos(m.angle)
	cx, cy := float64(w-1)/2, float64(h-1)/2
	at := func(x, y int) float64 {
		if x < 0 || x >= w || y < 0 || y >= h {
			return float64(black)
		}
		return float64(src[y*w+x])
	}
	for y := range h {
		for x := range w {
			u, v := float64(x-m.dx)-cx, float64(y-m.dy)-cy
			// The conversions keep products from being fused into sums,
			// whose rounding would depend on the machine.
			sx := float64(cos*u) + float64(sin*v) + cx
			sy := float64(cos*v) - float64(sin*u) + cy
			if m.flip {
				sx = float64(w-1) - sx
			}
			fx, fy := math.Floor(sx), math.Floor(sy)
			ix, iy := int(fx), int(fy)
			fx, fy = sx-fx, sy-fy
			top := at(ix, iy) + float64(fx*(at(ix+1, iy)-at(ix, iy)))
			bottom := at(ix, iy+1) + float64(fx*(at(ix+1, iy+1)-at(ix, iy+1)))
			dst[y*w+x] = float32(top + float64(fy*(bottom-top)))
		}
	}
}
