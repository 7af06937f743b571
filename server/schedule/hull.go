package schedule

import "github.com/sotto-fl/sotto/internal/costcurve"

// lowerHull appends to stack the options on the lower convex hull, ascending, by
// Andrew's monotone chain.
//
// On a long table with erratic costs the chain's branches are unpredictable and most
// of its work is undone again. So the hull of each block's cheapest option comes
// first, and only options strictly below that are looked at: whatever is above a
// line between two options is on no hull.
func lowerHull(t costcurve.Table, stack []int32) []int32 {
	n := len(t.Tasks)
	if n < 4*hullBlock {
		for j := range t.Tasks {
			stack = push(t, stack, int32(j))
		}
		return stack
	}
	stack = push(t, stack, 0)
	for lo := 1; lo < n-1; lo += hullBlock {
		low, at := t.Joules[lo], lo
		for j, c := range t.Joules[lo:min(lo+hullBlock, n-1)] {
			if c < low {
				low, at = c, lo+j
			}
		}
		stack = push(t, stack, int32(at))
	}
	coarse := push(t, stack, int32(n-1))
	stack = make([]int32, 0, 2*len(coarse))
	for v := 1; v < len(coarse); v++ {
		p, q := coarse[v-1], coarse[v]
		stack = push(t, stack, p)
		px, pc := float64(t.Tasks[p]), t.Joules[p]
		dx, dc := float64(t.Tasks[q])-px, t.Joules[q]-pc
		tasks := t.Tasks[p+1 : q]
		for j, c := range t.Joules[p+1 : q] {
			if (c-pc)*dx < dc*(float64(tasks[j])-px) {
				stack = push(t, stack, p+1+int32(j))
			}
		}
	}
	return push(t, stack, int32(n-1))
}

const hullBlock = 32

// push adds option j to the chain and takes off what is no longer below it.
func push(t costcurve.Table, stack []int32, j int32) []int32 {
	x, c := float64(t.Tasks[j]), t.Joules[j]
	for len(stack) >= 2 {
		p, q := stack[len(stack)-2], stack[len(stack)-1]
		px, pc := float64(t.Tasks[p]), t.Joules[p]
		// q stays only if it is strictly below the line from p to j.
		if (t.Joules[q]-pc)*(x-px) < (c-pc)*(float64(t.Tasks[q])-px) {
			break
		}
		stack = stack[:len(stack)-1]
	}
	return append(stack, j)
}
