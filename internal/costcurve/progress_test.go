package costcurve

import (
	"math"
	"testing"
)

// It is the sum of what each step still does, so it ascends, ever less, to 1/Decay.
func TestProgressSums(t *testing.T) {
	var sum, last float64
	step := 1.0
	for tasks := int64(1); tasks <= 200; tasks++ {
		sum += step
		step *= 1 - Decay
		got := Progress(tasks)
		if math.Abs(got-sum) > 1e-12*sum || got < last {
			t.Fatalf("%d tasks: %v, want %v and no less than %v", tasks, got, sum, last)
		}
		last = got
	}
	for _, tasks := range []int64{-5, 0, 1} {
		if Progress(tasks) != Progress(1) || math.Abs(Progress(1)-1) > 1e-15 {
			t.Errorf("%d tasks: %v, want 1", tasks, Progress(tasks))
		}
	}
	if got := Progress(MaxTasks); math.Abs(got-1/Decay) > 1e-12 {
		t.Errorf("many tasks: %v, want %v", got, 1/Decay)
	}
}
