package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Bytes is a size in bytes, written as 4MiB, 1.5GB or 512B.
type Bytes int64

var bytesType = reflect.TypeFor[Bytes]()

// units from large to small; the binary ones are those that String uses.
var units = []struct {
	name string
	size float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseBytes reads a size. A unit is required, and the size must be whole bytes,
// 0 or more.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		size := f * u.size
		// 2^53: beyond it a float64 no longer holds every whole number.
		if err != nil || !(size >= 0 && size <= 1<<53) || size != math.Trunc(size) {
			break
		}
		return Bytes(size), nil
	}
	return 0, fmt.Errorf("got %q, want a size such as 512B, 64KiB or 4MiB", s)
}

// String writes b exactly, in the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range units[:4] {
		if size := Bytes(u.size); b != 0 && b%size == 0 {
			return fmt.Sprintf("%d%s", int64(b/size), u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(b))
}

func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := ParseBytes(string(text))
	if err != nil {
		return err
	}
	*b = v
	return nil
}
