package snapshot

import (
	"context"
	"fmt"
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A tree is a module on disk.
type tree struct {
	t    testing.TB
	root string
}

func newTree(t testing.TB, files map[string]string) tree {
	tr := tree{t, t.TempDir()}
	for name, content := range files {
		tr.write(name, content)
	}
	return tr
}

func (tr tree) path(name string) string { return filepath.Join(tr.root, name) }

// write writes a file that looks old enough for its stamp to be trusted.
func (tr tree) write(name, content string) {
	tr.t.Helper()
	path := tr.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// age makes all files and directories look an hour old.
func (tr tree) age() {
	old := time.Now().Add(-time.Hour)
	err := filepath.Walk(tr.root, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) snapshot(packages ...*Package) *Snapshot {
	tr.t.Helper()
	s, err := New(tr.root, packages, nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	return s
}

// local returns a package in a directory of the tree with those files in it.
func (tr tree) local(dir string, files ...string) *Package {
	p := &Package{Path: "m/" + dir, Name: filepath.Base(dir), Dir: tr.path(dir), Local: true}
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			tr.t.Fatal(err)
		}
		if filepath.Ext(name) == ".go" {
			p.Files = append(p.Files, NewFile(filepath.Join(p.Dir, name), content))
		} else {
			p.Other = append(p.Other, OtherFile{Path: filepath.Join(p.Dir, name), Hash: HashOf(content), Kind: KindOf(name)})
		}
	}
	return p
}

func linux() build.Context {
	c := build.Default
	c.GOOS, c.GOARCH, c.CgoEnabled = "linux", "amd64", true
	c.BuildTags = []string{"extra"}
	c.ReleaseTags = []string{"go1.1", "go1.25"}
	return c
}

// TestRescan checks what of a directory takes part in the build, after each of a series of edits.
func TestRescan(t *testing.T) {
	tr := newTree(t, map[string]string{
		"p/a.go":                "package p\n",
		"p/b_linux.go":          "package p\n",
		"p/c_windows.go":        "package p\n",
		"p/d.go":                "//go:build extra && go1.25\n\npackage p\n",
		"p/e.go":                "//go:build ignore\n\npackage main\n",
		"p/f_test.go":           "package p\n",
		"p/_g.go":               "package p\n",
		"p/add_amd64.s":         "TEXT\n",
		"p/readme.md":           "# p\n",
		"q/q.go":                "package q\n",
		"q/page.html":           "<p>\n",
		"q/static/x.css":        "x\n",
		"q/static/.hidden":      "x\n",
		"q/static/_draft/y.css": "y\n",
		"go.mod":                "module m\n",
	})
	tr.age()
	q := tr.local("q", "q.go", "page.html", "static/x.css")
	q.EmbedPatterns = []string{"page.html", "static"}
	s := tr.snapshot(tr.local("p", "a.go", "b_linux.go", "d.go", "add_amd64.s"), q)
	s = s.must(s.packages, []OtherFile{{Path: tr.path("go.mod"), Hash: HashOf([]byte("module m\n")), Kind: Module}})
	disk := NewDisk(linux())
	files := func(s *Snapshot) string {
		var list []string
		for _, p := range s.Packages() {
			for _, f := range p.Files {
				list = append(list, s.Rel(f.Path))
			}
			for _, o := range p.Other {
				list = append(list, s.Rel(o.Path))
			}
		}
		return strings.Join(list, " ")
	}
	was := files(s)
	for _, step := range []struct {
		name string
		edit func()
		want string // how the list of files changes: "-x +y", or what else changes
	}{
		{"nothing", func() {}, ""},
		{"touched", func() { tr.age() }, ""},
		{"same text again", func() { tr.write("p/a.go", "package p\n") }, ""},
		{"content", func() { tr.write("p/a.go", "package p\n\nvar x int\n") }, "content"},
		{"same size", func() { tr.write("p/a.go", "package p\n\nvar y int\n") }, "content"},
		{"added", func() { tr.write("p/h.go", "package p\n") }, "+p/h.go"},
		{"added, not for this system", func() { tr.write("p/i.go", "//go:build darwin\n\npackage p\n") }, ""},
		{"now it is", func() { tr.write("p/i.go", "//go:build linux\n\npackage p\n") }, "+p/i.go"},
		{"not any more", func() { tr.write("p/d.go", "//go:build !extra\n\npackage p\n") }, "-p/d.go"},
		{"test file", func() { tr.write("p/j_test.go", "package p\n") }, ""},
		{"assembly", func() { tr.write("p/add_amd64.s", "TEXT 2\n") }, "content"},
		{"assembly for others", func() { tr.write("p/add_arm64.s", "TEXT\n") }, ""},
		{"C without cgo", func() { tr.write("p/x.c", "int x;\n") }, ""},
		{"cgo", func() { tr.write("p/h.go", "package p\n\nimport \"C\"\n") }, "+p/x.c"},
		{"embedded", func() { tr.write("q/static/x.css", "xx\n") }, "content"},
		{"embedded file added", func() { tr.write("q/static/sub/z.css", "z\n") }, "+q/static/sub/z.css"},
		{"hidden file changed", func() { tr.write("q/static/.hidden", "xx\n") }, ""},
		{"deleted", func() { os.Remove(tr.path("p/i.go")) }, "-p/i.go"},
		{"renamed", func() { os.Rename(tr.path("p/a.go"), tr.path("p/z.go")) }, "+p/z.go -p/a.go"},
		{"go.mod", func() { tr.write("go.mod", "module m\n\ngo 1.25\n") }, "content"},
		{"syntax error", func() { tr.write("p/z.go", "package\n") }, "content"},
		{"directory gone", func() { os.Rename(tr.path("q"), tr.path("qq")) }, "-q/page.html -q/q.go -q/static/sub/z.css -q/static/x.css"},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.edit()
			next, err := disk.Rescan(context.Background(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			is := files(next)
			got := difference(was, is)
			if got == "" && next != s {
				got = "content"
			}
			if got != step.want {
				t.Errorf("changed: %q, want %q", got, step.want)
			}
			s, was = next, is
		})
	}
	if got := string(s.Modules()[0].Content); got != "module m\n\ngo 1.25\n" {
		t.Errorf("go.mod is %q", got)
	}
}

func difference(before, after string) string {
	var list []string
	old, now := strings.Fields(before), strings.Fields(after)
	for _, f := range now {
		if !slices.Contains(old, f) {
			list = append(list, "+"+f)
		}
	}
	for _, f := range old {
		if !slices.Contains(now, f) {
			list = append(list, "-"+f)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestRescanRecent checks that a file is read again whose last change is too young to be told from another one: here the
// stamp stays the same.
func TestRescanRecent(t *testing.T) {
	tr := newTree(t, map[string]string{"p/a.go": "package p // 1\n"})
	s := tr.snapshot(tr.local("p", "a.go"))
	disk := NewDisk(linux())
	now := time.Now()
	for i := 1; i < 4; i++ {
		tr.write("p/a.go", fmt.Sprintf("package p // %d\n", i))
		if err := os.Chtimes(tr.path("p/a.go"), now, now); err != nil {
			t.Fatal(err)
		}
		next, err := disk.Rescan(context.Background(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if content, _ := next.Package("m/p").Files[0].Content(); string(content) != fmt.Sprintf("package p // %d\n", i) {
			t.Errorf("content %q after edit %d", content, i)
		}
		s = next
	}
}

// TestRescanOverlay checks that unsaved buffers come before the disk, also where there is no file yet.
func TestRescanOverlay(t *testing.T) {
	tr := newTree(t, map[string]string{"p/a.go": "package p\n"})
	s := tr.snapshot(tr.local("p", "a.go"))
	disk := NewDisk(linux())
	overlay := map[string][]byte{
		tr.path("p/a.go"):         []byte("package p // buffer\n"),
		tr.path("p/new.go"):       []byte("package p\n"),
		tr.path("p/x_darwin.go"):  []byte("package p\n"),
		tr.path("p/new_test.go"):  []byte("package p\n"),
		tr.path("other/other.go"): []byte("package other\n"),
	}
	next, err := disk.Rescan(context.Background(), s, overlay)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(next.Package("m/p")); got != "a.go new.go; " {
		t.Errorf("files %s", got)
	}
	if content, _ := next.Package("m/p").Files[0].Content(); string(content) != "package p // buffer\n" {
		t.Errorf("content %q", content)
	}
	back, err := disk.Rescan(context.Background(), next, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Digest(); got != s.Digest() {
		t.Error("without the buffers it is not what it was")
	}
}

// TestRescanForeign checks that packages that are not Local are told by the stamps that were recorded alone, and that what
// happens to them is seen all the same.
func TestRescanForeign(t *testing.T) {
	hurry := make(chan struct{})
	close(hurry)
	for _, test := range []struct {
		name string
		do   func(tr tree)
		want string
	}{
		{"nothing", func(tree) {}, "a.go a.s page.html"},
		{"edited", func(tr tree) { tr.write("std/a.go", "package std // edited\n") }, "a.go* a.s page.html"},
		{"written again", func(tr tree) { tr.write("std/a.go", "package std\n") }, "a.go a.s page.html"},
		{"assembly", func(tr tree) { tr.write("std/a.s", "// edited\n") }, "a.go a.s* page.html"},
		{"embedded", func(tr tree) { tr.write("std/page.html", "edited") }, "a.go a.s page.html*"},
		{"added", func(tr tree) { tr.write("std/b.go", "package std\n") }, "a.go b.go* a.s page.html"},
		{"of another system", func(tr tree) { tr.write("std/b_darwin.go", "package std\n") }, "a.go a.s page.html"},
		{"removed", func(tr tree) { os.Remove(tr.path("std/a.go")) }, "a.s page.html"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTree(t, map[string]string{"std/a.go": "package std\n", "std/a.s": "// a\n", "std/page.html": "page", "std/a_darwin.go": "package std\n"})
			tr.age()
			disk := NewDisk(linux())
			hashes := map[string]Hash{"a.go": HashOf([]byte("package std\n")), "a.s": HashOf([]byte("// a\n")), "page.html": HashOf([]byte("page"))}
			for name, hash := range hashes {
				stamp, _, err := StampOf(tr.path("std/" + name))
				if err != nil {
					t.Fatal(err)
				}
				disk.Know(tr.path("std/"+name), stamp, hash, time.Now())
			}
			stamp, _, err := StampOf(tr.path("std"))
			if err != nil {
				t.Fatal(err)
			}
			disk.KnowDir(tr.path("std"), stamp, slices.Collect(maps.Keys(hashes)), time.Now())
			s := tr.snapshot(&Package{
				Path: "std", Dir: tr.path("std"), Standard: true, Imports: []string{"unsafe"},
				Files: []*File{RecordedFile(tr.path("std/a.go"), hashes["a.go"])},
				Other: []OtherFile{{Path: tr.path("std/a.s"), Hash: hashes["a.s"], Kind: Assembly}, {Path: tr.path("std/page.html"), Hash: hashes["page.html"], Kind: Embedded}},
			}, &Package{Path: "known/by/name", Dir: tr.path("nowhere")})
			test.do(tr)
			next, err := disk.RescanForeign(context.Background(), s, hurry)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			note := func(path string, hash Hash) {
				name := filepath.Base(path)
				if hash != hashes[name] {
					name += "*"
				}
				got = append(got, name)
			}
			p := next.Package("std")
			for _, f := range p.Files {
				note(f.Path, f.Hash)
			}
			for _, o := range p.Other {
				note(o.Path, o.Hash)
			}
			if strings.Join(got, " ") != test.want || !slices.Equal(p.Imports, []string{"unsafe"}) {
				t.Errorf("got %v %v, want %s", got, p.Imports, test.want)
			}
			if (next == s) != !(strings.Contains(test.want, "*") || test.name == "removed") {
				t.Error("the same snapshot exactly if nothing differs")
			}
		})
	}
}

func TestRescanCgoOff(t *testing.T) {
	tr := newTree(t, map[string]string{"p/a.go": "package p\n"})
	context0 := linux()
	context0.CgoEnabled = false
	s := tr.snapshot(tr.local("p", "a.go"))
	tr.write("p/c.go", "package p\n\nimport \"C\"\n")
	next, err := NewDisk(context0).Rescan(context.Background(), s, nil)
	if err != nil || next != s {
		t.Errorf("a file of cgo takes part without cgo: %v", err)
	}
}

func TestRescanCancelled(t *testing.T) {
	tr := newTree(t, map[string]string{"p/a.go": "package p\n"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewDisk(linux()).Rescan(ctx, tr.snapshot(tr.local("p", "a.go")), nil); err == nil {
		t.Error("no error")
	}
}

// BenchmarkRescan looks at 2,000 files in 150 directories of which nothing changed, and at the same with one changed.
func BenchmarkRescan(b *testing.B) {
	files := make(map[string]string)
	byDir := make(map[string][]string)
	for i := range 2000 {
		dir := fmt.Sprintf("p%d", i%150)
		name := fmt.Sprintf("f%d.go", i)
		files[dir+"/"+name] = fmt.Sprintf("package p\n\nvar x%d int\n", i)
		byDir[dir] = append(byDir[dir], name)
	}
	tr := newTree(b, files)
	tr.age()
	var packages []*Package
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		packages = append(packages, tr.local(dir, byDir[dir]...))
	}
	s := tr.snapshot(packages...)
	disk := NewDisk(linux())
	for _, changes := range []bool{false, true} {
		b.Run(map[bool]string{false: "unchanged", true: "one changed"}[changes], func(b *testing.B) {
			if _, err := disk.Rescan(context.Background(), s, nil); err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				if changes {
					i++
					tr.write("p1/f1.go", fmt.Sprintf("package p\n\nvar y%d int\n", i))
				}
				next, err := disk.Rescan(context.Background(), s, nil)
				if err != nil || (next == s) == changes {
					b.Fatal(err)
				}
			}
		})
	}
}
