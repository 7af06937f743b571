package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode sets v, at path, from a node. Problems are noted under where(node), and
// so is the origin of everything that was set.
func (l *loader) decode(n *yaml.Node, v reflect.Value, path string, where func(*yaml.Node) string) {
	at := where(n)
	l.origin[path] = at
	if path != "" {
		at += ": " + path
	}
	t := v.Type()
	switch {
	case n.Kind == yaml.AliasNode:
		// Also keeps a document that refers to itself from recursing for ever.
		l.bad(at, "got an alias, want the value itself, written out")
	case isScalar(t):
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			l.bad(at, "got %s, want %s; write e.g. %s", nodeKind(n), wanted(v), example(v))
		} else if err := setScalar(v, n.Value); err != nil {
			l.bad(at, "%w", err)
		}
	case isSection(t):
		l.decodeStruct(n, v, path, at, where)
	case reflect.PointerTo(t).Implements(yamlUnmarshaler):
		if err := n.Decode(v.Addr().Interface()); err != nil {
			l.bad(at, "%s", oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
		}
	case n.Tag == "!!null":
		v.SetZero()
	case t.Kind() == reflect.Pointer:
		e := reflect.New(t.Elem())
		l.decode(n, e.Elem(), path, where)
		v.Set(e)
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			l.bad(at, "got %s, want %s", nodeKind(n), wanted(v))
			return
		}
		list := reflect.MakeSlice(t, len(n.Content), len(n.Content))
		for i, e := range n.Content {
			l.decode(e, list.Index(i), fmt.Sprintf("%s[%d]", path, i), where)
		}
		v.Set(list)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		if n.Kind != yaml.MappingNode {
			l.bad(at, "got %s, want %s", nodeKind(n), wanted(v))
			return
		}
		m := reflect.MakeMap(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			e := reflect.New(t.Elem()).Elem()
			l.decode(n.Content[i+1], e, join(path, n.Content[i].Value), where)
			m.SetMapIndex(reflect.ValueOf(n.Content[i].Value).Convert(t.Key()), e)
		}
		v.Set(m)
	default:
		if err := n.Decode(v.Addr().Interface()); err != nil {
			l.bad(at, "got %s, want %s", nodeKind(n), wanted(v))
		}
	}
}

func (l *loader) decodeStruct(n *yaml.Node, v reflect.Value, path, at string, where func(*yaml.Node) string) {
	if n.Tag == "!!null" {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		l.bad(at, "got %s, want keys and values: %s", nodeKind(n), strings.Join(keys(v), ", "))
		return
	}
	known := members(v)
	seen := map[string]int{}
next:
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		p := join(path, key.Value)
		if first, again := seen[key.Value]; again {
			l.bad(where(key)+": "+p, "set again, first on line %d: keep one", first)
			continue
		}
		seen[key.Value] = key.Line
		for _, m := range known {
			if m.name == key.Value {
				l.decode(n.Content[i+1], m.value, p, where)
				l.origin[p] = where(key) // a section begins at its key, not below it
				continue next
			}
		}
		l.bad(where(key)+": "+p, "unknown key%s", l.suggestKey(key.Value, v))
	}
}

func keys(v reflect.Value) []string {
	var names []string
	for _, m := range members(v) {
		names = append(names, m.name)
	}
	return names
}

// suggestKey proposes a key of the same section, or the same key in another one.
func (l *loader) suggestKey(name string, section reflect.Value) string {
	names := keys(section)
	if s := suggest(name, names); s != "" {
		return s
	}
	for _, f := range l.leaves {
		if strings.HasSuffix("."+f.path, "."+name) {
			return fmt.Sprintf("; did you mean %s?", f.path)
		}
	}
	if len(names) <= 12 {
		return "; known here: " + strings.Join(names, ", ")
	}
	return ""
}

func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// setScalar parses text into a field for which isScalar holds.
func setScalar(v reflect.Value, text string) error {
	refuse := func() error {
		return fmt.Errorf("got %q, want %s; write e.g. %s", text, wanted(v), example(v))
	}
	t := v.Type()
	if t == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return refuse()
		}
		v.SetInt(int64(d))
		return nil
	}
	if isText(t) {
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			if t == bytesType {
				return refuse()
			}
			return fmt.Errorf("got %q: %w", text, err)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return refuse()
		}
		v.SetBool(text == "true")
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, t.Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return refuse()
		}
		v.SetFloat(f)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return refuse()
		}
		v.SetInt(i)
	default:
		u, err := strconv.ParseUint(text, 10, t.Bits())
		if err != nil {
			return refuse()
		}
		v.SetUint(u)
	}
	return nil
}

// wanted names, for a reader, what a field holds.
func wanted(v reflect.Value) string { return typeName(v.Type()) }

func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration"
	case t == bytesType:
		return "a size"
	case isText(t):
		return "text"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more"
	case reflect.Slice, reflect.Array:
		if e := t.Elem(); isScalar(e) {
			return "a list, each " + typeName(e)
		}
		return "a list"
	}
	return "keys and values"
}

// example writes a value that a field would take: its default, if it has one.
func example(v reflect.Value) string {
	if !v.IsZero() {
		return scalarText(v)
	}
	switch {
	case v.Type() == durationType:
		return "30s"
	case v.Type() == bytesType:
		return "4MiB"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true"
	case reflect.Float32, reflect.Float64:
		return "0.5"
	case reflect.String, reflect.Struct:
		return `"name"`
	}
	return "20"
}
