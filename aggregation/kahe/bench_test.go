package kahe

import (
	"math/rand/v2"
	"testing"
)

// cifarCNN is the number of parameters of the project's model for CIFAR-10.
const cifarCNN = 545098

func benchmarkParams(b *testing.B, width int) Params {
	return mustPlan(b, Requirement{Values: cifarCNN, Width: width, Uploads: 100, Security: Classical128})
}

func randomValues(d, max int, seed uint64) []int32 {
	rng := rand.New(source(seed))
	v := make([]int32, d)
	for i := range v {
		v[i] = int32(rng.IntN(2*max+1) - max)
	}
	return v
}

func BenchmarkEncrypt(b *testing.B) {
	b.Run("d=545098", func(b *testing.B) { benchmarkEncrypt(b, benchmarkParams(b, 20)) })
	for _, name := range []string{"n2048-q53"} {
		b.Run("d=545098/preset="+name, func(b *testing.B) {
			p, err := New(Spec{Preset: name, Values: cifarCNN, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkEncrypt(b, p)
		})
	}
}

func benchmarkEncrypt(b *testing.B, p Params) {
	src := source(1)
	values := randomValues(cifarCNN, 4095, 2)
	public := NewPublic(p, [32]byte{3})
	var body []byte
	b.ReportAllocs()
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

func BenchmarkAddUpload(b *testing.B) {
	b.Run("d=545098", func(b *testing.B) {
		p := benchmarkParams(b, 20)
		src := source(1)
		secret, _ := NewSecret(p, src)
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

func BenchmarkOpen(b *testing.B) {
	b.Run("d=545098/n=100", func(b *testing.B) {
		p := benchmarkParams(b, 20)
		src := source(1)
		public := NewPublic(p, [32]byte{3})
		sum := NewSum(p)
		keys := make([]uint64, p.KeySize())
		for i := range 100 {
			secret, _ := NewSecret(p, src)
			body, err := p.Encrypt(nil, randomValues(cifarCNN, 4095, uint64(i)), public, secret, src)
			if err != nil {
				b.Fatal(err)
			}
			if err := sum.Add(body); err != nil {
				b.Fatal(err)
			}
			addKeys(p, keys, secret)
		}
		for b.Loop() {
			if _, _, err := sum.Open(public, keys, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}
