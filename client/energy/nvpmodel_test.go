package energy

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// jetson is a folder with the configuration of a board and a program that does as nvpmodel
// does: the modes of an Orin Nano, of which 2 needs a restart.
func jetson(t *testing.T, uid string) (program, conf, state string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	dir := t.TempDir()
	program, conf, state = filepath.Join(dir, "nvpmodel"), filepath.Join(dir, "nvpmodel.conf"), filepath.Join(dir, "state")
	for name, text := range map[string]string{
		conf:  "# commented: < POWER_MODEL ID=7 NAME=NONE >\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >\n",
		state: "0",
		program: `#!/bin/sh
case $1 in
-q) echo "NV Fan Mode:quiet"; echo "NV Power Mode: some"; cat ` + state + `; echo ;;
-m)	if [ ` + uid + ` != 0 ]; then echo "NVPM ERROR: Permission denied" >&2; exit 1; fi
	if [ $2 = 2 ]; then
		echo "NVPM WARN: Reboot required for changing to this power mode: 2"
		echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
		read answer
		exit 0
	fi
	printf %s $2 > ` + state + ` ;;
*) exit 2 ;;
esac
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return program, conf, state
}

func TestPowerModesOfAJetson(t *testing.T) {
	program, conf, state := jetson(t, "0")
	p, err := OpenPowerModes(program, conf)
	if err != nil {
		t.Fatal(err)
	}
	if want := []PowerMode{{0, "15W"}, {1, "7W"}, {2, "MAXN_SUPER"}}; !slices.Equal(p.Modes(), want) {
		t.Errorf("modes %v, want %v", p.Modes(), want)
	}
	is := func(want string) {
		t.Helper()
		if b, _ := os.ReadFile(state); string(b) != want {
			t.Errorf("the board is in mode %s, want %s", b, want)
		}
	}
	if err := p.Set(1); err != nil {
		t.Error(err)
	}
	is("1")
	if err := p.Set(2); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("a mode that needs a restart: %v", err)
	}
	if err := p.Set(7); err == nil || !strings.Contains(err.Error(), "no mode 7") {
		t.Errorf("a mode that nobody defines: %v", err)
	}
	is("1")
	if err := p.Restore(); err != nil {
		t.Error(err)
	}
	is("0")
}

func TestPowerModesThatCannotBeSet(t *testing.T) {
	program, conf, _ := jetson(t, "1000")
	if _, err := OpenPowerModes(program, conf); err == nil || !strings.Contains(err.Error(), "Permission denied") || !strings.Contains(err.Error(), "stay as they are") {
		t.Errorf("without root: %v", err)
	}
	if _, err := OpenPowerModes(filepath.Join(t.TempDir(), "nvpmodel"), conf); err == nil || !strings.Contains(err.Error(), "not offered here") {
		t.Errorf("without the program: %v", err)
	}
	if _, err := OpenPowerModes(program, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("without a configuration")
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("< PM_CONFIG DEFAULT=0 >\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPowerModes(program, empty); err == nil || !strings.Contains(err.Error(), "no power mode") {
		t.Errorf("without modes: %v", err)
	}
}
