package accountant

import "testing"

func BenchmarkEpsilonRDP(b *testing.B) {
	e := SelfComposed{PoissonSampled{0.01, Gaussian{1}}, 10000}
	for b.Loop() {
		if _, err := (Accountant{Method: RDP}).Epsilon(e, 1e-5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEpsilonPLD(b *testing.B) {
	b.Run("steps=10000", func(b *testing.B) {
		e := SelfComposed{PoissonSampled{0.01, Gaussian{1}}, 10000}
		for b.Loop() {
			if _, err := (Accountant{Method: PLD}).Epsilon(e, 1e-5); err != nil {
				b.Fatal(err)
			}
		}
	})
}
