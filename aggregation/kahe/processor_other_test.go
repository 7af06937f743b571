//go:build !unix

package kahe_test

import "time"

func processorTime() time.Duration { return 0 }
