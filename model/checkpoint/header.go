package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// entry is one tensor of a header.
type entry struct {
	name  string
	shape []int64
	span  [2]int64
}

// decodeHeader parses the JSON by tokens: encoding/json alone would take the
// last of repeated keys, ignore case and fill short arrays, and two readers
// could then see two different models in one file.
func decodeHeader(text []byte) ([]entry, map[string]string, error) {
	text = bytes.TrimRight(text, " ")
	if !utf8.Valid(text) {
		return nil, nil, errors.New("not UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(text))}
	p.d.UseNumber()
	var entries []entry
	var meta map[string]string
	err := p.object(func(key string) error {
		if key == metadataKey {
			meta = map[string]string{}
			return p.object(func(k string) error {
				v, err := p.text()
				meta[k] = v
				return err
			})
		}
		e, err := p.entry()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		e.name = key
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if p.d.InputOffset() != int64(len(text)) {
		return nil, nil, errors.New("something follows the JSON object")
	}
	return entries, meta, nil
}

type parser struct{ d *json.Decoder }

func (p parser) delim(want json.Delim) error {
	t, err := p.d.Token()
	if err != nil {
		return syntax(err)
	}
	if t != want {
		return fmt.Errorf("%.40q where %q belongs", fmt.Sprint(t), want.String())
	}
	return nil
}

// object calls f with each key of a JSON object; f consumes the value.
func (p parser) object(f func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.d.More() {
		key, err := p.text()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("key %.64q occurs twice", key)
		}
		seen[key] = true
		if err := f(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p parser) text() (string, error) {
	t, err := p.d.Token()
	if err != nil {
		return "", syntax(err)
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%.40q where a string belongs", fmt.Sprint(t))
	}
	return s, nil
}

// numbers reads an array of at most maxRank non-negative integers.
func (p parser) numbers() ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	var out []int64
	for p.d.More() {
		t, err := p.d.Token()
		if err != nil {
			return nil, syntax(err)
		}
		s, ok := t.(json.Number)
		if !ok || len(out) == maxRank {
			return nil, fmt.Errorf("%.40q where one of at most %d numbers belongs", fmt.Sprint(t), maxRank)
		}
		v, err := strconv.ParseUint(s.String(), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("number %.40s is not a size", s)
		}
		out = append(out, int64(v))
	}
	return out, p.delim(']')
}

func (p parser) entry() (entry, error) {
	var e entry
	var dtype string
	var span []int64
	err := p.object(func(key string) (err error) {
		switch key {
		case "dtype":
			dtype, err = p.text()
		case "shape":
			e.shape, err = p.numbers()
		case "data_offsets":
			span, err = p.numbers()
		default:
			err = fmt.Errorf("unknown key %.64q", key)
		}
		return err
	})
	if err != nil {
		return entry{}, err
	}
	if dtype != "F32" {
		return entry{}, fmt.Errorf("type %.16q, want F32", dtype)
	}
	if len(span) != 2 || span[0] > span[1] {
		return entry{}, fmt.Errorf("data_offsets %v, want a begin and an end", span)
	}
	e.span = [2]int64{span[0], span[1]}
	return e, nil
}

func syntax(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("JSON: %w", err)
}
