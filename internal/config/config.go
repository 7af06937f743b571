// Package config fills one struct from a YAML file, the environment and flags,
// in that order, over the defaults that the struct already holds. It also holds
// what the programs share about failing: exit codes, and how an error and its
// hint are printed.
//
// One mapping serves all sources. The YAML key path of a field, rounds.count, is
// its environment variable SOTTO_ROUNDS_COUNT and its flag -rounds.count. Lists
// of plain values are written a,b,c in the environment and in flags; anything
// richer is written there as YAML.
//
// Nothing is ignored: an unknown key, an unknown SOTTO_ variable and an unknown
// flag are errors. Every problem is one line that names where it is, what was
// found, and what would be accepted; all problems of a file are reported at once.
//
// The package interprets no value. What a field may hold is for its struct's
// Validate method to say, which Load calls.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix starts every environment variable of the project.
const EnvPrefix = "SOTTO_"

// maxFile bounds a configuration file: nobody writes one this long by hand.
const maxFile = 1 << 20

// Sources says where Load reads from. Each part may be left out.
type Sources struct {
	File string   // path of a YAML file
	Env  []string // NAME=value, as from os.Environ
	Args []string // command line without the program's and the command's name

	// FileFlag is the name of a flag that names the file in place of File, such as
	// "config".
	FileFlag string
	// Flags are the program's own flags; they are parsed together with those of
	// the struct. Arguments that are not flags are left in it; without it, they
	// are refused.
	Flags *flag.FlagSet
}

// Load fills dst, a pointer to a struct that holds the defaults. Fields are named
// by their yaml tags. When dst has a method Validate() error, Load calls it last
// and says where each offending field was set: Validate returns one line a
// problem, each starting with the field's path and ": " (join them with
// errors.Join, prefix those of a part with At).
//
// Errors are of type *UsageError; flag.ErrHelp is returned for -h. After an error
// dst is only partly filled.
func Load(dst any, o Sources) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("load configuration: got %T, want a pointer to a struct", dst)
	}
	l := &loader{root: p.Elem(), file: o.File, origin: map[string]string{}}
	if err := l.collect(); err != nil {
		return err
	}
	settings, err := l.parseArgs(o)
	if err != nil {
		return err
	}
	if l.file != "" {
		if err := l.readFile(); err != nil {
			return &UsageError{err}
		}
	}
	l.readEnv(o.Env)
	for _, s := range settings {
		l.set(l.flags["-"+s.path], s.text, "-"+s.path)
	}
	if len(l.problems) > 0 {
		return &UsageError{errors.Join(l.problems...)}
	}
	if v, ok := dst.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return &UsageError{l.locate(err)}
		}
	}
	return nil
}

type loader struct {
	root     reflect.Value
	file     string
	leaves   []leaf
	flags    map[string]leaf   // by -path
	env      map[string]leaf   // by variable
	origin   map[string]string // path -> where it was set last
	problems []error
}

func (l *loader) bad(where, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %w", where, fmt.Errorf(format, args...)))
}

// collect indexes the fields of the struct under their names in each source.
func (l *loader) collect() error {
	l.leaves = leaves(l.root, "")
	l.flags, l.env = map[string]leaf{}, map[string]leaf{}
	for _, f := range l.leaves {
		name := envName(f.path)
		if other, ok := l.env[name]; ok {
			return fmt.Errorf("load configuration: %s and %s share the variable %s: rename one", other.path, f.path, name)
		}
		l.env[name], l.flags["-"+f.path] = f, f
	}
	return nil
}

func envName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// setting is one flag as given.
type setting struct{ path, text string }

// flagValue records what it is given, so that flags can be applied after the file
// that one of them may name.
type flagValue struct {
	path  string
	bool  bool
	given *[]setting
}

func (f flagValue) String() string   { return "" }
func (f flagValue) IsBoolFlag() bool { return f.bool }
func (f flagValue) Set(text string) error {
	*f.given = append(*f.given, setting{f.path, text})
	return nil
}

