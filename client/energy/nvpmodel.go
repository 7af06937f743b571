package energy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// PowerModes are the power models of a Jetson, which cap cores and clocks of processor, GPU
// and memory together. NVIDIA's nvpmodel sets them, and only root may.
type PowerModes struct {
	program string
	was     int
	modes   []PowerMode
}

// PowerMode is one of them.
type PowerMode struct {
	ID   int
	Name string
}

var (
	definedMode = regexp.MustCompile(`(?m)^<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=([A-Za-z0-9_.+-]{1,40})\s*>`)
	currentMode = regexp.MustCompile(`(?m)NV Power Mode:.*\n(\d{1,4})\s*$`)
)

// nvpmodelTime is longer than a change of mode takes.
const nvpmodelTime = 20 * time.Second

// OpenPowerModes looks for the program, usually nvpmodel in the path, and reads the modes
// from its configuration, usually /etc/nvpmodel.conf. The error says why modes cannot be
// set; it sets the present mode again to find out.
func OpenPowerModes(program, conf string) (*PowerModes, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, errors.New("nvpmodel: not offered here")
	}
	b, err := os.ReadFile(conf)
	if err != nil {
		return nil, fmt.Errorf("nvpmodel: %w", err)
	}
	p := &PowerModes{program: path}
	for _, m := range definedMode.FindAllSubmatch(b, costcurve.MaxModes) {
		id, _ := strconv.Atoi(string(m[1])) // digits
		p.modes = append(p.modes, PowerMode{id, string(m[2])})
	}
	if len(p.modes) == 0 {
		return nil, fmt.Errorf("nvpmodel: %s defines no power mode", conf)
	}
	if p.was, err = p.current(); err != nil {
		return nil, err
	}
	if err := p.Set(p.was); err != nil {
		return nil, err
	}
	return p, nil
}

// run has no input: where a mode needs a restart, nvpmodel asks, and takes nothing for no.
func (p *PowerModes) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), nvpmodelTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.program, args...).CombinedOutput()
	out = out[:min(len(out), longestLine)]
	if err != nil {
		first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		return "", fmt.Errorf("nvpmodel %s: %w: %.200s; modes stay as they are", strings.Join(args, " "), err, first)
	}
	return string(out), nil
}

func (p *PowerModes) current() (int, error) {
	out, err := p.run("-q")
	if err != nil {
		return 0, err
	}
	m := currentMode.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("nvpmodel -q: %.80q names no mode", out)
	}
	return strconv.Atoi(m[1])
}

// Modes returns the modes, in the order of the configuration.
func (p *PowerModes) Modes() []PowerMode { return slices.Clone(p.modes) }

// Set changes to a mode, and looks whether it did: some need a restart, and then stay away.
func (p *PowerModes) Set(id int) error {
	if !slices.ContainsFunc(p.modes, func(m PowerMode) bool { return m.ID == id }) {
		return fmt.Errorf("nvpmodel: no mode %d here; calibrate again", id)
	}
	if _, err := p.run("-m", strconv.Itoa(id)); err != nil {
		return err
	}
	now, err := p.current()
	if err == nil && now != id {
		err = fmt.Errorf("nvpmodel: mode %d was set and %d is there: it may need a restart", id, now)
	}
	return err
}

// Restore brings back the mode that OpenPowerModes found.
func (p *PowerModes) Restore() error { return p.Set(p.was) }
