//go:build unix

package scenario

import (
	"crypto/rand"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/internal/statement"
)

// BenchmarkEncryptionRound is all that encryption costs in a round of the default
// scenario, on one core: making the holders' round keys, sealing of ten updates, the
// server's checks and sum, verdicts, signatures and answers of four key holders with
// their journals, and opening. The metric core-ms is the processor's time for one round,
// which other work on the machine does not stretch as it does ns/op.
func BenchmarkEncryptionRound(b *testing.B) {
	s := Default()
	if err := s.Run.Complete(); err != nil {
		b.Fatal(err)
	}
	t, err := s.Run.Terms()
	if err != nil {
		b.Fatal(err)
	}
	contract, err := t.Encode()
	if err != nil {
		b.Fatal(err)
	}
	ring, params, err := t.Ring()
	if err != nil {
		b.Fatal(err)
	}
	c, err := newCommittee(s)
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	record := &c.record.Record
	frame, known := terms.NewFrame(record, ring, params), &keyshare.Known{}
	values := make([]int32, params.Spec().Values)
	for i := range values {
		values[i] = int32(i%201) - 100
	}
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	round, start := uint64(0), processor(b)
	for b.Loop() {
		round++
		a := keyshare.Announcement{Version: keyshare.ProtocolVersion, Run: s.Run.Name, Round: round, Attempt: 1, Contract: statement.Hash(contract), Record: record.Hash(), Goal: uint64(s.Clients)}
		var keys []keyshare.RoundKey
		for _, h := range c.holders {
			k, err := h.Keys(keyholder.KeysWanted{Run: s.Run.Name, First: round, Count: 1})
			check(err)
			keys = append(keys, k...)
		}
		var headers []keyshare.Header
		boxes := make([][][]byte, len(c.holders))
		sum, public := kahe.NewSum(params), kahe.NewPublic(params, a.Seed())
		for i, sealer := range c.sealers {
			check(keyshare.VerifyRoundKeys(record, &a, keys))
			secret, err := kahe.NewSecret(params, rand.Reader)
			check(err)
			vector, err := params.Encrypt(nil, values, kahe.NewPublic(params, a.Seed()), secret, rand.Reader)
			check(err)
			h := &keyshare.Header{
				Announcement: a.Hash(), Client: clientName(i), Key: statement.PublicKey(sealer.Key),
				Order: keyshare.Order{Work: t.MinWork, Weight: 1}, Ciphertext: statement.Hash(vector), Vouch: sealer.Vouch,
			}
			sealed, err := keyshare.Deal(record, ring, h, keys, secret, rand.Reader)
			check(err)
			h.Sign(sealer.Key)
			report, err := frame.Append(nil, terms.Upload{Header: h, Ciphertext: vector, Boxes: sealed})
			check(err)

			u, err := frame.Parse(report)
			check(err)
			hashes, err := frame.Hash(report)
			check(err)
			check(errors.Join(u.Header.Verify(record, a.Hash(), uint64(time.Now().Unix()), known), u.Header.CheckBoxHashes(hashes.Boxes), sum.Add(u.Ciphertext)))
			headers = append(headers, *u.Header)
			for p := range boxes {
				boxes[p] = append(boxes[p], u.Boxes[p])
			}
		}
		set := keyshare.NewSet(a, headers)
		var certificate []keyshare.SetSignature
		for p, h := range c.holders {
			v, err := h.Look(keyholder.Proposal{Set: set, Contract: contract, Boxes: func(yield func([]byte, error) bool) {
				for _, x := range boxes[p] {
					if !yield(x, nil) {
						return
					}
				}
			}})
			check(err)
			if !v.Yes() {
				b.Fatalf("holder %d: %+v", p+1, v)
			}
			g, err := h.Sign(keyholder.SignatureWanted{Run: s.Run.Name, Round: round, Set: set.Hash()})
			check(err)
			certificate = append(certificate, g)
		}
		var sums []keyshare.PointSum
		for p, h := range c.holders {
			answer, err := h.Answer(keyholder.Certificate{Run: s.Run.Name, Round: round, Set: set.Hash(), Signatures: certificate[:record.Threshold]})
			check(err)
			check(answer.Verify(record, ring, set.Hash(), 1))
			sums = append(sums, keyshare.PointSum{Point: p + 1, Sum: answer.Sums[0]})
		}
		var out []int64
		_, err := keyshare.Reconstruct(record, ring, sums, func(key []uint64) bool {
			out, _, err = sum.Open(public, key, sum.Count())
			return err == nil
		})
		check(err)
		if out[1] != int64(values[1])*int64(s.Clients) {
			b.Fatalf("the sum is %d, want %d", out[1], int64(values[1])*int64(s.Clients))
		}
	}
	b.ReportMetric((processor(b)-start).Seconds()*1e3/float64(round), "core-ms")
}

// processor is the time that the process has had on cores.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
