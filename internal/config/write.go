package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// commentWidth is where the comments of a written file wrap.
const commentWidth = 90

// WriteYAML writes every field of src, a struct or a pointer to one, with its doc
// tag as a comment above it, so that all choices stand in the file. The header is
// written first, as a comment. Load reads the file back to an equal struct.
func WriteYAML(w io.Writer, src any, header string) error {
	v, err := structOf(src)
	if err != nil {
		return err
	}
	var b strings.Builder
	comment(&b, "", header)
	if err := writeStruct(&b, v, ""); err != nil {
		return err
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// structOf makes an addressable copy, so that methods on pointers are found.
func structOf(src any) (reflect.Value, error) {
	v := reflect.Indirect(reflect.ValueOf(src))
	if v.Kind() != reflect.Struct {
		return v, fmt.Errorf("write configuration: got %T, want a struct", src)
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c, nil
}

func writeStruct(b *strings.Builder, v reflect.Value, indent string) error {
	for i, m := range members(v) {
		if indent == "" && (i > 0 || b.Len() > 0) {
			b.WriteByte('\n')
		}
		comment(b, indent, m.doc)
		if isSection(m.value.Type()) {
			fmt.Fprintf(b, "%s%s:\n", indent, m.name)
			if err := writeStruct(b, m.value, indent+"  "); err != nil {
				return err
			}
			continue
		}
		text, block, err := valueText(m.value)
		if err != nil {
			return fmt.Errorf("write configuration: %s: %w", m.name, err)
		}
		if !block {
			fmt.Fprintf(b, "%s%s: %s\n", indent, m.name, text)
			continue
		}
		fmt.Fprintf(b, "%s%s:\n", indent, m.name)
		for line := range strings.Lines(text) {
			fmt.Fprintf(b, "%s  %s\n", indent, strings.TrimRight(line, "\n"))
		}
	}
	return nil
}

func comment(b *strings.Builder, indent, text string) {
	for paragraph := range strings.Lines(text) {
		line := indent + "#"
		for _, word := range strings.Fields(paragraph) {
			if len(line) > len(indent)+1 && len(line)+1+len(word) > commentWidth {
				b.WriteString(line + "\n")
				line = indent + "#"
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
}

// valueText writes a field's value as YAML: on one line, or as a block that goes
// below its key.
func valueText(v reflect.Value) (text string, block bool, err error) {
	n, err := node(v)
	if err != nil {
		return "", false, err
	}
	if n.Kind == yaml.ScalarNode || allScalars(n) {
		n.Style = n.Style&^(yaml.LiteralStyle|yaml.FoldedStyle) | yaml.FlowStyle
	}
	text, err = encode(n)
	return text, n.Style&yaml.FlowStyle == 0, err
}

// node turns a value into YAML, with every duration and size in its short form.
func node(v reflect.Value) (*yaml.Node, error) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.String || isText(t) && t != bytesType:
		n := &yaml.Node{}
		n.SetString(scalarText(v))
		if strings.Contains(n.Value, "\n") {
			n.Style = yaml.DoubleQuotedStyle // stays on one line
		}
		return n, nil
	case isScalar(t):
		return &yaml.Node{Kind: yaml.ScalarNode, Value: scalarText(v)}, nil
	case isSection(t):
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(v) {
			if m.value.IsZero() { // an element of a list says only what it sets
				continue
			}
			e, err := node(m.value)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: m.name}, e)
		}
		return n, nil
	case t.Kind() == reflect.Slice && !reflect.PointerTo(t).Implements(yamlUnmarshaler):
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			e, err := node(v.Index(i))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, e)
		}
		return n, nil
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !reflect.PointerTo(t).Implements(yamlUnmarshaler):
		n := &yaml.Node{Kind: yaml.MappingNode}
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			k, err := node(name)
			if err != nil {
				return nil, err
			}
			e, err := node(v.MapIndex(name))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, k, e)
		}
		return n, nil
	}
	n := &yaml.Node{}
	if err := n.Encode(v.Interface()); err != nil {
		return nil, err
	}
	return n, nil
}

func allScalars(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return false // keys and values read better below each other
	}
	for _, e := range n.Content {
		if e.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}

func encode(v any) (string, error) {
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// scalarText writes a value as setScalar reads it.
func scalarText(v reflect.Value) string {
	if v.Type() == durationType {
		s := time.Duration(v.Int()).String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	}
	return fmt.Sprint(v.Interface())
}

// WriteTable writes a Markdown table of the fields of src, a struct that holds the
// defaults: path, type, default, meaning.
func WriteTable(w io.Writer, src any) error {
	v, err := structOf(src)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for _, f := range leaves(v, "") {
		text := "none"
		if v := f.value; !(v.IsZero() && (!isScalar(v.Type()) || v.Kind() == reflect.String)) {
			text = scalarText(v)
			if !isScalar(v.Type()) {
				n, err := node(v)
				if err != nil {
					return fmt.Errorf("write table: %s: %w", f.path, err)
				}
				n.Style = yaml.FlowStyle
				if text, err = encode(n); err != nil {
					return fmt.Errorf("write table: %s: %w", f.path, err)
				}
			}
			text = "`" + text + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.path, cell(wanted(f.value)), cell(text), cell(f.doc))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func cell(s string) string { return strings.ReplaceAll(oneLine(s), "|", `\|`) }
