package energy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Clocks limits the processors' clocks through cpufreq, where this user may.
type Clocks struct {
	files []string // scaling_max_freq of every processor
	was   []string
	steps []int64
}

// OpenClocks looks below root, usually /sys. The error says why clocks cannot be set.
func OpenClocks(root string) (*Clocks, error) {
	files, _ := filepath.Glob(filepath.Join(root, "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq"))
	if len(files) == 0 {
		return nil, errors.New("cpufreq: not offered here; clocks stay as the system sets them")
	}
	c := &Clocks{files: files}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cpufreq: %w", err)
		}
		c.was = append(c.was, strings.TrimSpace(string(b)))
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("cpufreq: %w; clocks stay as the system sets them", err)
		}
		f.Close()
	}
	c.steps = steps(filepath.Dir(files[0]))
	if len(c.steps) == 0 {
		return nil, errors.New("cpufreq: no range of clocks is shown")
	}
	return c, nil
}

// most steps that are tried: enough for a curve of a few pieces.
const mostSteps = 5

// steps returns up to five clocks in kHz, ascending.
func steps(dir string) []int64 {
	var all []int64
	if b, err := os.ReadFile(filepath.Join(dir, "scaling_available_frequencies")); err == nil {
		for _, word := range strings.Fields(string(b)) {
			if v, err := strconv.ParseInt(word, 10, 64); err == nil && v > 0 {
				all = append(all, v)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 {
		var ends [2]int64
		for i, name := range []string{"cpuinfo_min_freq", "cpuinfo_max_freq"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil
			}
			if ends[i], err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err != nil || ends[i] <= 0 {
				return nil
			}
		}
		for i := range int64(mostSteps) {
			all = append(all, ends[0]+(ends[1]-ends[0])*i/(mostSteps-1))
		}
		return slices.Compact(all)
	}
	if len(all) <= mostSteps {
		return all
	}
	some := make([]int64, mostSteps)
	for i := range some {
		some[i] = all[i*(len(all)-1)/(mostSteps-1)]
	}
	return some
}

// Steps returns the clocks to try, in kHz, ascending.
func (c *Clocks) Steps() []int64 { return slices.Clone(c.steps) }

// Limit sets the highest clock of every processor. After an error some may have it.
func (c *Clocks) Limit(khz int64) error {
	for _, file := range c.files {
		if err := os.WriteFile(file, []byte(strconv.FormatInt(khz, 10)), 0); err != nil {
			return fmt.Errorf("cpufreq: %w", err)
		}
	}
	return nil
}

// Restore brings back the limits that OpenClocks found.
func (c *Clocks) Restore() error {
	var problems []error
	for i, file := range c.files {
		problems = append(problems, os.WriteFile(file, []byte(c.was[i]), 0))
	}
	return errors.Join(problems...)
}
