package train

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// testConfig is a one-layer classifier of 1x4x4 images in three classes.
func testConfig() Config {
	return Config{
		Architecture: nn.Architecture{
			Name: "linear", Input: nn.Shape{C: 1, H: 4, W: 4},
			Layers: []nn.Layer{{Kind: nn.Flatten}, {Kind: nn.Dense, Out: 3}},
		},
		Classes:       []string{"<a>", "b", "ç"},
		Normalization: dataset.Normalization{Mean: []float64{0.5}, Std: []float64{0.25}},
		Optimizer:     optim.Config{Name: optim.SGD, LR: 0.1, Momentum: 0.9},
		Batch:         8, Epochs: 1.5, Seed: 1<<64 - 1,
	}
}

func TestEncodeDecode(t *testing.T) {
	want := testConfig()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// One task has one encoding: a hash of the bytes names it.
func TestDecodeIsStrict(t *testing.T) {
	good, err := testConfig().Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, b := range map[string]string{
		"empty":         "",
		"truncated":     text[:len(text)-1],
		"trailing":      text + "{}",
		"newline":       text + "\n",
		"unknown field": `{"x":1,` + text[1:],
		"repeated":      `{"batch":8,` + text[1:],
		"other case":    strings.Replace(text, `"batch"`, `"Batch"`, 1),
		"number form":   strings.Replace(text, `"epochs":1.5`, `"epochs":15e-1`, 1),
		"invalid":       strings.Replace(text, `"batch":8`, `"batch":0`, 1),
		"null":          "null",
		"too long":      text + strings.Repeat(" ", maxEncoded),
	} {
		if b == text {
			t.Fatalf("%s: the test changed nothing", name)
		}
		if got, err := Decode([]byte(b)); !errors.Is(err, ErrTask) || !cmp.Equal(got, Config{}) {
			t.Errorf("%s: got %+v, %v, want ErrTask", name, got, err)
		}
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	c := testConfig()
	c.Classes = c.Classes[:2]
	c.Normalization.Std = []float64{0}
	c.Augmentation.Shift = 4
	c.Optimizer.LR = -1
	c.Batch, c.Epochs, c.MaxSteps, c.ValidationFraction = 0, math.NaN(), -1, 1
	err := c.Validate()
	if err == nil {
		t.Fatal("no problem found")
	}
	for _, want := range []string{"classes: ", "normalization", "augmentation", "optimizer.lr: ", "batch: ", "epochs: ", "max_steps: ", "validation_fraction: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("problems do not name %s\n%v", want, err)
		}
	}
	if _, err := c.Encode(); err == nil {
		t.Error("an invalid task was encoded")
	}
	if _, err := New(c); err == nil {
		t.Error("an invalid task got a trainer")
	}
}

func FuzzDecode(f *testing.F) {
	good, err := testConfig().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte("1.5"), []byte("1e999"), 1))
	f.Add(bytes.Repeat([]byte("["), 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s decodes, but encodes to %s, %v", b, again, err)
		}
	})
}
