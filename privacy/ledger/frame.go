package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	fileStart = "sotto ledger 1\n"

	maxFrame   = 4 << 20
	headerSize = 8 // length and its complement
	sumSize    = 4

	typeRecord     = 'r'
	typeCheckpoint = 'c'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one stretch of a file: a record or a checkpoint.
type frame struct {
	offset int // of its first byte in the file
	typ    byte
	body   []byte // part of the file's bytes
}

// appendFrame writes length, complement of the length, type, body and CRC-32C. The complement is what tells a damaged
// length from the end of the file.
func appendFrame(dst []byte, typ byte, body []byte) []byte {
	n := uint32(len(body) + 1)
	dst = binary.BigEndian.AppendUint32(dst, n)
	dst = binary.BigEndian.AppendUint32(dst, ^n)
	at := len(dst)
	dst = append(append(dst, typ), body...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// scan takes a file apart. whole is the number of bytes up to the end of the last checkpoint: what was acknowledged. What
// comes after it is torn if a crash during append explains it: a beginning of what append writes, or nothing but
// zeros. Anything else is a Difference.
func scan(b []byte) (frames []frame, whole int, torn bool, err error) {
	if !bytes.HasPrefix(b, []byte(fileStart)) {
		if bytes.HasPrefix([]byte(fileStart), b) {
			return nil, 0, true, nil
		}
		return nil, 0, false, &Difference{Index: -1, What: "the file's first line", Got: fmt.Sprintf("%.20q", b), Want: fmt.Sprintf("%q", fileStart)}
	}
	at := len(fileStart)
	whole = at
	kept := 0
	for at < len(b) {
		rest := b[at:]
		if len(bytes.Trim(rest, "\x00")) == 0 {
			return frames[:kept], whole, true, nil
		}
		index := int64(len(frames) / 2)
		differ := func(what, got, want string) ([]frame, int, bool, error) {
			return frames[:kept], whole, false, &Difference{Index: index, Offset: int64(at), What: what, Got: got, Want: want}
		}
		if len(rest) < headerSize {
			return frames[:kept], whole, true, nil
		}
		n := binary.BigEndian.Uint32(rest)
		if c := binary.BigEndian.Uint32(rest[4:]); n < 1 || n > maxFrame || c != ^n {
			return differ("the length of a frame", fmt.Sprintf("%08x and %08x", n, c), "a length of at most 4 MiB and its complement")
		}
		end := headerSize + int(n)
		if len(rest) < end+sumSize {
			return frames[:kept], whole, true, nil
		}
		f := frame{at, rest[headerSize], rest[headerSize+1 : end : end]}
		want := byte(typeRecord)
		if len(frames)%2 == 1 {
			want = typeCheckpoint
		}
		if got, stored := crc32.Checksum(rest[headerSize:end], castagnoli), binary.BigEndian.Uint32(rest[end:]); got != stored {
			return differ("the checksum of a "+frameName(want), fmt.Sprintf("%08x", got), fmt.Sprintf("%08x", stored))
		}
		if f.typ != want {
			return differ("the order of frames", "a "+frameName(f.typ), "a "+frameName(want))
		}
		frames = append(frames, f)
		at += end + sumSize
		if want == typeCheckpoint {
			whole, kept = at, len(frames)
		}
	}
	return frames[:kept], whole, whole < len(b), nil
}

func frameName(typ byte) string {
	switch typ {
	case typeRecord:
		return "record"
	case typeCheckpoint:
		return "checkpoint"
	}
	return fmt.Sprintf("frame of type %q", typ)
}
