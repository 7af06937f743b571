package schedule

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

var (
	// ErrInfeasible: no allocation meets total and bounds. The error in the chain is
	// an *InfeasibleError.
	ErrInfeasible = errors.New("no feasible allocation")

	// ErrNotOptimal: a certificate does not hold.
	ErrNotOptimal = errors.New("allocation is not certified optimal")

	// ErrUndecided: SolveExact used up its limits before it met a feasible allocation.
	ErrUndecided = errors.New("no allocation found within the limits")
)

// InfeasibleError says why there is no allocation, and what would give one.
type InfeasibleError struct {
	Total, Least, Most int64 // asked for, and the range that the bounds allow
	Client             int   // whose own bounds contradict each other, or -1
	Min, Max           int64 // of that client
}

func (e *InfeasibleError) Error() string {
	switch {
	case e.Client >= 0:
		return fmt.Sprintf("no feasible allocation: client %d must do at least %d tasks and can do at most %d; lower its smallest work, lengthen the deadline, or leave it out", e.Client, e.Min, e.Max)
	case e.Total < e.Least:
		return fmt.Sprintf("no feasible allocation: %d tasks asked for, smallest works add up to %d; raise the total by %d, or ask fewer clients", e.Total, e.Least, e.Least-e.Total)
	case e.Total > e.Most:
		return fmt.Sprintf("no feasible allocation: %d tasks asked for, the clients can do %d; lower the total by %d, lengthen the deadline, or ask more clients", e.Total, e.Most, e.Total-e.Most)
	}
	return fmt.Sprintf("no feasible allocation: no choice of options adds up to %d tasks; change the total, or offer options in between", e.Total)
}

// Is makes errors.Is(err, ErrInfeasible) true.
func (e *InfeasibleError) Is(target error) bool { return target == ErrInfeasible }

// Unlimited is the Max of a client that only its curve limits.
const Unlimited = math.MaxInt64

// maxClients at costcurve.MaxTasks each add up to 2^62.
const maxClients = 1 << 22

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{costcurve.ErrInvalid}, args...)...)
}

// sizes checks that there is a bound for each of n clients, and not too many.
func sizes(n int, bounds []Bounds) error {
	if n > maxClients {
		return invalid("%d clients, want at most %d", n, maxClients)
	}
	if len(bounds) != n {
		return invalid("%d clients and %d bounds, want as many", n, len(bounds))
	}
	return nil
}

// Client is one participant of a convex problem. Max is also cut to Curve.Max().
type Client struct {
	Curve    costcurve.Curve
	Min, Max int64
}

// Bounds are one participant's bounds where its cost is a formula.
type Bounds struct{ Min, Max int64 }

// Allocation is a solution: Tasks[i] for client i.
type Allocation struct {
	Tasks  []int64
	Joules float64 // sum of C_i(Tasks[i])

	// Lambda is the certificate: every task taken above the smallest works costs at
	// most Lambda, every task left costs at least Lambda.
	Lambda float64
}

// infeasible returns the error for total outside [least, most], or nil.
func infeasible(total, least, most int64) error {
	if total < least || total > most {
		return &InfeasibleError{Total: total, Least: least, Most: most, Client: -1}
	}
	return nil
}

// chunks cuts [0, n) into at most 256 parts and calls do for each, on as many
// goroutines as there are processors. The parts depend on n alone. do must write
// only to what belongs to its part.
func chunks(n int, do func(part, lo, hi int)) {
	size := chunkSize(n)
	parts := chunkCount(n)
	workers := min(runtime.GOMAXPROCS(0), parts)
	if workers <= 1 || n < 64 {
		for p := range parts {
			do(p, p*size, min(n, (p+1)*size))
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				p := int(next.Add(1)) - 1
				if p >= parts {
					return
				}
				do(p, p*size, min(n, (p+1)*size))
			}
		})
	}
	wait.Wait()
}

func chunkSize(n int) int  { return max(1, (n+255)/256) }
func chunkCount(n int) int { return (n + chunkSize(n) - 1) / chunkSize(n) }
