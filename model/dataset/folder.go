package dataset

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Problem is one file that was skipped, and why. It names a private file: it
// is for the data holder's own terminal only.
type Problem struct {
	File string
	Err  error
}

func (p Problem) String() string { return p.File + ": " + p.Err.Error() }

// OpenFolder reads a folder of images with one sub-folder a class:
//
//	dir/class/image.png         or, with groups,
//	dir/class/group/image.png   for example a patient's images of one class
//
// Folder names are matched exactly with o.Classes, which give the labels their
// order; a folder that is not among them is an error, a class without a folder
// is not. Without o.Classes the sorted folder names are the classes. Groups
// become numbers: the same group name under two classes is the same group, and
// the names are forgotten. A folder with groups must have them for all images,
// because an image outside would count as a group of its own, which promises
// less than its owner may think. In place of group folders a file dir/groups.csv
// may say the group of every image: a first line "file,group", then a line an
// image, such as "melanoma/0001.png,patient-7".
//
// Files are PNG or JPEG, told by their content: 8 or 16 bit, grey, colour,
// palette or CMYK. The set is 16 bit if at least one image is. Images are
// stretched to the height and width of o.Shape with a Catmull-Rom filter, which
// averages when it shrinks; one that already fits is taken as it is.
// Transparency is laid on black, which is also what augmentation fills with.
// Colour becomes grey by BT.601 luma, grey becomes colour by repetition, as
// o.Shape has 1 or 3 channels. An EXIF orientation is not applied.
//
// Hidden files and folders are ignored. A file that cannot be used (corrupt, no
// image, unreadable, beyond 64 megapixels, 32,768 pixels a side or 256 MiB) is
// skipped and reported; the problems come in the order of their paths, whatever
// the number of processors. No usable image at all is ErrEmpty. A folder that cannot be
// listed is an error too: a whole class or patient may be missing.
func OpenFolder(dir string, o Options) (*Set, []Problem, error) {
	if err := o.Shape.validate(); err != nil {
		return nil, nil, fmt.Errorf("open image folder %s: %w", dir, err)
	}
	if o.Shape.C != 1 && o.Shape.C != 3 {
		return nil, nil, fmt.Errorf("open image folder %s: %w: the model takes %v, images have 1 or 3 channels", dir, ErrShape, o.Shape)
	}
	t, err := scan(dir, o.Classes)
	if err != nil {
		return nil, t.problems, err
	}
	files, headers, problems := probeAll(t.files)
	problems = append(problems, t.problems...)

	s, unread, err := decodeAll(files, headers, o)
	problems = append(problems, unread...)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	if err != nil {
		return nil, problems, fmt.Errorf("open image folder %s: %w", dir, err)
	}
	if s.Len() == 0 {
		if len(problems) > 0 {
			return nil, problems, fmt.Errorf("open image folder %s: %w: none of %d files can be used, the first is %v", dir, ErrEmpty, len(problems), problems[0])
		}
		return nil, nil, fmt.Errorf("open image folder %s: %w: want PNG or JPEG files in one sub-folder a class", dir, ErrEmpty)
	}
	s.classes = t.classes
	if !t.grouped {
		s.groups = nil
	}
	return s, problems, nil
}

// file is one candidate image.
type file struct {
	path  string
	class int32
	group int32
}

// tree is what a folder holds, before any file is opened.
type tree struct {
	classes  []string
	files    []file // sorted by path within class and group
	grouped  bool
	problems []Problem
}

func scan(dir string, classes []string) (t tree, err error) {
	top, err := list(dir)
	if err != nil {
		return t, fmt.Errorf("open image folder: %w", err)
	}
	if classes == nil {
		for _, e := range top {
			if e.dir {
				t.classes = append(t.classes, e.name)
			}
		}
	} else {
		t.classes = slices.Clone(classes)
	}
	if len(t.classes) == 0 {
		return t, fmt.Errorf("open image folder %s: %w: it has no sub-folders, want one a class with PNG or JPEG files in it", dir, ErrEmpty)
	}
	if err := validateClasses(t.classes); err != nil {
		return t, fmt.Errorf("open image folder %s: %w", dir, err)
	}
	var flat, grouped string // an example of each, for the error
	numbers := map[string]int32{}
	for _, e := range top {
		path := filepath.Join(dir, e.name)
		if !e.dir {
			if isImageName(e.name) {
				t.problems = append(t.problems, Problem{path, fmt.Errorf("%w: not in a class folder", ErrFormat)})
			}
			continue
		}
		class := slices.Index(t.classes, e.name)
		if class < 0 {
			return t, fmt.Errorf("open image folder %s: %w: folder %q, want one of %s", dir, ErrClass, e.name, quoteSome(t.classes))
		}
		inside, err := list(path)
		if err != nil {
			return t, fmt.Errorf("open class folder: %w", err)
		}
		for _, e := range inside {
			path := filepath.Join(path, e.name)
			if !e.dir {
				t.add(path, class, 0)
				flat = path
				continue
			}
			images, err := list(path)
			if err != nil {
				return t, fmt.Errorf("open group folder: %w", err)
			}
			if _, ok := numbers[e.name]; !ok {
				numbers[e.name] = int32(len(numbers))
			}
			for _, i := range images {
				path := filepath.Join(path, i.name)
				if i.dir {
					return t, fmt.Errorf("open image folder %s: %w: %s is too deep, want class/image or class/group/image", dir, ErrFormat, path)
				}
				t.add(path, class, numbers[e.name])
				grouped = path
			}
		}
	}
	if flat != "" && grouped != "" {
		return t, fmt.Errorf("open image folder %s: %w: %s has a group folder and %s has none, want one for all images or for none", dir, ErrFormat, grouped, flat)
	}
	t.grouped = grouped != ""
	return t, t.listed(dir)
}

