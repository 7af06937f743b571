package kernel

import "fmt"

// MaxTaps is the most inputs of one window that MaxPool takes.
const MaxTaps = 256

// MaxPool takes, for each of pixels pixels and each of channels channels, the
// maximum over the taps: x[i*step+taps[t]/4+c]. It writes it to y[i*channels+c],
// after a ReLU if relu is set, and the tap to arg. The first maximum wins a tie,
// a NaN wins over numbers, and the last NaN over others. taps are in bytes. arg
// has Slack.
func (p *Path) MaxPool(x []float32, taps []int64, y []float32, arg []uint8, channels, pixels, step int, relu bool) {
	last := 0
	for _, t := range taps {
		last = max(last, int(t)/4)
	}
	if len(taps) < 1 || len(taps) > MaxTaps || len(x) < last+span([2]int{pixels, step}, [2]int{channels, 1}) || len(y) < pixels*channels || len(arg) < pixels*channels+Slack {
		panic(fmt.Sprintf("kernel: pool of %d pixels of %d channels in slices of %d, %d and %d", pixels, channels, len(x), len(y), len(arg)))
	}
	for i, n := 0, portion(pixels, channels*len(taps)); i < pixels; i += n {
		n := uintptr(min(n, pixels-i))
		if at := i * channels; len(taps) == 4 {
			p.maxPool4(&x[i*step], &taps[0], &y[at], &arg[at], uintptr(channels), n, uintptr(4*step), flag(relu), maskTable)
		} else {
			p.maxPool(&x[i*step], &taps[0], uintptr(len(taps)), &y[at], &arg[at], uintptr(channels), n, uintptr(4*step), flag(relu), maskTable)
		}
	}
}

// portion is how many of count items one call takes if each has size elements.
func portion(count, size int) int { return max(1, min(count, maxRun/max(1, size))) }

// MaxPoolBack adds each gradient to the input that arg says: dx has the geometry
// of MaxPool's x.
func (p *Path) MaxPoolBack(dy []float32, arg []uint8, taps []int64, dx []float32, channels, pixels, step int) {
	last := 0
	for _, t := range taps {
		last = max(last, int(t)/4)
	}
	if len(dx) < last+span([2]int{pixels, step}, [2]int{channels, 1}) || len(dy) < pixels*channels || len(arg) < pixels*channels+Slack {
		panic(fmt.Sprintf("kernel: pool of %d pixels of %d channels in slices of %d, %d and %d", pixels, channels, len(dx), len(dy), len(arg)))
	}
	for i, n := 0, portion(pixels, channels*len(taps)); i < pixels; i += n {
		p.maxPoolBack(&dy[i*channels], &arg[i*channels], &taps[0], uintptr(len(taps)), &dx[i*step], uintptr(channels), uintptr(min(n, pixels-i)), uintptr(4*step), maskTable)
	}
}

// Live prepares one row of pooled pixels for lists: keep is dy where y is above
// zero or NaN (everywhere if relu is not set), and offset is place[i]+taps[arg],
// in bytes, of the input that was the maximum. At most 8 taps. arg has Slack.
func (p *Path) Live(dy, y []float32, arg []uint8, pixels, channels int, place []int32, taps *[16]int32, keep []float32, offset []int32, relu bool) {
	n := pixels * channels
	if len(dy) < n || len(y) < n || len(arg) < n+Slack || len(place) < pixels || len(keep) < n || len(offset) < n {
		panic(fmt.Sprintf("kernel: live gradients of %d pixels of %d channels in slices of %d, %d, %d, %d, %d and %d", pixels, channels, len(dy), len(y), len(arg), len(place), len(keep), len(offset)))
	}
	for i, n := 0, portion(pixels, channels); i < pixels; i += n {
		at := i * channels
		p.live(&dy[at], &y[at], &arg[at], uintptr(min(n, pixels-i)), uintptr(channels), &place[i], &taps[0], &keep[at], &offset[at], flag(relu), maskTable)
	}
}

func flag(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}
