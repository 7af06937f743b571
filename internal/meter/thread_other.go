//go:build !linux

package meter

import "time"

// Thread is the time since the process started: this system does not tell that of
// a thread.
func Thread() time.Duration { return time.Since(start) }

var start = time.Now()
