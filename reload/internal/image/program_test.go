package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// A toolchain is a Go version that the tests build with.
var toolchains = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

// A variant is a way to build testdata/prog.
type variant struct {
	name     string
	compile  []string // flags that go build and go list share
	link     []string // flags of go build alone
	stripped bool
}

var variants = []variant{
	{name: "exe"},
	{name: "pie", compile: []string{"-buildmode=pie"}},
	{name: "race", compile: []string{"-race"}},
	{name: "cover", compile: []string{"-cover"}},
	{name: "external", compile: []string{"-tags=withc"}, link: []string{"-ldflags=-linkmode=external"}},
	{name: "externalpie", compile: []string{"-tags=withc", "-buildmode=pie"}, link: []string{"-ldflags=-linkmode=external"}},
	{name: "stripped", link: []string{"-ldflags=-s -w"}, stripped: true},
	{name: "strippedpie", compile: []string{"-buildmode=pie"}, link: []string{"-ldflags=-s -w"}, stripped: true},
}

// program is a built testdata/prog.
type program struct {
	im    *Image
	lib   *object.Library
	funcs map[string]bool // names of all functions in lib
}

func goCommand(t testing.TB, toolchain string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("testdata", "prog")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=1", "GOEXPERIMENT=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// build makes a variant of the program and opens it and its archives.
func build(t testing.TB, toolchain string, v variant) program {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "prog")
	goCommand(t, toolchain, slices.Concat([]string{"build", "-o", bin}, v.compile, v.link, []string{"."})...)
	list := goCommand(t, toolchain, slices.Concat([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, v.compile, []string{"."})...)
	goroot := goCommand(t, toolchain, "env", "GOROOT")

	tables, err := object.LoadTables(goroot)
	if err != nil {
		t.Fatal(err)
	}
	p := program{lib: object.NewLibrary(tables), funcs: make(map[string]bool)}
	t.Cleanup(func() {
		if err := p.lib.Close(); err != nil {
			t.Error(err)
		}
	})
	lines := strings.Fields(list)
	slices.Reverse(lines) // main first
	for _, line := range lines {
		path, archive, _ := strings.Cut(line, "=")
		if archive == "" {
			continue // unsafe
		}
		if path == "example.com/prog" {
			path = "main"
		}
		if _, err := p.lib.Add(path, archive); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range p.lib.Objects() {
		for i := range o.NumDefs() {
			if s := o.Sym(i); s.Kind() == object.Text {
				p.funcs[s.Name()] = true
			}
		}
	}
	p.im, err = Open(bin, func(string) (Offsets, error) { return runtimeOffsets(t, goroot), nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.im.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
