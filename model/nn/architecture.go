package nn

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sotto-fl/sotto/model"
)

// Shape is the extent of one example.
type Shape struct {
	C int `yaml:"channels" json:"channels"`
	H int `yaml:"height" json:"height"`
	W int `yaml:"width" json:"width"`
}

// Size is the number of elements of one example.
func (s Shape) Size() int { return s.C * s.H * s.W }

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W) }

// Kind says what a layer computes.
type Kind string

// The kinds of layer; the package documentation lists the fields of each.
const (
	Conv2D    Kind = "conv2d"
	MaxPool   Kind = "max_pool"
	AvgPool   Kind = "avg_pool"
	Dense     Kind = "dense"
	GroupNorm Kind = "group_norm"
	ReLU      Kind = "relu"
	Tanh      Kind = "tanh"
	Flatten   Kind = "flatten"

	// Nothing in these is trained; they stand before all others.
	Scattering  Kind = "scattering"
	Standardize Kind = "standardize"
)

// Layer is one layer of an Architecture. Fields that its Kind does not use are
// zero, and so is a Stride that takes its default.
type Layer struct {
	Kind    Kind `yaml:"kind" json:"kind"`
	Out     int  `yaml:"out,omitempty" json:"out,omitempty"`
	Kernel  int  `yaml:"kernel,omitempty" json:"kernel,omitempty"`
	Window  int  `yaml:"window,omitempty" json:"window,omitempty"`
	Stride  int  `yaml:"stride,omitempty" json:"stride,omitempty"`
	Padding int  `yaml:"padding,omitempty" json:"padding,omitempty"`
	Groups  int  `yaml:"groups,omitempty" json:"groups,omitempty"`
	Scales  int  `yaml:"scales,omitempty" json:"scales,omitempty"`
	Angles  int  `yaml:"angles,omitempty" json:"angles,omitempty"`
}

// Architecture describes a classifier. Its JSON encoding is canonical: equal
// architectures from ParseArchitecture or Named have equal encodings.
type Architecture struct {
	Name   string  `yaml:"name" json:"name"`
	Input  Shape   `yaml:"input" json:"input"`
	Layers []Layer `yaml:"layers" json:"layers"`
}

// Hash identifies an architecture: the SHA-256 of its JSON encoding. It names the network to those
// who permit some and not others.
func (a Architecture) Hash() ([32]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(b), nil
}

// maxYAML is far above any architecture within maxLayers.
const maxYAML = 64 << 10

// ParseArchitecture reads the YAML form in the package documentation, strictly:
// an unknown key fails with its line. The result has passed Validate and has
// default strides cleared, so that writing a default out changes nothing.
func ParseArchitecture(text []byte) (Architecture, error) {
	if len(text) > maxYAML {
		return Architecture{}, fmt.Errorf("architecture: %d bytes of YAML, at most %d are allowed", len(text), maxYAML)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var a Architecture
	if err := d.Decode(&a); err != nil {
		if errors.Is(err, io.EOF) {
			return Architecture{}, errors.New("architecture: empty, want name, input and layers")
		}
		return Architecture{}, fmt.Errorf("architecture: %s", oneLine(err))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Architecture{}, errors.New("architecture: something follows the first YAML document, remove it")
	}
	if err := a.Validate(); err != nil {
		return Architecture{}, err
	}
	for i, l := range a.Layers {
		if l.Stride == l.defaultStride() {
			a.Layers[i].Stride = 0
		}
	}
	return a, nil
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}

// Validate checks every layer against the shape that reaches it and every size
// against this package's bounds. The error names the layer and what to change.
func (a Architecture) Validate() error {
	_, err := a.plan()
	return err
}

// Layout returns the canonical parameter layout: PyTorch's names, numbered by
// kind from 1 (conv1, fc1, norm1), weight before bias.
func (a Architecture) Layout() (model.Layout, error) {
	p, err := a.plan()
	if err != nil {
		return model.Layout{}, err
	}
	return p.layout, nil
}

// Classes is the number of outputs of the last layer; 0 if there is none.
func (a Architecture) Classes() int {
	if len(a.Layers) == 0 {
		return 0
	}
	return a.Layers[len(a.Layers)-1].Out
}

func (l Layer) defaultStride() int {
	switch l.Kind {
	case Conv2D:
		return 1
	case MaxPool, AvgPool:
		return l.Window
	default:
		return 0
	}
}

func (l Layer) stride() int {
	if l.Stride == 0 {
		return l.defaultStride()
	}
	return l.Stride
}
