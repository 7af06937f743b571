package results

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// PeakRSS is the most memory that this process has had resident so far, in bytes,
// or 0 where the system does not tell.
//
// /proc is asked first: getrusage carries the peak over from the program that
// started this one.
func PeakRSS() int64 {
	fields := strings.Fields(procField("/proc/self/status", "VmHWM")) // "12345 kB"
	if len(fields) == 2 && fields[1] == "kB" {
		if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
			return kib << 10
		}
	}
	return maxRSS()
}

// Processor names the processor for a reader of figures.
func Processor() string {
	for _, key := range []string{"model name", "Model", "Hardware"} { // x86; arm boards
		if name := procField("/proc/cpuinfo", key); name != "" {
			return name
		}
	}
	return runtime.GOARCH
}

// procField returns the value of the first line "key: value" of a file, or "".
func procField(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		k, v, ok := strings.Cut(s.Text(), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func goVersion() string { return runtime.Version() }

// version is that of the module, with the commit of a build from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "" && v != "(devel)" {
		return v // already carries commit and state of the tree
	}
	v = "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v += "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			v += "+dirty"
		}
	}
	return v
}