func (l *loader) parseArgs(o Sources) ([]setting, error) {
	var given []setting
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	names := []string{}
	add := func(v flag.Value, name, usage string) {
		set.Var(v, name, usage)
		names = append(names, "-"+name)
	}
	if o.Flags != nil {
		o.Flags.VisitAll(func(f *flag.Flag) { add(f.Value, f.Name, f.Usage) })
	}
	if o.FileFlag != "" && set.Lookup(o.FileFlag) == nil {
		set.StringVar(&l.file, o.FileFlag, l.file, "configuration file")
		names = append(names, "-"+o.FileFlag)
	}
	for _, f := range l.leaves {
		if set.Lookup(f.path) != nil {
			return nil, fmt.Errorf("load configuration: flag -%s is both the program's and a field: rename one", f.path)
		}
		add(flagValue{f.path, f.value.Kind() == reflect.Bool, &given}, f.path, f.doc)
	}
	if err := set.Parse(o.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, flag.ErrHelp
		}
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
			name = "-" + strings.TrimLeft(name, "-")
			return nil, &UsageError{fmt.Errorf("%s: unknown flag%s", name, suggest(name, names))}
		}
		return nil, &UsageError{err}
	}
	if o.Flags != nil {
		return given, o.Flags.Parse(append([]string{"--"}, set.Args()...))
	}
	if set.NArg() > 0 {
		return nil, Usagef("%q: unexpected argument; options start with a dash, e.g. -%s", set.Arg(0), l.leaves[0].path)
	}
	return given, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

func (l *loader) readFile() error {
	f, err := os.Open(l.file)
	if err != nil {
		return fileError(l.file, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fileError(l.file, err)
	}
	if len(text) > maxFile {
		return fmt.Errorf("%s: more than %s: this is not a configuration file", l.file, Bytes(maxFile))
	}
	return l.readYAML(text)
}

// readYAML applies one document. It returns an error for text that is not YAML
// and notes everything else as a problem.
func (l *loader) readYAML(text []byte) error {
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // an empty file changes nothing
	} else if err != nil {
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			return fmt.Errorf("%s:%s: not YAML: %s", l.file, m[1], m[2])
		}
		return fmt.Errorf("%s: not YAML: %s", l.file, oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	var more yaml.Node
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:%d: a second YAML document starts here: write everything into one, without ---", l.file, max(more.Line, 1))
	}
	n := doc.Content[0]
	if n.Kind != yaml.MappingNode && n.Tag != "!!null" {
		return fmt.Errorf("%s:%d: got %s, want keys and values, e.g. %s: …", l.file, n.Line, nodeKind(n), l.leaves[0].path)
	}
	l.decode(n, l.root, "", func(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.file, n.Line) })
	return nil
}

func fileError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: check the path", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (l *loader) readEnv(env []string) {
	for _, v := range env {
		name, text, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		f, ok := l.env[name]
		if !ok {
			known := make([]string, 0, len(l.env))
			for n := range l.env {
				known = append(known, n)
			}
			slices.Sort(known)
			l.bad(name, "unknown variable%s", suggest(name, known))
			continue
		}
		l.set(f, text, name)
	}
}

// set gives a field the text of a variable or a flag, named by where.
func (l *loader) set(f leaf, text, where string) {
	l.origin[f.path] = where
	if isScalar(f.value.Type()) {
		if err := setScalar(f.value, text); err != nil {
			l.bad(where, "%w", err)
		}
		return
	}
	if f.value.Kind() == reflect.Slice && isScalar(f.value.Type().Elem()) && !strings.HasPrefix(text, "[") {
		list := reflect.MakeSlice(f.value.Type(), 0, 0)
		for _, part := range strings.Split(text, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			e := reflect.New(f.value.Type().Elem()).Elem()
			if err := setScalar(e, part); err != nil {
				l.bad(where, "%w", err)
				return
			}
			list = reflect.Append(list, e)
		}
		f.value.Set(list)
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		l.bad(where, "got %q, want %s", text, wanted(f.value))
		return
	}
	l.decode(doc.Content[0], f.value, f.path, func(*yaml.Node) string { return where })
}
