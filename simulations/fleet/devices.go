package fleet

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed devices.yaml
var devices []byte

// Class is a kind of device.
type Class struct {
	ID         string  `yaml:"id"`
	Name       string  `yaml:"name"`
	IdleWatts  float64 `yaml:"idle_watts"`
	AwakeWatts float64 `yaml:"awake_watts"` // added to the watts of every mode
	BatteryWh  float64 `yaml:"battery_wh"`  // 0: mains
	Efficiency float64 `yaml:"efficiency"`  // share of a mode's GFLOP/s that training reaches
	Confidence string  `yaml:"confidence"`
	Source     string  `yaml:"source"`
	Modes      []struct {
		Name   string  `yaml:"name"`
		Watts  float64 `yaml:"watts"`
		GFLOPS float64 `yaml:"gflops"`
	} `yaml:"modes"`
}

var classes = sync.OnceValues(func() ([]Class, error) {
	d := yaml.NewDecoder(bytes.NewReader(devices))
	d.KnownFields(true)
	var c []Class
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("devices.yaml: %w", err)
	}
	return c, nil
})

// Classes returns the kinds of devices that there are. The slice is shared: read only.
func Classes() ([]Class, error) { return classes() }
