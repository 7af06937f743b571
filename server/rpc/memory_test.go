package rpc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/client/participant"
	client "github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/server/coordinator"
)

// receiving is a run that does with an upload what an encrypted run does: it checks it,
// writes it to a spool on disk, adds it, and keeps its header.
type receiving struct {
	*fakeRun
	record       *keyshare.Record
	announcement statement.Digest
	frame        terms.Frame
	known        keyshare.Known

	mu      sync.Mutex
	sum     *kahe.Sum
	spool   *os.File
	headers []keyshare.Header
}

func (r *receiving) BodySize() int         { return r.frame.Size() }
func (r *receiving) Hasher() *terms.Hasher { return r.frame.Hasher() }

func (r *receiving) Report(_ context.Context, _ string, report coordinator.Report) (coordinator.Receipt, error) {
	u, err := r.frame.Parse(report.Body)
	if err != nil {
		return coordinator.Receipt{}, err
	}
	err = errors.Join(u.Header.Verify(r.record, r.announcement, 1, &r.known), u.Header.CheckBoxHashes(report.Hashes.Boxes), r.sum.Check(u.Ciphertext))
	if err != nil || report.Hashes.Ciphertext != u.Header.Ciphertext {
		return coordinator.Receipt{}, fmt.Errorf("%w: %w", coordinator.ErrMalformed, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.spool.WriteAt(report.Body, int64(len(r.headers))*int64(len(report.Body))); err != nil {
		return coordinator.Receipt{}, err
	}
	r.headers = append(r.headers, *u.Header)
	return coordinator.Receipt{}, r.sum.Add(u.Ciphertext)
}

// BenchmarkUploadsInFlight is the server's memory while n clients upload the model of
// d = 545,098 values over gRPC, all at once: live bytes on the heap, measured every few
// milliseconds. start-MB is before the first byte, the empty sum of 2.2 MB included;
// peak-MB, and accepted-MB when all uploads are in the sum, come on top of it.
func BenchmarkUploadsInFlight(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("d=545098/n=%d", n), func(b *testing.B) {
			for b.Loop() {
				uploadsInFlight(b, n)
			}
		})
	}
}

func uploadsInFlight(b *testing.B, n int) {
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	params, err := kahe.Plan(kahe.Requirement{Values: 545098, Width: 20, Uploads: 100, Security: kahe.Classical128})
	check(err)
	ring := keyshare.Ring{N: params.Preset().N, Primes: params.Preset().Primes}
	record := &keyshare.Record{Name: "memory", Threshold: 3, Corrupt: 1, Preset: params.Preset().Name, Roster: keyshare.RosterOpen}
	a := &keyshare.Announcement{Version: keyshare.ProtocolVersion, Run: "memory", Round: 1, Attempt: 1, Goal: uint64(n)}
	var signing []ed25519.PrivateKey
	for i := range 4 {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		check(err)
		signing = append(signing, k)
		record.Members = append(record.Members, keyshare.Member{Name: fmt.Sprintf("holder-%d", i+1), Key: statement.PublicKey(k)})
	}
	a.Record = record.Hash()
	var keys []keyshare.RoundKey
	for i, k := range signing {
		private, err := keyshare.GenerateRoundKey(rand.Reader)
		check(err)
		keys = append(keys, keyshare.PublishRoundKey(private, a.Run, 1, record.Hash(), i+1, k))
	}
	secret, err := kahe.NewSecret(params, rand.Reader)
	check(err)
	values := make([]int32, params.Spec().Values)
	for i := range values {
		values[i] = int32(i*7919%8191) - 4095
	}
	vector, err := params.Encrypt(nil, values, kahe.NewPublic(params, a.Seed()), secret, rand.Reader)
	check(err)
	h := &keyshare.Header{
		Announcement: a.Hash(), Client: "client", Key: statement.PublicKey(signing[0]),
		Order: keyshare.Order{Work: 1, Weight: 1, Mode: "eco"}, Ciphertext: statement.Hash(vector),
	}
	boxes, err := keyshare.Deal(record, ring, h, keys, secret, rand.Reader)
	check(err)
	frame := terms.NewFrame(record, ring, params)
	spool, err := os.Create(filepath.Join(b.TempDir(), "spool"))
	check(err)
	defer spool.Close()
	run := &receiving{fakeRun: newFakeRun(), record: record, announcement: a.Hash(), frame: frame, sum: kahe.NewSum(params), spool: spool}
	s := serve(b, run, Config{Stall: time.Minute})

	// The clients are another process, so that only the server's memory counts.
	dir := b.TempDir()
	first := *h
	first.Client = "client-000"
	first.Sign(signing[0])
	body, err := frame.Append(nil, terms.Upload{Header: &first, Ciphertext: vector, Boxes: boxes})
	check(err)
	check(os.WriteFile(filepath.Join(dir, "report"), body, 0o600))
	for i := range n {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		check(err)
		mine := *h
		mine.Client = fmt.Sprintf("client-%03d", i)
		mine.Sign(k)
		_, err = client.Join(b.Context(), s.invitation(b, mine.Client, time.Hour), filepath.Join(dir, mine.Client))
		check(err)
		check(os.WriteFile(filepath.Join(dir, mine.Client, "header"), mine.Bytes(), 0o600))
	}
	start := liveHeap()
	clients := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestUploadingProcess$", "-test.v")
	clients.Env = append(os.Environ(), uploading+"="+dir)
	var log strings.Builder
	clients.Stdout, clients.Stderr = &log, &log
	check(clients.Start())
	ended := make(chan error)
	go func() { ended <- clients.Wait() }()
	peak := start
	for done := false; !done; {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%v: %s", err, log.String())
			}
			done = true
		case <-time.After(5 * time.Millisecond):
			peak = max(peak, liveHeap())
		}
	}
	if run.sum.Count() != n {
		b.Fatalf("%d uploads in the sum, want %d", run.sum.Count(), n)
	}
	end := liveHeap()
	mb := func(from, to uint64) float64 { return (float64(to) - float64(from)) / 1e6 }
	b.ReportMetric(mb(0, start), "start-MB")
	b.ReportMetric(mb(start, peak), "peak-MB")
	b.ReportMetric(mb(start, end), "accepted-MB")
	b.ReportMetric(float64(n*len(body))/1e6, "uploaded-MB")
	runtime.KeepAlive(run)
}

// uploading names the directory of the clients that a process is to play.
const uploading = "SOTTO_TEST_UPLOADING"

// TestUploadingProcess is the clients' side of BenchmarkUploadsInFlight, in a process of
// its own: everyone uploads at once, and comes again when asked to.
func TestUploadingProcess(t *testing.T) {
	dir := os.Getenv(uploading)
	if dir == "" {
		t.Skip("the clients' side of BenchmarkUploadsInFlight")
	}
	report, err := os.ReadFile(filepath.Join(dir, "report"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "client-*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d clients, %v", len(names), err)
	}
	var wg sync.WaitGroup
	for _, name := range names {
		header, err := os.ReadFile(filepath.Join(name, "header"))
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, name)
		wg.Go(func() {
			body := slices.Clone(report)
			copy(body[2:], header) // of the same length as the one there
			for {
				err := c.Report(t.Context(), participant.Report{Run: "memory", Round: 1, Attempt: 1, Body: body})
				if !errors.Is(err, client.ErrBusy) {
					if err != nil {
						t.Errorf("%s: %v", filepath.Base(name), err)
					}
					return
				}
				time.Sleep(time.Duration(10+mathrand.IntN(40)) * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
