//go:build nvml && cgo && linux

package energy

// The library comes with the driver and is opened when a meter is: what is built with this
// tag runs where there is none.

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

enum { sotto_most_cards = 64 };

static void *sotto_cards[sotto_most_cards];
static int (*sotto_energy)(void *, unsigned long long *);

// Returns 0, or the step that failed; *code is then NVML's reason.
static int sotto_open(const char *path, unsigned int *count, int *code) {
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib) return 1;
	int (*init)(void) = (int (*)(void))dlsym(lib, "nvmlInit_v2");
	int (*number)(unsigned int *) = (int (*)(unsigned int *))dlsym(lib, "nvmlDeviceGetCount_v2");
	int (*handle)(unsigned int, void **) = (int (*)(unsigned int, void **))dlsym(lib, "nvmlDeviceGetHandleByIndex_v2");
	sotto_energy = (int (*)(void *, unsigned long long *))dlsym(lib, "nvmlDeviceGetTotalEnergyConsumption");
	if (!init || !number || !handle || !sotto_energy) return 2;
	if ((*code = init())) return 3;
	if ((*code = number(count))) return 4;
	if (*count > sotto_most_cards) *count = sotto_most_cards;
	for (unsigned int i = 0; i < *count; i++)
		if ((*code = handle(i, &sotto_cards[i]))) return 5;
	return 0;
}

static int sotto_millijoules(unsigned int i, unsigned long long *mj) { return sotto_energy(sotto_cards[i], mj); }
*/
import "C"

import (
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

func init() { openCards = func() (source, error) { return openNVML("libnvidia-ml.so.1") } }

// nvml are the NVIDIA cards of the machine: counters of millijoules since the driver was
// loaded, which cards from Volta on have.
type nvml struct {
	count int
	last  []uint64
}

// The library stays loaded, and is the process's.
var (
	loading sync.Mutex
	loaded  int // cards; 0: not loaded
)

func openNVML(path string) (source, error) {
	loading.Lock()
	defer loading.Unlock()
	if loaded == 0 {
		n, err := loadNVML(path)
		if err != nil {
			return nil, err
		}
		loaded = n
	}
	v := &nvml{count: loaded}
	if err := v.start(); err != nil {
		return nil, err
	}
	return v, nil
}

func loadNVML(path string) (int, error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var count C.uint
	var code C.int
	switch step := C.sotto_open(p, &count, &code); {
	case step == 1:
		return 0, fmt.Errorf("NVML: no %s here", path)
	case step == 2:
		return 0, fmt.Errorf("NVML: %s counts no energy", path)
	case step != 0:
		return 0, fmt.Errorf("NVML: step %d fails with %d", int(step), int(code))
	case count == 0:
		return 0, fmt.Errorf("NVML: no cards")
	}
	return int(count), nil
}

func (v *nvml) name() string                       { return fmt.Sprintf("NVML, %d cards", v.count) }
func (v *nvml) quality() (costcurve.Tier, float64) { return costcurve.TierCounter, 0.05 }
func (v *nvml) period() time.Duration              { return time.Hour } // 64 bits of millijoules do not wrap

func (v *nvml) read() ([]uint64, error) {
	all := make([]uint64, v.count)
	for i := range all {
		var mj C.ulonglong
		if code := C.sotto_millijoules(C.uint(i), &mj); code != 0 {
			return nil, fmt.Errorf("%w: NVML, card %d: %d (3: it does not count)", ErrSource, i, int(code))
		}
		all[i] = uint64(mj)
	}
	return all, nil
}

func (v *nvml) start() (err error) {
	v.last, err = v.read()
	return err
}

func (v *nvml) joules(time.Duration) (float64, error) {
	now, err := v.read()
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, n := range now {
		if n < v.last[i] {
			return 0, fmt.Errorf("%w: NVML, card %d counts from anew", ErrSource, i)
		}
		sum += float64(n-v.last[i]) / 1000
	}
	v.last = now
	return sum, nil
}
