package results

import (
	"bytes"
	"encoding/json"
	"flag"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sotto-fl/sotto/internal/config"
)

// look keeps the picture of TestCurve for a person to judge.
var look = flag.String("look", "", "write the learning curve to this file")

var rows = []Row{
	{Round: 1, Accuracy: 0.5, Loss: 1.5, TrainLoss: 2, Accepted: 9, Rejected: 1, Dropped: 1, BytesUp: 10, BytesDown: 20, Seconds: 1.25},
	{Round: 2, Accuracy: 0.9123456789, Loss: math.NaN(), TrainLoss: math.Inf(1), Accepted: 8, Discarded: 2, BytesUp: 1 << 40, Seconds: 2,
		Energy: &Energy{Clients: 12.5, Network: math.NaN(), Server: 3, Holders: math.NaN(), Tier: 3, Grams: math.NaN()}},
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "first")
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	const head = "round,accuracy,loss,train_loss,accepted,rejected,discarded,dropped,bytes_up,bytes_down,seconds,cumulative,joules_clients,joules_network,joules_server,joules_holders,tier,gco2e\n"
	want := head
	for i, line := range []string{"1,0.5,1.5,2,9,1,0,1,10,20,1.250,1.250,,,,,,\n", "2,0.912346,,,8,0,2,0,1099511627776,0,2.000,3.250,12.5,,3,,3,\n"} {
		if err := w.AddRound(rows[i]); err != nil {
			t.Fatal(err)
		}
		// Before the next round, as after a crash.
		want += line
		if d := cmp.Diff(want, read(t, dir, "rounds.csv")); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	}
	done, err := w.Finish(Summary{
		Name: "first", Rounds: 2, Clients: 10, TestAccuracy: 0.97, TestLoss: math.NaN(), Seconds: 3.5,
		BytesUp: 1, BytesDown: 2, ModelSHA256: "ab", Seed: math.MaxUint64, Kernel: "gonum", Workers: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if done.PeakRSS <= 0 || done.Processor == "" || !strings.HasPrefix(done.GoVersion, "go1.") || done.Version == "" {
		t.Errorf("the machine is missing: %+v", done)
	}
	done.PeakRSS, done.Processor, done.GoVersion, done.Version = 4096, "cpu", "go1", "v0"
	fixed, err := json.Marshal(done)
	if err != nil {
		t.Fatal(err)
	}
	const wantJSON = `{"test_accuracy":0.97,"test_loss":null,"name":"first","rounds":2,"clients":10,"seconds":3.5,` +
		`"bytes_up":1,"bytes_down":2,"model_sha256":"ab","seed":18446744073709551615,"kernel":"gonum","workers":2,` +
		`"peak_rss_bytes":4096,"go_version":"go1","processor":"cpu","version":"v0"}`
	if d := cmp.Diff(wantJSON, string(fixed)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var written map[string]any
	if err := json.Unmarshal([]byte(read(t, dir, "summary.json")), &written); err != nil || written["model_sha256"] != "ab" || written["peak_rss_bytes"].(float64) <= 0 {
		t.Errorf("got %v, %v", written, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("the folder holds %v, %v, want three files", files, err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCreateRefuses(t *testing.T) {
	root := t.TempDir()
	full := filepath.Join(root, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir, want string
	}{
		"not empty":   {full, full + ": the folder is not empty"},
		"file":        {file, file + ": not a folder"},
		"in a file":   {filepath.Join(file, "x"), filepath.Join(file, "x") + ": not a folder"},
		"deep inside": {filepath.Join(file, "x", "y"), filepath.Join(file, "x", "y") + ": not a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := Create(c.dir)
			if w != nil || err == nil || err.Error() != c.want || config.Exit(err) != 2 || config.Hint(err) == "" {
				t.Errorf("got %v, exit %d, hint %q, want %s", err, config.Exit(err), config.Hint(err), c.want)
			}
		})
	}
	empty := filepath.Join(root, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := Create(empty)
	if err != nil {
		t.Fatalf("an empty folder: %v", err)
	}
	if _, err := Create(empty); err == nil {
		t.Error("a second run was let into the folder of the first")
	}
	if _, err := w.Finish(Summary{Name: "nothing"}); err != nil {
		t.Errorf("a run without rounds: %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Create(filepath.Join(root, "run"))
	if err == nil || !strings.Contains(err.Error(), root) || config.Exit(err) != 1 || config.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full to stand for a full disk")
	}
	w := &Writer{dir: t.TempDir(), file: f}
	err = w.AddRound(rows[0])
	if err == nil || err.Error() != "write /dev/full: no space left on device" || !strings.Contains(config.Hint(err), "disk is full") || config.Exit(err) != 1 {
		t.Errorf("got %v, hint %q", err, config.Hint(err))
	}
}

func TestCurve(t *testing.T) {
	var many []Row
	for i := 1; i <= 20; i++ {
		x := float64(i)
		many = append(many, Row{Round: i, Accuracy: 0.98 - 0.5*math.Exp(-x/3), Loss: 0.06 + 1.3*math.Exp(-x/3), TrainLoss: 0.1 + 1.6*math.Exp(-x/2.5)})
	}
	picture, err := Curve("mnist-dirichlet", many)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 900 || b.Dy() < 700 {
		t.Errorf("picture of %v is too small to read", b)
	}
	colours := map[[3]uint32]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			colours[[3]uint32{r >> 8, g >> 8, b >> 8}]++
		}
	}
	for name, c := range map[string][3]uint32{"blue": {0x00, 0x72, 0xb2}, "orange": {0xd5, 0x5e, 0x00}} {
		if colours[c] < 500 {
			t.Errorf("%d %s points, want a line", colours[c], name)
		}
	}
	again, err := Curve("mnist-dirichlet", many)
	if err != nil || !bytes.Equal(again, picture) {
		t.Errorf("the same rows gave another picture (%v)", err)
	}
	if *look != "" {
		if err := os.WriteFile(*look, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCurveOfLittle(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		rows []Row
		want bool
	}{
		"no rounds":     {nil, false},
		"nothing":       {[]Row{{Round: 1, Accuracy: nan, Loss: nan, TrainLoss: nan}}, false},
		"one round":     {rows[:1], true},
		"training only": {[]Row{{Round: 1, Accuracy: nan, Loss: nan, TrainLoss: 1}, {Round: 2, Accuracy: nan, Loss: nan, TrainLoss: 1}}, true},
		"flat":          {[]Row{{Round: 1, Accuracy: 0.5}, {Round: 2, Accuracy: 0.5}}, true},
		"diverged":      {[]Row{{Round: 1, Accuracy: 0.1, Loss: math.Inf(1), TrainLoss: 1e300}, {Round: 5000, Accuracy: 0.1, Loss: 1, TrainLoss: 1e300}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			picture, err := Curve(name, c.rows)
			if err != nil || (picture != nil) != c.want {
				t.Errorf("got %d bytes, %v, want a picture: %v", len(picture), err, c.want)
			}
		})
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := WriteRounds(&b, rows); err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"round  accuracy    loss  train loss  reports  dropped       up  down   time\n" +
		"    1   50.00 %  1.5000      2.0000        9        1     10 B  20 B  1.2 s\n" +
		"    2   91.23 %       -           -        8        0  1.0 TiB   0 B  2.0 s\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	b.Reset()
	if err := (Summary{Name: "first", TestAccuracy: 0.5, TestLoss: math.NaN(), Rounds: 2, Clients: 10, Seconds: 3.25, Workers: 2, Kernel: "gonum", BytesUp: 1536, PeakRSS: 1 << 20, ModelSHA256: "ab"}).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"run            first\n", "test accuracy  50.00 %\n", "test loss      -\n", "uploaded       1.5 KiB\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in:\n%s", line, b.String())
		}
	}
}
