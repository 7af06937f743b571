package kernel

// Pause tells the processor that a loop waits for another core: it uses less power,
// and leaves the issue slots to the other thread of a core that runs two. It takes
// from 0.02 to 0.2 us.
//
//go:noescape
func Pause()
