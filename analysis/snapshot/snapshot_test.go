package snapshot

import (
	"go/token"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func pkg(path string, files ...*File) *Package {
	return &Package{Path: path, Name: path, Dir: "/m/" + path, Files: files, Local: true}
}

func program(t *testing.T, packages ...*Package) *Snapshot {
	t.Helper()
	s, err := New("/m", packages, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// names returns the base names of a package's files and what it imports.
func names(p *Package) string {
	var list []string
	for _, f := range p.Files {
		list = append(list, f.Path[strings.LastIndexByte(f.Path, '/')+1:])
	}
	return strings.Join(list, " ") + "; " + strings.Join(p.Imports, " ")
}

// TestWith checks that one changed file means one new package, and that all else is the same object.
func TestWith(t *testing.T) {
	a := NewFile("/m/p/a.go", []byte("package p\n\nimport \"fmt\"\n"))
	b := NewFile("/m/p/b.go", []byte("package p\n"))
	s := program(t, pkg("q", NewFile("/m/q/q.go", []byte("package q\n"))), pkg("p", b, a))
	for _, c := range []struct {
		name    string
		changes []Change
		want    string // of package p; "" if the snapshot is the same
	}{
		{"changed", []Change{{Path: "/m/p/b.go", Content: []byte("package p\n\nimport \"os\"\n")}}, "a.go b.go; fmt os"},
		{"same content", []Change{{Path: "/m/p/b.go", Content: []byte("package p\n")}}, ""},
		{"added", []Change{{Path: "/m/p/aa.go", Content: []byte("package p\n")}}, "a.go aa.go b.go; fmt"},
		{"deleted", []Change{{Path: "/m/p/a.go", Deleted: true}}, "b.go; "},
		{"deleted twice", []Change{{Path: "/m/p/x.go", Deleted: true}}, ""},
		{"elsewhere", []Change{{Path: "/m/r/a.go", Content: []byte("package r\n")}}, ""},
		{"no Go", []Change{{Path: "/m/p/a.txt", Content: []byte("x")}}, ""},
		{"there and back", []Change{{Path: "/m/p/a.go", Content: []byte("x")}, {Path: "/m/p/a.go", Content: []byte("package p\n\nimport \"fmt\"\n")}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := s.With(c.changes...)
			if c.want == "" {
				if next != s {
					t.Fatalf("another snapshot, want the same")
				}
				return
			}
			if got := names(next.Package("p")); got != c.want {
				t.Errorf("package p has %s, want %s", got, c.want)
			}
			if next.Package("q") != s.Package("q") {
				t.Error("package q is another one")
			}
			for _, f := range next.Package("p").Files {
				if (f.Path == a.Path && f.Hash == a.Hash) != (f == a) {
					t.Errorf("%s: not shared", f.Path)
				}
			}
			if next.Digest() == s.Digest() {
				t.Error("the digest is the same")
			}
		})
	}
}

func TestTwice(t *testing.T) {
	if _, err := New("/m", []*Package{pkg("p"), pkg("p")}, nil); err == nil {
		t.Error("a package twice is no error")
	}
}

// TestAt checks that a module that moved is the same program in another place.
func TestAt(t *testing.T) {
	p := pkg("p", NewFile("/m/p/a.go", []byte("package p\n")))
	p.Other = []OtherFile{{Path: "/m/p/a.s", Kind: Assembly}}
	std := &Package{Path: "fmt", Dir: "/go/src/fmt", Standard: true}
	s := program(t, p, std)
	next := s.At("/elsewhere")
	if got := next.Package("p"); got.Dir != "/elsewhere/p" || got.Files[0].Path != "/elsewhere/p/a.go" || got.Other[0].Path != "/elsewhere/p/a.s" {
		t.Errorf("package p is in %s with %s", got.Dir, got.Files[0].Path)
	}
	if next.Package("fmt") != std {
		t.Error("package fmt moved too")
	}
	if next.Digest() != s.Digest() {
		t.Error("the digest differs")
	}
	if next.Rel("/elsewhere/p/a.go") != "p/a.go" || next.Rel("/go/src") != "../go/src" {
		t.Errorf("relative paths %s, %s", next.Rel("/elsewhere/p/a.go"), next.Rel("/go/src"))
	}
}

// TestParse checks that syntax is shared while it is in use, and that the file set forgets it afterwards.
func TestParse(t *testing.T) {
	fset := token.NewFileSet()
	f := NewFile("/m/p/a.go", []byte("package p\n\nfunc f() {}\n"))
	first := f.Parse(fset)
	if f.Parse(fset) != first {
		t.Error("parsed twice")
	}
	if other := f.Parse(token.NewFileSet()); other == first {
		t.Error("shared with another file set")
	}
	made := 0
	for range 2 {
		first.Memo("key", func() any { made++; return made })
	}
	if made != 1 {
		t.Errorf("Memo computed %d times", made)
	}
	runtime.KeepAlive(first)
	first = nil
	for range 100 {
		runtime.GC()
		left := 0
		fset.Iterate(func(*token.File) bool { left++; return true })
		if left == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Error("the file set still has the file")
}

func TestParseErrors(t *testing.T) {
	p := NewFile("/m/p/a.go", []byte("package p\nfunc {\nfunc f() {}\nvar = 1\n")).Parse(token.NewFileSet())
	if len(p.Errors) < 2 || p.Syntax == nil {
		t.Errorf("errors %v", p.Errors)
	}
	empty := NewFile("/m/p/a.go", nil).Parse(token.NewFileSet())
	if len(empty.Errors) == 0 {
		t.Error("an empty file has no error")
	}
	recorded := RecordedFile("/m/p/a.go", Hash{1}).Parse(token.NewFileSet())
	if len(recorded.Errors) == 0 || recorded.Syntax == nil {
		t.Error("a recorded file has no error")
	}
}

func TestImports(t *testing.T) {
	f := NewFile("/m/a.go", []byte("package p\n\nimport (\n\t\"fmt\"\n\t. \"os\"\n)\nimport \"C\"\n\nfunc {"))
	if got := f.Imports(); !slices.Equal(got, []string{"fmt", "os", "C"}) {
		t.Errorf("imports %v", got)
	}
}

func TestHash(t *testing.T) {
	h := HashOf([]byte("x"))
	text, err := h.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Hash
	if err := back.UnmarshalText(text); err != nil || back != h {
		t.Errorf("%v, %v", back, err)
	}
	for _, bad := range []string{"", "12", "zz" + string(text[2:]), string(text[2:])} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a hash", bad)
		}
	}
}

// TestSharing checks that a snapshot takes over the files of another one that are as its own, and nothing else.
func TestSharing(t *testing.T) {
	a, b := "/m/p/a.go", "/m/p/b.go"
	one, err := New("/m", []*Package{{Path: "m/p", Name: "p", Dir: "/m/p", Local: true, Files: []*File{
		NewFile(a, []byte("package p")), NewFile(b, []byte("package p")),
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	edited := one.With(Change{Path: a, Content: []byte("package p // edited")})
	back := edited.With(Change{Path: a, Content: []byte("package p")}, Change{Path: b, Content: []byte("package p // edited")})
	shared := back.Sharing(one)
	of := func(s *Snapshot, path string) *File { return s.Package("m/p").File(path) }
	if of(back, a) == of(one, a) || of(shared, a) != of(one, a) {
		t.Errorf("%s: want the file of the other snapshot", a)
	}
	if of(shared, b) != of(back, b) {
		t.Errorf("%s: want its own file", b)
	}
	if !shared.Package("m/p").SameSource(back.Package("m/p")) {
		t.Error("the source differs")
	}
	if edited.Sharing(one) != edited {
		t.Error("nothing is shared anew, but the snapshot is another")
	}
}
