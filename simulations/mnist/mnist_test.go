package mnist

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoad pins what the database is: sizes and the class counts published
// with it.
func TestLoad(t *testing.T) {
	train, test, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if c, h, w := train.Shape(); c != 1 || h != 28 || w != 28 {
		t.Errorf("shape %dx%dx%d, want 1x28x28", c, h, w)
	}
	if diff := cmp.Diff([]int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}, train.Counts()); diff != "" {
		t.Errorf("training counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}, test.Counts()); diff != "" {
		t.Errorf("test counts (-want +got):\n%s", diff)
	}
	// The first ten training labels, as every tutorial shows them.
	if diff := cmp.Diff([]int32{5, 0, 4, 1, 9, 2, 1, 3, 1, 4}, train.Labels()[:10]); diff != "" {
		t.Errorf("first labels (-want +got):\n%s", diff)
	}
	again, _, _ := Load()
	if again != train {
		t.Error("a second Load decompressed again")
	}
}

// TestNormalization checks the constants against the pixels: normalised
// training data has mean 0 and standard deviation 1 to the constants' digits.
func TestNormalization(t *testing.T) {
	train, _, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	var sum, square float64
	x := make([]float32, 784)
	for i := range train.Len() {
		train.Fill(x, nil, []int{i}, Normalization())
		for _, v := range x {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
	}
	n := float64(784 * train.Len())
	if mean, std := sum/n, math.Sqrt(square/n); math.Abs(mean) > 5e-4 || math.Abs(std-1) > 5e-4 {
		t.Errorf("normalised mean %v and deviation %v, want 0 and 1", mean, std)
	}
}

func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		if _, err := read(trainImages, trainLabels); err != nil {
			b.Fatal(err)
		}
	}
}
