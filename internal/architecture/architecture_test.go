package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/sotto-fl/sotto/"

// rule forbids packages under From (module-relative prefix, "" for all) to
// import, directly or through others, anything under To.
type rule struct {
	from, to string
	except   []string // importers that may
	direct   bool     // only the package's own imports count
	why      string
}

var rules = []rule{
	{from: "server", to: module + "client", why: "the two sides share a wire contract, not code"},
	{from: "client", to: module + "server", why: "the two sides share a wire contract, not code"},
	{from: "server", to: module + "simulations", why: "nothing simulated, seeded noise above all, is reachable from a deployment"},
	{from: "client", to: module + "simulations", why: "nothing simulated, seeded noise above all, is reachable from a deployment"},
	{from: "aggregation", to: module + "privacy", why: "domains meet in slices"},
	{from: "aggregation", to: module + "model", why: "domains meet in slices"},
	{from: "privacy", to: module + "aggregation", why: "domains meet in slices"},
	{from: "privacy", to: module + "model", why: "domains meet in slices"},
	{from: "model", to: module + "aggregation", why: "domains meet in slices"},
	{from: "model", to: module + "privacy", why: "domains meet in slices"},
	{from: "", to: module + "proto", direct: true, except: []string{"server/rpc", "client/rpc", "proto"}, why: "wire types stay at the edge"},
	{from: "", to: "github.com/tuneinsight/lattigo", direct: true, except: []string{"aggregation/kahe", "aggregation/keyshare", "aggregation/pack"}, why: "lattice code has one home"},
	{from: "aggregation", to: "github.com/rs/zerolog", why: "domains do not log"},
	{from: "privacy", to: "github.com/rs/zerolog", why: "domains do not log"},
	{from: "model", to: "github.com/rs/zerolog", why: "domains do not log"},
	{from: "internal", to: "github.com/rs/zerolog", why: "shared vocabulary does not log"},
	{from: "server/schedule", to: module + "server", direct: true, except: []string{"server/schedule"}, why: "schedule is pure"},
	{from: "server/isolate", to: module, except: []string{"server/isolate"}, direct: true, why: "who is accused follows from values alone"},
	{from: "simulations", to: "google.golang.org/grpc", why: "a newcomer's first command must build quickly"},
	{from: "simulations", to: "modernc.org/sqlite", why: "a newcomer's first command must build quickly"},
	{from: "simulations", to: "github.com/jackc/pgx", why: "a newcomer's first command must build quickly"},
	{from: "simulations", to: "github.com/nats-io", why: "a newcomer's first command must build quickly"},
	{from: "simulations", to: "github.com/prometheus", why: "a newcomer's first command must build quickly"},
	{from: "", to: "github.com/prometheus", direct: true, except: []string{"server/web"}, why: "counters live in the drivers"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func TestImportRules(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		for _, p := range packages {
			from := strings.TrimPrefix(p.ImportPath, module)
			if !under(from, r.from) || allowed(from, r.except) {
				continue
			}
			imports := p.Deps
			if r.direct {
				imports = p.Imports
			}
			for _, i := range imports {
				if under(i, r.to) {
					t.Errorf("%s imports %s: %s", from, i, r.why)
				}
			}
		}
	}
}

// The round machine is pure: standard library only, and no clock, disk or
// network of its own.
func TestRoundIsPure(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != module+"server/round" {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, ".") {
				t.Errorf("server/round imports %s, want the standard library only", i)
			}
			for _, forbidden := range []string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand", "sync"} {
				if i == forbidden {
					t.Errorf("server/round imports %s: time, randomness, disk and network come from outside", i)
				}
			}
		}
		return
	}
	t.Fatal("server/round not found")
}

// The rules themselves are checked against an import that exists, so that a
// renamed module or prefix cannot make them pass by matching nothing.
func TestRulesSeeImports(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath == module+"server/coordinator" {
			for _, d := range p.Deps {
				if under(d, module+"server/round") {
					return
				}
			}
		}
	}
	t.Fatal("server/coordinator is not seen to import server/round")
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,Standard", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ours []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ours
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module) {
			ours = append(ours, p)
		}
	}
}

func under(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

func allowed(path string, except []string) bool {
	for _, e := range except {
		if under(path, e) {
			return true
		}
	}
	return false
}
