package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// member is one key of a struct, with those of inlined structs among them.
type member struct {
	name  string
	doc   string
	value reflect.Value
}

// leaf is a field that is set as a whole, with its path from the root.
type leaf struct {
	path  string
	doc   string
	value reflect.Value
}

// members lists the keys of a struct in the order of its declaration.
func members(v reflect.Value) []member {
	var out []member
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(options, "inline") && f.Type.Kind() == reflect.Struct:
			out = append(out, members(v.Field(i))...)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = strings.ToLower(f.Name) // as yaml does
		}
		out = append(out, member{name, f.Tag.Get("doc"), v.Field(i)})
	}
	return out
}

// leaves lists the fields below a struct in the order of their declaration.
func leaves(v reflect.Value, path string) []leaf {
	var out []leaf
	for _, m := range members(v) {
		p := join(path, m.name)
		if isSection(m.value.Type()) {
			out = append(out, leaves(m.value, p)...)
		} else {
			out = append(out, leaf{p, m.doc, m.value})
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	yamlUnmarshaler = reflect.TypeFor[yaml.Unmarshaler]()
)

// isSection says that a type has keys of its own, rather than a form of its own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isText(t) && !reflect.PointerTo(t).Implements(yamlUnmarshaler)
}

// isText says that a type reads itself from a text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(textUnmarshaler) && !reflect.PointerTo(t).Implements(yamlUnmarshaler)
}

// isScalar says that a type is written as one plain value.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(yamlUnmarshaler) {
		return false
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return isText(t)
}
