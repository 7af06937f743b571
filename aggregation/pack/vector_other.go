//go:build !amd64

package pack

// lanes2 stands for vector instructions, of which there are none here.
type lanes2 struct{}

func newLanes2(*Coder) *lanes2 { return nil }

func (*lanes2) add([]uint64, []byte) bool { panic("pack: no vector instructions here") }

func (*lanes2) doubt([]byte, int) bool { panic("pack: no vector instructions here") }
