package link

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/object"
)

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// A fixture is a program of one file, built, and its host.
type fixture struct {
	t    *testing.T
	dir  string
	host *Host
}

func build(t *testing.T, src string) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir()}
	f.write("go.mod", "module example.com/app\n\ngo 1.25\n")
	f.write("main.go", src)
	goTool(t, f.dir, "build", "-o", "app", ".")
	goroot := strings.TrimSpace(goTool(t, f.dir, "env", "GOROOT"))
	tables, err := object.LoadTables(goroot)
	if err != nil {
		t.Fatal(err)
	}
	lib := object.NewLibrary(tables)
	var config strings.Builder
	list := goTool(t, f.dir, "list", "-export", "-deps", "-f", "{{if .Export}}{{.Name}} {{.ImportPath}} {{.Export}}{{end}}", ".")
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		path := fields[1]
		if fields[0] == "main" {
			path = "main"
		}
		if _, err := lib.Add(path, fields[2]); err != nil {
			t.Fatal(err)
		}
		config.WriteString("packagefile " + path + "=" + fields[2] + "\n")
	}
	f.write("importcfg", config.String())
	lay, err := layout.Load(goroot, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	im, err := image.Open(filepath.Join(f.dir, "app"), func(string) (image.Offsets, error) { return Offsets(lay), nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	ix, err := image.BuildIndex(im, lib)
	if err != nil {
		t.Fatal(err)
	}
	f.host = &Host{Image: im, Index: ix, Library: lib, Layout: lay}
	f.host.Uses = HostUses(f.host)
	return f
}

func (f *fixture) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// link compiles src in place of the program's source and links some of its functions.
func (f *fixture) link(src string, shaped map[string]bool, funcs ...string) (*Result, error) {
	f.t.Helper()
	f.write("main.go", src)
	goTool(f.t, f.dir, "tool", "compile", "-p", "main", "-o", "stub.a", "-importcfg", "importcfg", "-lang=go1.25", "main.go")
	return Link(&Request{
		Host:  f.host,
		State: NewState(0, 0x40000000, 0x50000000),
		Stubs: []Stub{{Package: "main", Archive: filepath.Join(f.dir, "stub.a"), Shaped: shaped}},
		Funcs: funcs,
	})
}

const program = `package main

import (
	"fmt"
	"os"
	"strings"
)

type T struct{ a, b int }

var kept = []T{{1, 2}}

//go:noinline
func f(x int) string { return fmt.Sprint("old ", x) }

func main() {
	fmt.Println(f(len(os.Args)), strings.ToUpper("a"), kept)
}
`

func TestLink(t *testing.T) {
	f := build(t, program)
	edit := func(body string) string {
		return strings.Replace(program, `return fmt.Sprint("old ", x)`, body, 1)
	}
	t.Run("what the program lacks is linked in", func(t *testing.T) {
		src := edit(`return fmt.Sprintf("new %v", strings.NewReplacer("a", "b").Replace("a"))`)
		r, err := f.link(src, nil, "main.f")
		if err != nil {
			t.Fatal(err)
		}
		if r.Stats.Replaced != 1 || len(r.Patch.Writes) != 1 || len(r.Patch.Funcs) != 1 {
			t.Errorf("replaced %d, %d writes, %d functions", r.Stats.Replaced, len(r.Patch.Writes), len(r.Patch.Funcs))
		}
		if _, ok := r.State.Born[Key{Name: "strings.(*Replacer).Replace", ABI: 1}]; !ok {
			t.Error("strings.(*Replacer).Replace was not linked in")
		}
		if len(r.Patch.Itabs) == 0 {
			t.Error("no itab is asked for")
		}
		again, err := f.link(src, nil, "main.f")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Patch.Encode(), again.Patch.Encode()) {
			t.Error("the same input gave another patch")
		}
	})
	t.Run("a new variable is linked in", func(t *testing.T) {
		r, err := f.link(edit(`fresh++; return fmt.Sprint(fresh)`)+"\nvar fresh int\n", nil, "main.f")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.State.Born[Key{Name: "main.fresh"}]; !ok {
			t.Error("main.fresh was not linked in")
		}
	})
	t.Run("a new variable with a value that no initialiser gives it is refused", func(t *testing.T) {
		src := edit(`fresh++; return fmt.Sprint(fresh)`) + "\nvar fresh = 7\n"
		_, err := f.link(src, nil, "main.f")
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Symbol != "main.fresh" {
			t.Errorf("got %v", err)
		}
	})
	// Whatever analysis said, these are not made live.
	for name, src := range map[string]string{
		"main.kept": strings.Replace(program, "var kept = []T{{1, 2}}", "var kept = map[int]T{}", 1),
		"main.f":    strings.NewReplacer("func f(x int)", "func f(x string, y int)", "f(len(os.Args))", `f("", len(os.Args))`).Replace(program),
	} {
		t.Run(name+" of another type is refused", func(t *testing.T) {
			src := strings.Replace(src, `"old ", x`, `"new", x, len(kept)`, 1)
			_, err := f.link(src, nil, "main.f")
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Symbol != name {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a type of another layout is refused", func(t *testing.T) {
		built := Layout{Type: "main.T", Size: 16, Kind: "struct", Fields: []Field{{"a", 0, "int"}, {"b", 8, "int"}}, Partial: true}
		changed := func(change func(l *Layout)) Layout {
			l := built
			l.Fields = slices.Clone(l.Fields)
			change(&l)
			return l
		}
		for name, c := range map[string]struct {
			layout Layout
			fits   bool
		}{
			"same":   {built, true},
			"size":   {changed(func(l *Layout) { l.Size = 24 }), false},
			"kind":   {changed(func(l *Layout) { l.Kind = "[2]int" }), false},
			"fewer":  {changed(func(l *Layout) { l.Fields = l.Fields[:1] }), false},
			"name":   {changed(func(l *Layout) { l.Fields[1].Name = "c" }), false},
			"type":   {changed(func(l *Layout) { l.Fields[1].Type = "uint" }), false},
			"method": {changed(func(l *Layout) { l.Partial, l.Methods = false, []Method{{"M", "func()", true}} }), false},
		} {
			src := edit(`return fmt.Sprint("new", x)`)
			if _, err := f.link(src, nil, "main.f"); err != nil {
				t.Fatal(err)
			}
			_, err := Link(&Request{
				Host: f.host, State: NewState(0, 0x40000000, 0x50000000), Funcs: []string{"main.f"},
				Stubs: []Stub{{Package: "main", Archive: filepath.Join(f.dir, "stub.a"), Layouts: []Layout{c.layout}}},
			})
			var refusal *Refusal
			if refused := errors.As(err, &refusal) && refusal.Symbol == "main.T"; refused == c.fits {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
	t.Run("a shaped type's descriptor is not taken", func(t *testing.T) {
		src := edit(`return fmt.Sprint([3]U{})`) + "\ntype U struct{ p *int }\n"
		_, err := f.link(src, map[string]bool{"main.U": true}, "main.f")
		var whole *NeedWhole
		if !errors.As(err, &whole) || len(whole.Types) != 1 || whole.Types[0] != "main.U" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a live function that was not compiled is refused", func(t *testing.T) {
		_, err := f.link(edit(`return "new"`), nil, "main.f", "fmt.Fprintln")
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Symbol != "fmt.Fprintln" {
			t.Errorf("got %v", err)
		}
	})
}

func TestOwners(t *testing.T) {
	for name, want := range map[string]string{
		"main.f":                            "main.f",
		"main.f.func1.2":                    "main.f.func1.2 main.f.func1 main.f",
		"a/b%2ec.(*T).M-fm":                 "a/b%2ec.(*T).M-fm a/b%2ec.(*T).M a/b%2ec.(*T)",
		"a/b.Map[go.shape.int,x/y.T].func1": "a/b.Map.func1 a/b.Map",
		"a/b.(*List[go.shape.struct { A int }]).Push": "a/b.(*List).Push a/b.(*List)",
		"main.f-range1": "main.f-range1 main.f",
	} {
		if got := strings.Join(owners(name), " "); got != want {
			t.Errorf("owners(%s) = %s; want %s", name, got, want)
		}
	}
}

func TestMentions(t *testing.T) {
	for _, c := range []struct {
		sym, typ string
		want     bool
	}{
		{"type:main.T", "main.T", true},
		{"type:[3]main.T", "main.T", true},
		{"type:main.Tree", "main.T", false},
		{"type:map[main.Tree]main.T", "main.T", true},
		{"type:func(int)", "main.T", false},
	} {
		if got := mentions(c.sym, c.typ); got != c.want {
			t.Errorf("mentions(%s, %s) = %v", c.sym, c.typ, got)
		}
	}
}

func TestDeclares(t *testing.T) {
	for _, c := range []struct {
		name, sym string
		want      bool
	}{
		{"main.F", "main.F", true},
		{"main.F", "main.F·f", true},
		{"main.F", "main.F.func1.2·f", true},
		{"main.F", "main.F-fm", true},
		{"main.F", "main.F[go.shape.int]", true},
		{"main.F", "main..dict.F[int]", true},
		{"main.F", "main.Fold", false},
		{"main.F", "main.G.F", false},
		{"main.F", "a/main.F", false},
		{"main.F", "a/b-main.F", false},
		{"main.T", "main.T.M", true},
		{"main.T", "main.(*T).M-fm", true},
		{"main.T", "main.(*Tree).M", false},
		{"main.T", "type:.eq.main.T", true},
		{"main.T", "type:map[string]*main.T", true},
		{"main.T", "go:itab.*main.T,fmt.Stringer", true},
		{"main.T", "main.G[main.T]", true},
		{"main.T", "main.T·1", false}, // local to a function
		{"main.T.M", "main.(*T).M", false},
	} {
		if got := declares(c.name, c.sym); got != c.want {
			t.Errorf("declares(%s, %s) = %v", c.name, c.sym, got)
		}
	}
}

func TestLoopsToEntry(t *testing.T) {
	for _, c := range []struct {
		name        string
		code        []byte
		back, calls bool
	}{
		{"straight", []byte{0x48, 0x01, 0xd8, 0xc3}, false, false},
		{"to the entry", []byte{0x48, 0xff, 0xc0, 0xeb, 0xfb}, false, false},
		{"to byte 3", []byte{0x48, 0x31, 0xc0, 0x48, 0xff, 0xc0, 0xeb, 0xfb, 0xc3}, true, false},
		{"to byte 4, calling", []byte{0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0xeb, 0xf9}, true, true},
		{"to byte 5", []byte{0x90, 0x90, 0x90, 0x90, 0x90, 0x48, 0xff, 0xc0, 0xeb, 0xfb}, false, false},
	} {
		if back, calls := loopsToEntry(c.code); back != c.back || calls != c.calls {
			t.Errorf("%s: %v, %v", c.name, back, calls)
		}
	}
}

func FuzzPCTable(f *testing.F) {
	f.Add([]byte{2, 3, 4, 5, 0})
	f.Add(encodePC([]pcSpan{{3, 10}, {7, 10}, {9, -4}, {300, 1 << 20}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		spans, err := decodePC(data)
		if err != nil {
			return
		}
		for i, s := range spans {
			if i > 0 && s.End < spans[i-1].End || s.Value < 0 {
				return // no table that a compiler makes
			}
		}
		again, err := decodePC(encodePC(spans))
		if err != nil {
			t.Fatal(err)
		}
		at := func(spans []pcSpan, pc uint32) int32 {
			for _, s := range spans {
				if pc < s.End {
					return s.Value
				}
			}
			return -1
		}
		for _, s := range spans {
			if s.End > 0 && at(spans, s.End-1) != at(again, s.End-1) {
				t.Fatalf("%v became %v", spans, again)
			}
		}
	})
}
