package compare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/sotto-fl/sotto/internal/costcurve"
	"github.com/sotto-fl/sotto/model/kernel"
)

// What a round's training does to a model is a function of the model, the data and who does
// how much of it: not of the policy that asked for it, nor of what it cost. With a cache
// the comparison of one more policy, or of another price of the same work, trains only
// what no run before it did.

// cacheVersion changes when training or averaging does.
const cacheVersion = "sotto/compare/2"

// taught is what came of the training of a round, beside the model.
type taught struct {
	losses   []float64
	accuracy float64
}

// teach moves params by a round and measures them on the test set.
func (w *World) teach(ctx context.Context, p trainers, params []float32, round int, who []int, tasks []int64) (taught, error) {
	var file string
	if w.cache != "" {
		file = w.entry(params, round, who, tasks)
		if t, ok := load(file, params, len(who)); ok {
			return t, nil
		}
	}
	var t taught
	var err error
	if t.losses, err = w.step(ctx, p, params, round, who, tasks); err != nil {
		return t, err
	}
	if t.accuracy, err = w.accuracy(ctx, p, params); err != nil || file == "" {
		return t, err
	}
	return t, store(file, params, t)
}

// entry names the file of a round.
func (w *World) entry(params []float32, round int, who []int, tasks []int64) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %v\n%s\n%d %v %v\n", cacheVersion, kernel.Name(), costcurve.Decay, w.origin, round, who, tasks)
	binary.Write(h, binary.LittleEndian, params)
	return filepath.Join(w.cache, fmt.Sprintf("%x", h.Sum(nil)[:16]))
}

// origin is everything else that training depends on.
func origin(scenario any) (string, error) {
	b, err := json.Marshal(scenario)
	return string(b), err
}

// A file holds the losses, the accuracy, the model and a hash of all that.
func store(file string, params []float32, t taught) error {
	var b []byte
	for _, v := range append(t.losses[:len(t.losses):len(t.losses)], t.accuracy) {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	for _, v := range params {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	f, err := os.CreateTemp(filepath.Dir(file), "round-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, sum[:]...))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// load reads into params, which stay as they are where it says false.
func load(file string, params []float32, clients int) (t taught, ok bool) {
	b, err := os.ReadFile(file)
	n := 8*(clients+1) + 4*len(params)
	if err != nil || len(b) != n+sha256.Size || sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return t, false
	}
	for range clients {
		t.losses, b = append(t.losses, math.Float64frombits(binary.LittleEndian.Uint64(b))), b[8:]
	}
	t.accuracy, b = math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:]
	for i := range params {
		params[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return t, true
}
