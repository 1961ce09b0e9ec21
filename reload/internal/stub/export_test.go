package stub

import (
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/reload/internal/build"
)

// TestExport changes a dependency. The stub of the package that uses it is compiled against the
// dependency's stub, beside archives that were made from the old one, and must come out as in a
// build of everything.
func TestExport(t *testing.T) {
	const dep, user = trapModule + "/dep", trapModule + "/user"
	tc := newToolchain(t, "")
	a, err := txtar.ParseFile("testdata/export/dep.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), []byte("module "+trapModule+"\n\ngo 1.25\n"))
	place := func(dep string) {
		for _, f := range a.Files {
			parent, name := filepath.Split(f.Name)
			switch parent {
			case dep:
				parent = "dep"
			case "old/", "new/":
				continue
			}
			write(t, filepath.Join(dir, parent, name), f.Data)
		}
	}
	place("old/")
	tc.list(t, dir, "./third")
	place("new/")
	now := newToolchain(t, "")
	now.list(t, dir, "./user")
	want := now.check(t, user)
	want.compileFull(t, build.FactFlags...)
	newDep := now.check(t, dep)
	newDep.compileFull(t, build.FactFlags...)

	compile := func(first ...string) *checked {
		in := want.input()
		in.Keep = want.funcs()
		in.ImportFirst = first
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		depIn := newDep.input()
		for _, fn := range newDep.funcs() {
			if slices.Contains([]string{"Get", "New", "small", "added", "Small", "Map"}, fn.Name()) {
				depIn.Keep = append(depIn.Keep, fn)
			}
		}
		needs := s.Needs[dep]
		if first == nil {
			needs = []string{"A", "Kind", "Limit", "Map", "New", "One", "Small", "T", "T.Name"}
		}
		for _, name := range needs {
			depIn.Export = append(depIn.Export, exported(t, newDep.pkg, name))
		}
		depStub, err := Build(depIn)
		if err != nil {
			t.Fatal(err)
		}
		if len(depStub.Shaped) > 0 {
			t.Errorf("the stub that is imported shapes %v", depStub.Shaped)
		}
		c := &checked{listed: newDep.listed, tc: tc, dir: t.TempDir(), said: map[string][]byte{}}
		archive, _, err := c.compileStub(t, depStub)
		if err != nil {
			t.Fatal(err)
		}
		c = &checked{listed: want.listed, tc: tc, dir: t.TempDir(), said: map[string][]byte{}, overrides: map[string]string{dep: archive}}
		archive, _, err = c.compileStub(t, s)
		if err != nil {
			t.Fatal(err)
		}
		c.full = c.read(t, archive)
		return c
	}

	got := compile(dep)
	for _, fn := range want.funcs() {
		p := proof{fn: fn}
		if want.compare(&p, got.full); p.code != "" {
			t.Errorf("code differs: %s", p.code)
		}
	}
	// Without ImportFirst, the old copies in the export data of third are found first.
	got = compile()
	stale := false
	for _, fn := range want.funcs() {
		p := proof{fn: fn}
		want.compare(&p, got.full)
		stale = stale || p.code != ""
	}
	if !stale {
		t.Error("ImportFirst makes no difference")
	}
}

// exported finds a name of Stub.Needs.
func exported(t *testing.T, pkg *types.Package, name string) types.Object {
	t.Helper()
	typ, method, ok := strings.Cut(name, ".")
	obj := pkg.Scope().Lookup(typ)
	if ok {
		obj, _, _ = types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, pkg, method)
	}
	if obj == nil {
		t.Fatalf("%s needs %s", pkg.Path(), name)
	}
	return obj
}
