// Package checkpoint reads and writes models as safetensors files, the format
// that PyTorch's ecosystem loads without running code:
// https://huggingface.co/docs/safetensors.
//
// A file is an 8-byte little-endian header length, a JSON header that gives
// each tensor's type, shape and byte offsets, and the data. Names, shapes and
// order are model.Layout's, which are PyTorch's.
//
// The reader is stricter than the format, because a checkpoint may come from
// anyone: the header is at most 1 MiB of valid UTF-8 without repeated or
// unknown keys, every tensor is F32 and is one that the layout wants, in the
// shape it wants, none is missing, and the tensors cover the data exactly,
// without holes, overlaps or a trailing byte. Tensors may lie in any order,
// since other writers sort them by name. Nothing is allocated for the data
// until all of that holds. Values are not judged: a NaN is read as a NaN.
package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/sotto-fl/sotto/model"
)

const (
	maxHeader   = 1 << 20
	maxRank     = 8
	metadataKey = "__metadata__"
	chunkSize   = 64 << 10
)

// Write writes m, with meta as the file's metadata; meta may be nil. Equal
// models and metadata give equal bytes. The header is padded with spaces so
// that the data starts at a multiple of 8.
func Write(w io.Writer, m *model.Model, meta map[string]string) error {
	header, err := encodeHeader(m, meta)
	if err != nil {
		return err
	}
	chunk := append(make([]byte, 0, max(chunkSize, len(header))), header...)
	for _, v := range m.Params {
		if len(chunk)+4 > cap(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return fmt.Errorf("write checkpoint: %w", err)
			}
			chunk = chunk[:0]
		}
		chunk = binary.LittleEndian.AppendUint32(chunk, math.Float32bits(v))
	}
	if _, err := w.Write(chunk); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

func encodeHeader(m *model.Model, meta map[string]string) ([]byte, error) {
	if len(m.Params) != m.Layout.Size() {
		return nil, fmt.Errorf("write checkpoint: %d parameters, the layout has %d", len(m.Params), m.Layout.Size())
	}
	b := append(make([]byte, 8, 4096), '{')
	field := func(key string, value any) error {
		if !utf8.ValidString(key) {
			return fmt.Errorf("write checkpoint: name %q is not UTF-8", key)
		}
		k, err := json.Marshal(key)
		if err != nil {
			return err
		}
		v, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if len(b) > len("12345678{") {
			b = append(b, ',')
		}
		b = append(append(append(b, k...), ':'), v...)
		return nil
	}
	for k, v := range meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("write checkpoint: metadata %q is not UTF-8", k)
		}
	}
	if len(meta) > 0 {
		if err := field(metadataKey, meta); err != nil {
			return nil, err
		}
	}
	for _, t := range m.Layout.Tensors() {
		if t.Name == metadataKey {
			return nil, fmt.Errorf("write checkpoint: a tensor cannot be called %s", metadataKey)
		}
		entry := struct {
			Dtype   string `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{"F32", t.Shape, [2]int{4 * t.Offset, 4 * (t.Offset + t.Size)}}
		if err := field(t.Name, entry); err != nil {
			return nil, err
		}
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return nil, fmt.Errorf("write checkpoint: header of %d bytes, at most %d are allowed, shorten the metadata", len(b)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// Read reads a model of exactly this layout and the file's metadata (nil if it
// has none), consuming r to its end. It refuses more than limit bytes. After an
// error nothing that was read is returned.
func Read(r io.Reader, layout model.Layout, limit int64) (*model.Model, map[string]string, error) {
	var prefix [8]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, nil, fmt.Errorf("header length: %w", truncated(err))
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader {
		return nil, nil, fmt.Errorf("header of %d bytes, at most %d are allowed: not a safetensors file, or not one of ours", length, maxHeader)
	}
	if want := 8 + int64(length) + 4*int64(layout.Size()); want > limit {
		return nil, nil, fmt.Errorf("header and model need %d bytes, the limit is %d", want, limit)
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, fmt.Errorf("header: %w", truncated(err))
	}
	entries, meta, err := decodeHeader(header)
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if err := match(entries, layout); err != nil {
		return nil, nil, err
	}
	m := model.New(layout)
	chunk := make([]byte, chunkSize)
	for _, e := range entries {
		for dst := m.View(e.name); len(dst) > 0; {
			n := min(len(dst), chunkSize/4)
			if _, err := io.ReadFull(r, chunk[:4*n]); err != nil {
				return nil, nil, fmt.Errorf("data of tensor %q: %w", e.name, truncated(err))
			}
			for i := range dst[:n] {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(chunk[4*i:]))
			}
			dst = dst[n:]
		}
	}
	if n, err := io.ReadFull(r, chunk[:1]); n != 0 {
		return nil, nil, errors.New("data goes on after the last tensor")
	} else if err != io.EOF {
		return nil, nil, fmt.Errorf("end of data: %w", err)
	}
	return m, meta, nil
}

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("file ends early, it is truncated")
	}
	return err
}

// match sorts entries by position and checks them against the layout.
func match(entries []entry, layout model.Layout) error {
	found := make(map[string]bool, len(entries))
	for _, e := range entries {
		t, ok := layout.Lookup(e.name)
		if !ok {
			return fmt.Errorf("tensor %q is not part of this architecture", e.name)
		}
		if !slices.EqualFunc(e.shape, t.Shape, func(a int64, b int) bool { return a == int64(b) }) {
			return fmt.Errorf("tensor %q has shape %v, want %v", e.name, e.shape, t.Shape)
		}
		if e.span[1]-e.span[0] != 4*int64(t.Size) {
			return fmt.Errorf("tensor %q spans bytes %d to %d, want %d bytes", e.name, e.span[0], e.span[1], 4*t.Size)
		}
		found[e.name] = true
	}
	for _, t := range layout.Tensors() {
		if !found[t.Name] {
			return fmt.Errorf("tensor %q is missing, want shape %v", t.Name, t.Shape)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		switch {
		case a.span[0] < b.span[0]:
			return -1
		case a.span[0] > b.span[0]:
			return 1
		}
		return 0
	})
	var at int64
	for _, e := range entries {
		if e.span[0] != at {
			return fmt.Errorf("tensor %q starts at byte %d of the data, want %d: tensors must neither overlap nor leave holes", e.name, e.span[0], at)
		}
		at = e.span[1]
	}
	return nil
}
