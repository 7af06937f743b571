package dataset

import (
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Groups lists, for each group of the set, the positions of its images in ascending
// order; groups come in the order of their first image. Without groups every image
// is its own. The result is the caller's.
func (s *Set) Groups() [][]int32 {
	var list [][]int32
	if s.groups == nil {
		for i := range s.index {
			list = append(list, []int32{int32(i)})
		}
		return list
	}
	at := map[int32]int{}
	for i, g := range s.groups {
		k, ok := at[g]
		if !ok {
			k = len(list)
			at[g] = k
			list = append(list, nil)
		}
		list[k] = append(list[k], int32(i))
	}
	return list
}

// Files that say which images belong together: beside IDX files one number an image, in an
// IDX file of one dimension (8, 16 or 32 bits) or in text; in a folder of images groups.csv.
const groupsCSV = "groups.csv"

var idxGroupNames = []string{"groups-idx1-ubyte", "groups-idx1-short", "groups-idx1-int", "writers-idx1-short"}

// maxGroupFile bounds a CSV file of groups.
const maxGroupFile = 256 << 20

// idxGroups adds the groups that lie beside IDX files, if any do.
func idxGroups(dir string, names map[string]bool, split string, s *Set) (*Set, error) {
	prefix := map[string]string{"train": "train-", "test": "t10k-"}[split]
	found := ""
	for _, name := range append(slices.Clone(idxGroupNames), groupsCSV) {
		for _, name := range []string{prefix + name, prefix + name + ".gz"} {
			if !isFile(names, name) {
				continue
			}
			if found != "" {
				return nil, fmt.Errorf("open data %s: %w: both %s and %s say which images belong together: remove one", dir, ErrFormat, found, name)
			}
			found = name
		}
	}
	if found == "" {
		return s, nil
	}
	path := filepath.Join(dir, found)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open groups: %w", err)
	}
	defer f.Close()
	r, err := decompress(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	read := readIDXGroups
	if strings.Contains(found, groupsCSV) {
		read = readGroupColumn
	}
	groups, err := read(r, s.Len())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s.WithGroups(groups)
}

// readIDXGroups reads n numbers of 8, 16 or 32 bits.
func readIDXGroups(r io.Reader, n int) ([]int32, error) {
	var head [8]byte
	if got, err := io.ReadFull(r, head[:]); err != nil {
		return nil, shortRead(err, int64(len(head)), int64(got))
	}
	width := map[uint32]int{0x0801: 1, 0x0b01: 2, 0x0c01: 4}[binary.BigEndian.Uint32(head[:4])]
	if width == 0 {
		return nil, fmt.Errorf("%w: IDX magic number %#08x, want one dimension of bytes, shorts or ints", ErrFormat, binary.BigEndian.Uint32(head[:4]))
	}
	if got := binary.BigEndian.Uint32(head[4:]); uint64(got) != uint64(n) {
		return nil, fmt.Errorf("%w: %d groups for %d images", ErrFormat, got, n)
	}
	b, err := readExactly(r, int64(n)*int64(width))
	if err != nil {
		return nil, err
	}
	groups := make([]int32, n)
	for i := range groups {
		for _, x := range b[i*width:][:width] {
			groups[i] = groups[i]<<8 | int32(x)
		}
	}
	return groups, nil
}

// readGroupColumn reads a CSV file of one column, headed group, a row an image.
func readGroupColumn(r io.Reader, n int) ([]int32, error) {
	rows, err := readCSV(r, "group")
	if err != nil {
		return nil, err
	}
	if len(rows) != n {
		return nil, fmt.Errorf("%w: %d groups for %d images", ErrFormat, len(rows), n)
	}
	numbers := map[string]int32{}
	groups := make([]int32, n)
	for i, row := range rows {
		groups[i] = number(numbers, row[0])
	}
	return groups, nil
}

func readCSV(r io.Reader, header ...string) ([][]string, error) {
	c := csv.NewReader(io.LimitReader(r, maxGroupFile))
	c.FieldsPerRecord = len(header)
	rows, err := c.ReadAll()
	if err != nil {
		if _, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return nil, damaged(err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], header) {
		return nil, fmt.Errorf("%w: want the first line %q", ErrFormat, strings.Join(header, ","))
	}
	for i, row := range rows[1:] {
		if row[len(row)-1] == "" {
			return nil, fmt.Errorf("%w: line %d names no group", ErrFormat, i+2)
		}
	}
	return rows[1:], nil
}

func number(numbers map[string]int32, name string) int32 {
	n, ok := numbers[name]
	if !ok {
		n = int32(len(numbers))
		numbers[name] = n
	}
	return n
}

// listed takes the groups of a folder's files from its groups.csv, columns file and group, where
// file is class/image as it is below the folder. Every image must be named: one that is not would count
// as a group of its own, which promises less than its owner may think.
func (t *tree) listed(dir string) error {
	path := filepath.Join(dir, groupsCSV)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open groups: %w", err)
	}
	defer f.Close()
	if t.grouped {
		return fmt.Errorf("open image folder %s: %w: it has group folders and a %s: remove one", dir, ErrFormat, groupsCSV)
	}
	rows, err := readCSV(f, "file", "group")
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	of := map[string]int32{}
	numbers := map[string]int32{}
	for i, row := range rows {
		name := filepath.Clean(filepath.FromSlash(row[0]))
		if _, twice := of[name]; twice {
			return fmt.Errorf("read %s: %w: line %d names %s again", path, ErrFormat, i+2, row[0])
		}
		of[name] = number(numbers, row[1])
	}
	for i, file := range t.files {
		name, err := filepath.Rel(dir, file.path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		group, ok := of[name]
		if !ok {
			return fmt.Errorf("read %s: %w: it does not name %s: every image needs a group", path, ErrFormat, filepath.ToSlash(name))
		}
		t.files[i].group = group
	}
	t.grouped = len(t.files) > 0
	return nil
}
