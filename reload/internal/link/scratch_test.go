package link

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/object"
)

func run(t *testing.T, dir string, args ...string) string {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestScratch(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/app\n\ngo 1.25\n"), 0o644)
	src := `package main
import ("fmt"; "os"; "sort"; "strings"; "runtime")
var counter int
type T struct { a, b int; s string }
func (t *T) Inc() int { t.a++; return t.a }
//go:noinline
func f(x int) string { counter++; return fmt.Sprint("old ", x, counter) }
func main() { for { var b [1]byte; if n, _ := os.Stdin.Read(b[:]); n == 0 { return }; fmt.Println(f(3), (&T{}).Inc()) }; _ = sort.Ints; _ = strings.ToUpper; runtime.GOMAXPROCS(0) }
`
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(src), 0o644)
	run(t, dir, "go", "build", "-o", "app", ".")
	goroot := strings.TrimSpace(run(t, dir, "go", "env", "GOROOT"))
	list := run(t, dir, "go", "list", "-export", "-deps", "-f", "{{.Name}} {{.ImportPath}} {{.Export}}", ".")
	tables, err := object.LoadTables(goroot)
	if err != nil {
		t.Fatal(err)
	}
	lib := object.NewLibrary(tables)
	cfg := ""
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		path := f[1]
		if f[0] == "main" {
			path = "main"
		}
		if _, err := lib.Add(path, f[2]); err != nil {
			t.Fatal(err)
		}
		cfg += "packagefile " + path + "=" + f[2] + "\n"
	}
	os.WriteFile(filepath.Join(dir, "cfg"), []byte(cfg), 0o644)
	lay, err := layout.Load(goroot, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	im, err := image.Open(filepath.Join(dir, "app"), func(string) (image.Offsets, error) {
		o := image.Offsets{}
		for _, name := range []string{"moduledata", "pcHeader", "_func", "inlinedCall", "itab", "abi.InterfaceType"} {
			s, ok := lay.Struct(name)
			if !ok {
				s, ok = lay.Struct("abi.ITab")
			}
			if ok {
				fields := map[string]int64{}
				for f, v := range s.Fields {
					fields[f] = v.Offset
				}
				o[name] = fields
			}
		}
		return o, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ix, err := image.BuildIndex(im, lib)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("index", time.Since(start))
	h := &Host{Image: im, Index: ix, Library: lib, Layout: lay}
	start = time.Now()
	h.Uses = HostUses(h)
	t.Log("uses", time.Since(start), len(h.Uses.Methods), len(h.Uses.InIface), h.Uses.Reflect)
	src2 := strings.Replace(src, `return fmt.Sprint("old ", x, counter) }`, `
	m := map[string]any{"x": x, "t": &T{a: x}, "b": strings.NewReplacer("a", "b").Replace("aaa")}
	var keys []string
	for k := range m { keys = append(keys, k) }
	sort.Sort(sort.Reverse(sort.StringSlice(keys)))
	func() { defer func() { fmt.Fprintln(os.Stderr, recover()) }(); panic("x") }()
	return fmt.Sprintf("new %v %v %d", keys, m["b"], counter) }`, 1)
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(src2), 0o644)
	run(t, dir, "go", "tool", "compile", "-p", "main", "-o", "stub.a", "-pack", "-importcfg", "cfg", "-lang=go1.25", "main.go")
	start = time.Now()
	res, err := Link(&Request{Host: h, State: NewState(0, 0x40000000, 0x50000000), Stubs: []Stub{{"main", filepath.Join(dir, "stub.a"), nil}}, Funcs: []string{"main.f"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("link", time.Since(start))
	l, _ := newLinker(&Request{Host: h, State: NewState(0, 0x40000000, 0x50000000), Stubs: []Stub{{"main", filepath.Join(dir, "stub.a"), nil}}, Funcs: []string{"main.f"}})
	l.selectRoots()
	l.resolve()
	dumpItabs(t, l)
	p := res.Patch
	t.Logf("%+v text %d ro %d data %d writes %d early %d itabs %d calls %d funcs %v windows %v", res.Stats, len(p.Text), len(p.ROData), len(p.Data), len(p.Writes), len(p.Early), len(p.Itabs), len(p.Calls), p.Funcs, p.Windows)
	for k := range res.State.Born {
		t.Log("born", k)
	}
}

func dumpItabs(t *testing.T, l *linker) {
	h0 := l.host
	for _, n := range l.nodes {
		for r := range n.sym.Relocs() {
			if r.Sym.Obj != nil && strings.HasPrefix(r.Sym.Name(), "go:itab.") {
				a, ok := l.address(keyOf(r.Sym))
				d := l.definition(r.Sym)
				t.Log(n.key.Name, "->", r.Sym.Name(), r.Sym.ABI(), d.ABI(), d.IsContentHashed(), d.Kind(), r.Sym.IsDef(), d.IsDef(), d.Name(), a, ok)
				x, y := h0.Index.Addr(r.Sym.Name(), 0)
				t.Log(x, y)
				for e := range h0.Index.All("go:itab.*os.File") {
					t.Log(e)
				}
			}
		}
	}
}
