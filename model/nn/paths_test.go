package nn

import (
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/model/kernel"
)

// onEachPath runs f on networks of every kernel path, and says which paths the
// processor lacks.
func onEachPath(t *testing.T, f func(t *testing.T)) {
	for _, name := range []string{"avx512", "avx2", "go"} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(kernel.Available(), name) {
				t.Skip("this processor has no ", name)
			}
			old := kernel.Name()
			if err := kernel.SetDefault(name); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = kernel.SetDefault(old) }()
			f(t)
		})
	}
}
