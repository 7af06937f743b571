//go:build nvml && cgo && linux

package energy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// library builds a stand-in for the driver's library: two cards, whose counters are in files.
func library(t *testing.T) (path, counters string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler to build the stand-in with")
	}
	dir := t.TempDir()
	code := `
#include <stdio.h>
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int i, void **h) { *h = (void *)(long)(i + 1); return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *mj) {
	char name[4096];
	snprintf(name, sizeof name, "` + dir + `/%ld", (long)h);
	FILE *f = fopen(name, "r");
	if (!f) return 3;
	int n = fscanf(f, "%llu", mj);
	fclose(f);
	return n == 1 ? 0 : 999;
}
`
	source, path := filepath.Join(dir, "nvml.c"), filepath.Join(dir, "libnvidia-ml.so.1")
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path, dir
}

// Cards are added to RAPL, which does not cover them; a card that counts from anew, or stops
// counting, makes no joules up.
func TestCardsBesideRAPL(t *testing.T) {
	if _, err := loadNVML(filepath.Join(t.TempDir(), "none.so")); err == nil {
		t.Error("a library that is not there was opened")
	}
	path, dir := library(t)
	set := func(card int, mj uint64) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(card)), []byte(strconv.FormatUint(mj, 10)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set(1, 5000)
	set(2, 1<<40)
	was := openCards
	openCards = func() (source, error) { return openNVML(path) }
	defer func() { openCards = was }()

	tr, c := load(t, "amd.txt"), new(clock)
	m := Open(tr, Options{Now: c.now, Cores: 2})
	if _, ok := m.source.(*beside); !ok {
		t.Fatalf("source %s: %v", m.Source(), m.Notes())
	}
	plain := openCards
	openCards = nil
	alone := Open(load(t, "amd.txt"), Options{Now: c.now, Cores: 2})
	openCards = plain
	m.Begin(Train)
	alone.Begin(Train)
	set(1, 7000)
	set(2, 1<<40+500)
	c.t += 10 * time.Second
	with, without := m.End()[0], alone.End()[0]
	if !near(with.Value-without.Value, 2.5) || with.Tier != without.Tier {
		t.Errorf("with cards %+v, without %+v: want 2.5 J more", with.Joules, without.Joules)
	}
	v := m.source.(*beside).cards
	if err := v.start(); err != nil {
		t.Fatal(err)
	}
	set(1, 1)
	if j, err := v.joules(time.Second); !errors.Is(err, ErrSource) {
		t.Errorf("a counter that began anew gives %v J, %v", j, err)
	}
	os.Remove(filepath.Join(dir, "2"))
	if err := v.start(); !errors.Is(err, ErrSource) {
		t.Errorf("a card that does not count: %v", err)
	}
	set(1, 5)
	set(2, 5)
	if m := Open(load(t, "intel.txt"), Options{Now: c.now}); m.Source() != "RAPL, platform" {
		t.Errorf("cards are added to a platform that may have them in it: %s", m.Source())
	}
	if m := Open(load(t, "container.txt"), Options{Now: c.now}); m.source != nil {
		t.Errorf("cards stand for a machine without a meter: %s", m.Source())
	}
}
