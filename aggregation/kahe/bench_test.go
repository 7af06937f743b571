package kahe

import (
	"math/rand/v2"
	"testing"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
	"github.com/tuneinsight/lattigo/v5/schemes/ckks"
)

// Every benchmark takes random values and one core. The metric upload/float32 is the
// ciphertext over 4 bytes a value; the shares of its key come on top.

// cifarCNN is the number of parameters of the project's model for CIFAR-10.
const cifarCNN = 545098

func randomValues(d, max int, seed uint64) []int32 {
	rng := rand.New(source(seed))
	v := make([]int32, d)
	for i := range v {
		v[i] = int32(rng.IntN(2*max+1) - max)
	}
	return v
}

func standard(width int) Requirement {
	return Requirement{Values: cifarCNN, Width: width, Uploads: 100, Security: Classical128}
}

func BenchmarkEncrypt(b *testing.B) {
	conservative := standard(20)
	conservative.Security = Conservative
	b.Run("d=545098", func(b *testing.B) { benchmarkEncrypt(b, mustPlan(b, standard(20))) })
	b.Run("d=545098/w=13", func(b *testing.B) { benchmarkEncrypt(b, mustPlan(b, standard(13))) })
	b.Run("d=545098/w=23", func(b *testing.B) { benchmarkEncrypt(b, mustPlan(b, standard(23))) })
	b.Run("d=545098/conservative", func(b *testing.B) { benchmarkEncrypt(b, mustPlan(b, conservative)) })
	b.Run("d=545098/smallest-ring", func(b *testing.B) {
		p, err := New(Spec{Preset: "n2048-q53", Values: cifarCNN, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkEncrypt(b, p)
	})
	b.Run("d=545098/bgv", benchmarkBGV)
	b.Run("d=545098/ckks", benchmarkCKKS)
}

// benchmarkEncrypt is what a client does but for sharing the key: draw it, pack,
// encrypt.
func benchmarkEncrypt(b *testing.B, p Params) {
	src := source(1)
	values := randomValues(cifarCNN, 1<<(p.spec.Width-8)-1, 2)
	public := NewPublic(p, [32]byte{3})
	body := make([]byte, 0, p.CiphertextSize()+64)
	for b.Loop() {
		secret, err := NewSecret(p, src)
		if err != nil {
			b.Fatal(err)
		}
		if body, err = p.Encrypt(body[:0], values, public, secret, src); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(body))/(4*cifarCNN), "upload/float32")
	b.Log(p)
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
	for i, v := range randomValues(cifarCNN, 4095, 2) {
		values[i] = int64(v)
	}
	benchmarkLattigo(b, params.MaxSlots(), params.MaxLevel(), bgv.NewPlaintext(params, params.MaxLevel()), encryptor,
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
	for i, v := range randomValues(cifarCNN, 4095, 2) {
		values[i] = float64(v) / 4096
	}
	benchmarkLattigo(b, params.MaxSlots(), params.MaxLevel(), ckks.NewPlaintext(params, params.MaxLevel()), encryptor,
		func(from, to int, pt *rlwe.Plaintext) error { return encoder.Encode(values[from:to], pt) })
}

func benchmarkLattigo(b *testing.B, slots, level int, pt *rlwe.Plaintext, encryptor *rlwe.Encryptor, encode func(from, to int, pt *rlwe.Plaintext) error) {
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

// BenchmarkAddUpload checks and adds one upload.
func BenchmarkAddUpload(b *testing.B) {
	b.Run("d=545098", func(b *testing.B) {
		p := mustPlan(b, standard(20))
		src := source(1)
		secret, err := NewSecret(p, src)
		if err != nil {
			b.Fatal(err)
		}
		body, err := p.Encrypt(nil, randomValues(cifarCNN, 4095, 2), NewPublic(p, [32]byte{3}), secret, src)
		if err != nil {
			b.Fatal(err)
		}
		sum := NewSum(p)
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			sum.count = 0
			if err := sum.Add(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens and unpacks a sum of 100 uploads.
func BenchmarkOpen(b *testing.B) {
	b.Run("d=545098/n=100", func(b *testing.B) {
		p := mustPlan(b, standard(20))
		src := source(1)
		public := NewPublic(p, [32]byte{3})
		vectors := make([][]int32, 100)
		for i := range vectors {
			vectors[i] = randomValues(cifarCNN, 4095, uint64(i%4))
		}
		sum, keys := run(b, p, public, vectors, src)
		for b.Loop() {
			if _, _, err := sum.Open(public, keys, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}