// add takes a file, or reports it when its name says it is something else.
func (t *tree) add(path string, class int, group int32) {
	if !isImageName(path) {
		t.problems = append(t.problems, Problem{path, fmt.Errorf("%w: want a .png, .jpg or .jpeg file", ErrFormat)})
		return
	}
	t.files = append(t.files, file{path: path, class: int32(class), group: group})
}

func isImageName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg":
		return true
	}
	return false
}

type entry struct {
	name string
	dir  bool
}

// list gives the entries of a folder, sorted by name, without hidden ones.
// Symbolic links count as what they point to.
func list(dir string) ([]entry, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, e := range all {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."), name == "Thumbs.db", name == "desktop.ini": // the last two are hidden on Windows
		case e.Type()&os.ModeSymlink != 0:
			info, err := os.Stat(filepath.Join(dir, name))
			out = append(out, entry{name, err == nil && info.IsDir()})
		default:
			out = append(out, entry{name, e.IsDir()})
		}
	}
	return out, nil
}

// quoteSome lists names for an error, but not a thousand of them.
func quoteSome(names []string) string {
	const most = 20
	var b strings.Builder
	for i, n := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}

// probeAll reads all headers and keeps the files that may be decoded.
func probeAll(files []file) (kept []file, headers []header, problems []Problem) {
	found, errs := make([]header, len(files)), make([]error, len(files))
	parallel(len(files), func(i int) { found[i], errs[i] = probe(files[i].path) })
	for i, err := range errs {
		if err != nil {
			problems = append(problems, Problem{files[i].path, plain(err)})
			continue
		}
		kept, headers = append(kept, files[i]), append(headers, found[i])
	}
	return kept, headers, problems
}

// decodeAll decodes the files into one set, in their order. The set carries
// the groups of the files and has no class names yet.
func decodeAll(files []file, headers []header, o Options) (*Set, []Problem, error) {
	size := o.Shape.Size()
	p := &pixels{shape: o.Shape}
	deep := slices.ContainsFunc(headers, func(h header) bool { return h.deep })
	bytes := int64(len(files)) * int64(size)
	if deep {
		bytes *= 2
	}
	if limit := o.maxBytes(); bytes > limit || len(files) > math.MaxInt32 {
		return nil, nil, fmt.Errorf("%w: %d images of %v need %d bytes in memory, at most %d are allowed", ErrTooLarge, len(files), o.Shape, bytes, limit)
	}
	if deep {
		p.p16 = make([]uint16, len(files)*size)
	} else {
		p.p8 = make([]uint8, len(files)*size)
	}
	errs := make([]error, len(files))
	budget := semaphore.NewWeighted(maxPixels)
	parallel(len(files), func(i int) {
		n := headers[i].cost(o.Shape)
		_ = budget.Acquire(context.Background(), n) // cannot fail: n <= maxPixels, no deadline
		defer budget.Release(n)
		m, err := decode(files[i].path, headers[i])
		switch {
		case err != nil:
			errs[i] = err
		case deep:
			store16(p.p16[i*size:][:size], o.Shape, m)
		default:
			store8(p.p8[i*size:][:size], o.Shape, m)
		}
	})
	s := &Set{pixels: p, groups: []int32{}}
	var problems []Problem
	for i, err := range errs {
		if err != nil {
			problems = append(problems, Problem{files[i].path, plain(err)})
			continue
		}
		s.index = append(s.index, int32(i))
		s.labels = append(s.labels, files[i].class)
		s.groups = append(s.groups, files[i].group)
	}
	return s, problems, nil
}

// plain drops the path from a file system error: the Problem has it already.
func plain(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

// parallel calls f(0) to f(n-1) on all processors and waits.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wait.Wait()
}
