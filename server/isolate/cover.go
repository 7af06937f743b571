package isolate

import (
	"maps"
	"math/bits"
	"slices"
)

const (
	maxCulprits = 4       // more than these at once are not looked for
	maxSteps    = 200_000 // of one search; one that takes longer names nobody
)

// culprit returns a client without whom no few clients explain all void groups: it is in
// each choice of at most limit clients that has one in every group. If limit are too few
// for any choice, the smallest number that is enough takes its place.
func culprit(void []Void, limit int) (string, bool) {
	if len(void) == 0 {
		return "", false
	}
	in := map[string]uint64{} // by client: its groups, a bit each
	for i, v := range void {
		for _, name := range v.Clients {
			in[name] |= 1 << i
		}
	}
	all := uint64(1)<<len(void) - 1 // 64 groups: the shift gives 0, and 0-1 is right
	for limit <= maxCulprits {
		found, sure := covers(all, in, "", limit)
		if !sure {
			return "", false
		}
		if found {
			break
		}
		limit++
	}
	if limit > maxCulprits {
		return "", false
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if found, sure := covers(all, in, name, limit); sure && !found {
			return name, true
		}
	}
	return "", false
}

// covers says whether limit clients other than without are in all groups together. Only
// clients that are in no fewer groups than another matter. sure is false if the search
// was given up.
func covers(all uint64, in map[string]uint64, without string, limit int) (found, sure bool) {
	distinct := map[uint64]bool{}
	for name, groups := range in {
		if name != without {
			distinct[groups] = true
		}
	}
	var best []uint64
	for _, g := range slices.SortedFunc(maps.Keys(distinct), func(a, b uint64) int { return bits.OnesCount64(b) - bits.OnesCount64(a) }) {
		if !slices.ContainsFunc(best, func(b uint64) bool { return g&^b == 0 }) {
			best = append(best, g)
		}
	}
	steps := 0
	var search func(left uint64, limit int) bool
	search = func(left uint64, limit int) bool {
		if left == 0 {
			return true
		}
		if limit == 0 {
			return false
		}
		first := left & -left
		for _, g := range best {
			if steps++; steps > maxSteps {
				return false
			}
			if g&first != 0 && search(left&^g, limit-1) {
				return true
			}
		}
		return false
	}
	found = search(all, limit)
	return found, found || steps <= maxSteps
}
