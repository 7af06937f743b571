// Package train runs local training: one task on one client's data.
//
// A task (Config) is data. The server sends its canonical encoding to clients,
// and both sides name it by the hash of those bytes. A Trainer carries it out; it
// owns one network and all buffers, so a worker makes one and reuses it for
// client after client.
//
// The package does not encode, clip or weigh updates, and knows nothing of
// rounds beyond the number that seeds a client's shuffling.
package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/model/dataset"
	"github.com/sotto-fl/sotto/model/nn"
	"github.com/sotto-fl/sotto/model/optim"
)

// Config is a task: what a client trains, and how.
type Config struct {
	Architecture       nn.Architecture       `yaml:"architecture" json:"architecture" doc:"the network: the name of a built-in one (cifar-cnn, mnist-cnn, dp-cnn, scatter-linear), or name, input and layers"`
	Classes            []string              `yaml:"classes" json:"classes" doc:"class names in label order; folders of images are matched to them"`
	Normalization      dataset.Normalization `yaml:"normalization" json:"normalization" doc:"per channel: (pixel/max - mean) / std"`
	Augmentation       dataset.Augmentation  `yaml:"augmentation" json:"augmentation" doc:"how training images vary"`
	Copies             int                   `yaml:"copies" json:"copies,omitempty" doc:"DP-SGD: varied copies of an image whose mean gradient is clipped as one (augmentation multiplicity); 0 for 1"`
	Optimizer          optim.Config          `yaml:"optimizer" json:"optimizer" doc:"the clients' optimiser; its state starts anew each round"`
	Batch              int                   `yaml:"batch" json:"batch" doc:"examples in one step"`
	Epochs             float64               `yaml:"epochs" json:"epochs" doc:"passes over a client's data in one round; may be fractional"`
	MaxSteps           int                   `yaml:"max_steps" json:"max_steps" doc:"most steps in one round; 0 for no limit"`
	ValidationFraction float64               `yaml:"validation_fraction" json:"validation_fraction" doc:"share of a client's data kept for validating the models it receives"`
	Seed               uint64                `yaml:"-" json:"seed"` // root of shuffling, augmentation and rounding; the run's
}

// Bounds of a task. They keep a hostile server from asking for absurd work or
// memory; architectures have bounds of their own.
const (
	maxEncoded = 1 << 20
	maxBatch   = 1 << 16
	maxEpochs  = 1000
	maxClasses = 1 << 16
)

// ErrTask marks an encoding that is not a task.
var ErrTask = errors.New("not a valid task")

// Validate reports every problem, each with its key path.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := c.Architecture.Validate(); err != nil {
		bad("architecture: %w", err)
	} else {
		if n := c.Architecture.Classes(); n != len(c.Classes) {
			bad("classes: got %d names, the architecture has %d outputs", len(c.Classes), n)
		}
		in := c.Architecture.Input
		if err := c.Normalization.Validate(in.C); err != nil {
			bad("normalization: %w", err)
		}
		if err := c.Augmentation.Validate(dataset.Shape{C: in.C, H: in.H, W: in.W}); err != nil {
			bad("augmentation: %w", err)
		}
	}
	if len(c.Classes) > maxClasses {
		bad("classes: got %d, want at most %d", len(c.Classes), maxClasses)
	}
	if c.Copies < 0 || c.Copies > max(c.Batch, 1) {
		bad("copies: got %d, want 0 to batch (%d)", c.Copies, c.Batch)
	} else if c.Copies > 1 && !c.Augmentation.Enabled() {
		bad("copies: got %d of the same image: choose an augmentation, or leave them out", c.Copies)
	}
	if c.Batch < 1 || c.Batch > maxBatch {
		bad("batch: got %d, want 1 to %d", c.Batch, maxBatch)
	}
	if !(c.Epochs > 0 && c.Epochs <= maxEpochs) {
		bad("epochs: got %g, want more than 0 and at most %d", c.Epochs, maxEpochs)
	}
	if c.MaxSteps < 0 {
		bad("max_steps: got %d, want 0 (no limit) or more", c.MaxSteps)
	}
	if !(c.ValidationFraction >= 0 && c.ValidationFraction <= 0.9) {
		bad("validation_fraction: got %g, want 0 to 0.9", c.ValidationFraction)
	}
	return errors.Join(append(problems, config.At("optimizer", c.Optimizer.Validate()))...)
}

// Encode returns the canonical bytes of a valid task: equal tasks have equal
// bytes.
func (c Config) Encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// Decode reads what Encode wrote, and nothing else: unknown fields, trailing
// bytes, other spellings of the same task and invalid tasks are refused with
// ErrTask.
func Decode(b []byte) (Config, error) {
	var c Config
	if len(b) > maxEncoded {
		return c, fmt.Errorf("%w: %d bytes, want at most %d", ErrTask, len(b), maxEncoded)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrTask, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%w: bytes after its end", ErrTask)
	}
	canonical, err := c.Encode()
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrTask, err)
	}
	if !bytes.Equal(canonical, b) {
		return Config{}, fmt.Errorf("%w: not in canonical form", ErrTask)
	}
	return c, nil
}
