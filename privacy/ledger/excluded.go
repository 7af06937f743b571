package ledger

// Excluded returns the exclusions so far, in order.
func (l *Ledger) Excluded() []Exclusion {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	out := make([]Exclusion, len(l.state.Excluded))
	for i, x := range l.state.Excluded {
		out[i] = *x
	}
	return out
}
