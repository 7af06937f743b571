//go:build !amd64

package kernel

// Pause does nothing on this processor.
func Pause() {}
