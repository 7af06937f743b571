package kahe_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/internal/roomy"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
	"github.com/tuneinsight/lattigo/v5/schemes/ckks"
)

// Every benchmark takes random values and one core. The metric upload/float32 is
// everything that a client sends over 4 bytes a value: header, ciphertext, sealed shares.

// cifarCNN is the number of parameters of the project's model for CIFAR-10.
const cifarCNN = 545098

func randomValues(max int, seed uint64) []int32 {
	rng := mathrand.New(mathrand.NewPCG(seed, 1))
	v := make([]int32, cifarCNN)
	for i := range v {
		v[i] = int32(rng.IntN(2*max+1) - max)
	}
	return v
}

func plan(b *testing.B, width int, security string) kahe.Params {
	b.Helper()
	p, err := kahe.Plan(kahe.Requirement{Values: cifarCNN, Width: width, Uploads: 100, Security: security})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkEncrypt(b *testing.B) {
	b.Run("d=545098", func(b *testing.B) { benchmarkUpload(b, plan(b, 20, kahe.Classical128)) })
	b.Run("d=545098/w=13", func(b *testing.B) { benchmarkUpload(b, plan(b, 13, kahe.Classical128)) })
	b.Run("d=545098/w=23", func(b *testing.B) { benchmarkUpload(b, plan(b, 23, kahe.Classical128)) })
	b.Run("d=545098/conservative", func(b *testing.B) { benchmarkUpload(b, plan(b, 20, kahe.Conservative)) })
	b.Run("d=545098/smallest-ring", func(b *testing.B) {
		p, err := kahe.New(kahe.Spec{Preset: "n2048-q53", Values: cifarCNN, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkUpload(b, p)
	})
	b.Run("d=545098/bgv", benchmarkBGV)
	b.Run("d=545098/ckks", benchmarkCKKS)
}

// benchmarkUpload is all that a client does with its integers: draw a key, pack,
// encrypt, hash, share the key among 4 holders of whom 3 open, seal, sign.
func benchmarkUpload(b *testing.B, p kahe.Params) {
	w := newCommittee(b, p)
	public := kahe.NewPublic(p, w.announcement.Seed())
	values := randomValues(1<<(p.Spec().Width-8)-1, 2)
	body := make([]byte, 0, p.CiphertextSize()+64)
	size := 0
	for b.Loop() {
		secret, err := kahe.NewSecret(p, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		if body, err = p.Encrypt(body[:0], values, public, secret, rand.Reader); err != nil {
			b.Fatal(err)
		}
		h := w.header(body)
		boxes, err := keyshare.Deal(w.record, w.ring, h, w.keys, secret, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		h.Sign(w.client)
		size = len(h.Bytes()) + len(body)
		for _, x := range boxes {
			size += len(x)
		}
	}
	b.ReportMetric(float64(size)/(4*cifarCNN), "upload/float32")
	b.ReportMetric(float64(p.CiphertextSize())/(4*cifarCNN), "ciphertext/float32")
	b.Log(p)
}

// committee is the default one, 4 holders with threshold 3, and one client.
type committee struct {
	record       *keyshare.Record
	ring         keyshare.Ring
	announcement *keyshare.Announcement
	keys         []keyshare.RoundKey
	client       ed25519.PrivateKey
	vouch        keyshare.Vouch
}

func newCommittee(b *testing.B, p kahe.Params) *committee {
	key := func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	w := &committee{
		record: &keyshare.Record{Name: "bench", Threshold: 3, Corrupt: 1, Preset: p.Preset().Name, Roster: keyshare.RosterPinned},
		ring:   keyshare.Ring{N: p.Preset().N, Primes: p.Preset().Primes},
		client: key(),
	}
	var signing []ed25519.PrivateKey
	for i := range 4 {
		signing = append(signing, key())
		w.record.Members = append(w.record.Members, keyshare.Member{Name: fmt.Sprintf("holder-%d", i+1), Key: statement.PublicKey(signing[i])})
	}
	voucher := key()
	w.record.Vouchers = []keyshare.Voucher{{Name: "organisation", Key: statement.PublicKey(voucher)}}
	if err := w.record.Validate(); err != nil {
		b.Fatal(err)
	}
	w.vouch = keyshare.SignVouch("organisation", voucher, "client", statement.PublicKey(w.client), 1<<40)
	w.announcement = &keyshare.Announcement{Version: keyshare.ProtocolVersion, Run: "bench", Round: 1, Attempt: 1, Record: w.record.Hash(), Goal: 100}
	for i, k := range signing {
		private, err := keyshare.GenerateRoundKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		w.keys = append(w.keys, keyshare.PublishRoundKey(private, "bench", 1, w.record.Hash(), i+1, k))
	}
	return w
}

func (w *committee) header(body []byte) *keyshare.Header {
	return &keyshare.Header{
		Announcement: w.announcement.Hash(), Client: "client", Key: statement.PublicKey(w.client),
		Order: keyshare.Order{Work: 100, Weight: 1, Mode: "eco"}, Ciphertext: statement.Hash(body), Vouch: w.vouch,
	}
}

// benchmarkBGV is the same vector under plain BGV with a collective public key: one
// value in a slot, N = 4096, a modulus of 108 bits, a plaintext of 20 bits.
func benchmarkBGV(b *testing.B) {
	params, err := bgv.NewParametersFromLiteral(bgv.ParametersLiteral{LogN: 12, LogQ: []int{54, 54}, PlaintextModulus: 1032193})
	if err != nil {
		b.Fatal(err)
	}
	_, public := bgv.NewKeyGenerator(params).GenKeyPairNew()
	encoder, encryptor := bgv.NewEncoder(params), bgv.NewEncryptor(params, public)
	values := make([]int64, cifarCNN)
	for i, v := range randomValues(4095, 2) {
		values[i] = int64(v)
	}
	benchmarkLattigo(b, params.MaxSlots(), bgv.NewPlaintext(params, params.MaxLevel()), encryptor,
		func(from, to int, pt *rlwe.Plaintext) error { return encoder.Encode(values[from:to], pt) })
}

// benchmarkCKKS is the same vector as other platforms encrypt it: N = 8192, primes of
// 60, 40 and 40 bits, one key shared by all. The last prime is for switching keys and
// is not part of a fresh ciphertext, as in SEAL; where it is, an upload is half as
// large again.
func benchmarkCKKS(b *testing.B) {
	params, err := ckks.NewParametersFromLiteral(ckks.ParametersLiteral{LogN: 13, LogQ: []int{60, 40}, LogP: []int{40}, LogDefaultScale: 40})
	if err != nil {
		b.Fatal(err)
	}
	_, public := ckks.NewKeyGenerator(params).GenKeyPairNew()
	encoder, encryptor := ckks.NewEncoder(params), ckks.NewEncryptor(params, public)
	values := make([]float64, cifarCNN)
	for i, v := range randomValues(4095, 2) {
		values[i] = float64(v) / 4096
	}
	benchmarkLattigo(b, params.MaxSlots(), ckks.NewPlaintext(params, params.MaxLevel()), encryptor,
		func(from, to int, pt *rlwe.Plaintext) error { return encoder.Encode(values[from:to], pt) })
}

func benchmarkLattigo(b *testing.B, slots int, pt *rlwe.Plaintext, encryptor *rlwe.Encryptor, encode func(from, to int, pt *rlwe.Plaintext) error) {
	size := 0
	for b.Loop() {
		size = 0
		for from := 0; from < cifarCNN; from += slots {
			if err := encode(from, min(from+slots, cifarCNN), pt); err != nil {
				b.Fatal(err)
			}
			ct, err := encryptor.EncryptNew(pt)
			if err != nil {
				b.Fatal(err)
			}
			size += ct.BinarySize()
		}
	}
	b.ReportMetric(float64(size)/(4*cifarCNN), "upload/float32")
}

// BenchmarkAddUpload is all that the server does with an upload once its last byte is
// there: take it apart, check header, signatures (a voucher's word is remembered),
// hashes and residues, write it to the spool, add it. The hashes are made while it
// arrives: "hash" is what that takes. core-ms is the processor's time, which other work
// on the machine does not stretch as it does ns/op; 0 where it cannot be had.
func BenchmarkAddUpload(b *testing.B) {
	p := plan(b, 20, kahe.Classical128)
	w := newCommittee(b, p)
	secret, err := kahe.NewSecret(p, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	body, err := p.Encrypt(nil, randomValues(4095, 2), kahe.NewPublic(p, w.announcement.Seed()), secret, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	h := w.header(body)
	boxes, err := keyshare.Deal(w.record, w.ring, h, w.keys, secret, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	h.Sign(w.client)
	frame := terms.NewFrame(w.record, w.ring, p)
	report, err := frame.Append(nil, terms.Upload{Header: h, Ciphertext: body, Boxes: boxes})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("d=545098", func(b *testing.B) {
		b.SetBytes(int64(len(report)))
		hashes, err := frame.Hash(report)
		if err != nil {
			b.Fatal(err)
		}
		folder := b.TempDir()
		create := func() *roomy.File {
			f, err := os.Create(filepath.Join(folder, "spool"))
			if err != nil {
				b.Fatal(err)
			}
			return roomy.New(f)
		}
		spool := create()
		defer func() { spool.Close() }()
		announcement, known := w.announcement.Hash(), &keyshare.Known{}
		checker, sum := kahe.NewSum(p), kahe.NewSum(p)
		uploads, used := 0, time.Duration(0)
		mark := processorTime()
		for b.Loop() {
			uploads++
			if sum.Count() == 100 {
				// The next round: its spool is another file.
				b.StopTimer()
				used += processorTime() - mark
				sum = kahe.NewSum(p)
				if err := errors.Join(spool.Close(), os.Remove(spool.Name())); err != nil {
					b.Fatal(err)
				}
				spool = create()
				mark = processorTime()
				b.StartTimer()
			}
			u, err := frame.Parse(report)
			if err != nil {
				b.Fatal(err)
			}
			if err := errors.Join(u.Header.Verify(w.record, announcement, 1, known), u.Header.CheckBoxHashes(hashes.Boxes), checker.Check(u.Ciphertext)); err != nil || hashes.Ciphertext != u.Header.Ciphertext {
				b.Fatal(err)
			}
			if _, err := spool.WriteAt(report, int64(sum.Count())*int64(len(report))); err != nil {
				b.Fatal(err)
			}
			if err := sum.Add(u.Ciphertext); err != nil {
				b.Fatal(err)
			}
		}
		used += processorTime() - mark
		b.ReportMetric(used.Seconds()*1e3/float64(uploads), "core-ms")
	})
	b.Run("d=545098/hash", func(b *testing.B) {
		b.SetBytes(int64(len(report)))
		for b.Loop() {
			if _, err := frame.Hash(report); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens and unpacks a sum of 100 uploads.
func BenchmarkOpen(b *testing.B) {
	b.Run("d=545098/n=100", func(b *testing.B) {
		p := plan(b, 20, kahe.Classical128)
		public := kahe.NewPublic(p, [32]byte{3})
		sum := kahe.NewSum(p)
		keys := make([]uint64, p.KeySize())
		for i := range 100 {
			secret, err := kahe.NewSecret(p, rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			body, err := p.Encrypt(nil, randomValues(4095, uint64(i%4)), public, secret, rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			if err := sum.Add(body); err != nil {
				b.Fatal(err)
			}
			for x, v := range secret {
				keys[x] = (keys[x] + v) % p.Preset().Primes[x/p.Preset().N]
			}
		}
		for b.Loop() {
			if _, _, err := sum.Open(public, keys, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}
