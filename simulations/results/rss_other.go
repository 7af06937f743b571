//go:build !unix

package results

func maxRSS() int64 { return 0 }
