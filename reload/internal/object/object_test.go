package object

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// toolchains are the Go versions whose objects are read.
var toolchains = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

// goCommand runs the go command in a folder and returns what it prints.
func goCommand(t testing.TB, dir, toolchain string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=1", "GOEXPERIMENT=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func tablesOf(t testing.TB, toolchain string) *Tables {
	t.Helper()
	tables, err := LoadTables(goCommand(t, ".", toolchain, "env", "GOROOT"))
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

const (
	progDir  = "../image/testdata/prog"
	progPath = "example.com/prog"
)

// archives returns the packages of the test program and its dependencies, main first.
func archives(t testing.TB, toolchain string, flags ...string) (paths []string, files map[string]string) {
	t.Helper()
	files = make(map[string]string)
	args := slices.Concat([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, flags, []string{"."})
	for line := range strings.FieldsSeq(goCommand(t, progDir, toolchain, args...)) {
		if path, file, _ := strings.Cut(line, "="); file != "" {
			if path == progPath {
				path = "main"
			}
			paths = append(paths, path)
			files[path] = file
		}
	}
	slices.Reverse(paths)
	return paths, files
}

// program returns a library with the test program.
func program(t testing.TB, toolchain string, flags ...string) *Library {
	t.Helper()
	l := NewLibrary(tablesOf(t, toolchain))
	paths, files := archives(t, toolchain, flags...)
	for _, path := range paths {
		if _, err := l.Add(path, files[path]); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestTables(t *testing.T) {
	for _, tc := range toolchains {
		tables := tablesOf(t, tc)
		if tables.Version() != tc {
			t.Errorf("%s: version is %q", tc, tables.Version())
		}
		if name, abi, ok := tables.Builtin(0); name != "runtime.newobject" || abi != ABIInternal || !ok {
			t.Errorf("%s: first builtin is %s %d", tc, name, abi)
		}
		if _, _, ok := tables.Builtin(-1); ok {
			t.Errorf("%s: builtin -1", tc)
		}
		for name, r := range relocNames {
			if n, ok := tables.RelocNumber(r); !ok || n == 0 || r.String() != name {
				t.Errorf("%s: %s has the number %d", tc, name, n)
			}
		}
	}
	if _, err := LoadTables(t.TempDir()); err == nil {
		t.Error("tables of an empty folder")
	}
}

// TestFormatChange checks that a toolchain whose format differs is refused.
func TestFormatChange(t *testing.T) {
	root := goCommand(t, ".", "go1.26.8", "env", "GOROOT")
	for _, c := range []struct{ file, old, new, want string }{
		{"goobj/objfile.go", `"\x00go120ld"`, `"\x00go129ld"`, "magic"},
		{"goobj/objfile.go", "BlkRefFlags\n", "BlkRefFlags\n\tBlkNew\n", "this reader knows"},
		{"goobj/objfile.go", "SymFlagDupok", "SymFlagDup", "SymFlagDupok"},
		{"objabi/reloctype.go", "R_METHODOFF\n", "R_METHODOFFSET\n", "R_METHODOFF"},
		{"objabi/symkind.go", "SNOPTRDATA\n", "SNOPTR\n", "SNOPTRDATA"},
		{"goobj/builtinlist.go", "builtins", "list", "builtins"},
	} {
		fake := t.TempDir()
		for _, f := range []string{"goobj/objfile.go", "goobj/builtinlist.go", "objabi/reloctype.go", "objabi/symkind.go"} {
			src, err := os.ReadFile(filepath.Join(root, "src/cmd/internal", f))
			if err != nil {
				t.Fatal(err)
			}
			if f == c.file {
				src = bytes.ReplaceAll(src, []byte(c.old), []byte(c.new))
			}
			out := filepath.Join(fake, "src/cmd/internal", f)
			if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(out, src, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := LoadTables(fake); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: %v, want an error about %s", c.file, c.new, err, c.want)
		}
	}
}

// TestProgram reads all objects of a program and resolves everything in them.
func TestProgram(t *testing.T) {
	for _, tc := range toolchains {
		t.Run(tc, func(t *testing.T) {
			t.Parallel()
			l := program(t, tc)
			start := time.Now()
			defs, relocs := 0, 0
			missing := make(map[string]bool)
			for _, o := range l.Objects() {
				for i := range o.NumDefs() {
					s := o.Sym(i)
					defs++
					for r := range s.Relocs() {
						relocs++
						checkReloc(t, s, r)
						if !r.Sym.IsZero() && l.Resolve(r.Sym).IsZero() && !strings.HasPrefix(r.Sym.Name(), "go:info.") {
							missing[r.Sym.Name()] = true
						}
						if r.Type == UnknownReloc && s.Kind() != DWARF {
							t.Errorf("%v has a relocation of unknown type", s)
						}
					}
					if s.Kind() == Unknown {
						t.Errorf("%v is of unknown kind", s)
					}
					if s.Kind() == Text {
						checkFunc(t, s)
					}
				}
			}
			t.Logf("%d objects, %d definitions, %d relocations in %v", len(l.Objects()), defs, relocs, time.Since(start))
			for name := range missing {
				if strings.Contains(name, ".") && !strings.HasPrefix(name, "runtime.") {
					t.Errorf("%s is not defined", name)
				}
			}
			checkSymbols(t, l)
		})
	}
}

func checkReloc(t *testing.T, s Sym, r Reloc) {
	t.Helper()
	if r.Off < 0 || uint32(r.Off)+uint32(r.Size) > s.Size() {
		t.Errorf("%v: relocation at %d lies outside", s, r.Off)
	}
}

func checkFunc(t *testing.T, s Sym) {
	t.Helper()
	info, err := s.DecodeFuncInfo()
	if err != nil {
		t.Error(err)
	}
	for _, f := range info.Files {
		if s.Obj.File(f) == "" {
			t.Errorf("%v: file %d has no name", s, f)
		}
	}
	for _, call := range info.InlTree {
		if call.Func.IsZero() || s.Obj.File(call.File) == "" || uint32(call.ParentPC) >= s.Size() {
			t.Errorf("%v: inlined call %+v", s, call)
		}
	}
}

// checkSymbols checks what is known of some symbols of the test program.
func checkSymbols(t *testing.T, l *Library) {
	t.Helper()
	find := func(name string, abi uint16) Sym {
		t.Helper()
		s := l.Lookup(name, abi)
		if s.IsZero() {
			t.Fatalf("%s is not defined", name)
		}
		if s.Name() != name || s.ABI() != abi || !s.IsDef() || l.Resolve(s) != s {
			t.Errorf("%s: found %v", name, s)
		}
		return s
	}
	refersTo := func(s Sym, name string) Reloc {
		t.Helper()
		for r := range s.Relocs() {
			if d := l.Resolve(r.Sym); !d.IsZero() && d.Name() == name {
				return r
			}
		}
		t.Fatalf("%v does not refer to %s", s, name)
		return Reloc{}
	}

	main := find("main.main", ABIInternal)
	if main.Kind() != Text || main.Obj.Package.Path != "main" || main.Obj.FromAssembly || main.NumRelocs() == 0 || main.Dupok() {
		t.Errorf("main.main: %v in %s", main.Kind(), main.Obj.Package.Path)
	}
	if r := refersTo(main, "example.com/prog/deep%2ev2.Twice"); r.Type != Call || !r.Sym.IsImported() || r.Sym.IsDef() ||
		r.Sym.Name() != "example.com/prog/deep%2ev2.Twice" || r.Sym.ImportedFrom() != "example.com/prog/deep%2ev2" {
		t.Errorf("call of Twice: %+v", r)
	}
	caller := find("main.caller", ABIInternal)
	if r := refersTo(caller, "runtime.gopanic"); !r.Sym.IsBuiltin() || r.Sym.ABI() != ABIInternal {
		t.Errorf("call of gopanic: %+v", r)
	}
	table := find("main.table", ABI0)
	if !table.Kind().IsBSS() || table.Size() != 8 || table.Gotype().Name() != "type:map[string]main.Shape" {
		t.Errorf("main.table: %v, %d bytes, type %v", table.Kind(), table.Size(), table.Gotype())
	}
	if square := find("type:*main.Square", ABI0); !square.IsGoType() || square.Kind() != ROData {
		t.Errorf("type of *Square: %v", square.Kind())
	}
	if !find("type:map[string]main.Shape", ABI0).Dupok() {
		t.Error("type of a map is not dupok")
	}
	if !find("main.init", ABIInternal).IsPkgInit() {
		t.Error("main.init is no package init")
	}
	if err := checkDuplicates(l); err != nil {
		t.Error(err)
	}

	// The content of a Go variable is in assembly.
	low := l.Package("example.com/prog/low")
	if len(low.Objects) != 2 || low.Objects[0].FromAssembly || !low.Objects[1].FromAssembly {
		t.Fatalf("package low has objects %v", low.Objects)
	}
	data := find("example.com/prog/low.Table", ABI0)
	if !data.Obj.FromAssembly || data.Size() != 32 || !bytes.HasPrefix(data.Data(), []byte{10, 0, 0, 0, 0, 0, 0, 0, 20}) {
		t.Errorf("low.Table is taken from %s: %v", data.Obj.Name, data.Data())
	}
	if d := refersTo(main, "example.com/prog/low.Table"); l.Resolve(d.Sym) != data {
		t.Error("main's low.Table is another")
	}
	for i := range low.Objects[0].NumDefs() {
		if s := low.Objects[0].Sym(i); s.Name() == data.Name() && l.Resolve(s) != data {
			t.Error("Go's low.Table resolves to itself")
		}
	}
	add := find("example.com/prog/low.Add", ABI0)
	var bump Sym
	for r := range add.Relocs() {
		if r.Type == Call {
			bump = l.Resolve(r.Sym)
		}
	}
	if !bump.IsStatic() || bump.ABI() != StaticABI || !bump.NoSplit() || !l.Lookup(bump.Name(), StaticABI).IsZero() {
		t.Errorf("static function is %v", bump)
	}
	if wrapper := find("example.com/prog/low.Add", ABIInternal); !wrapper.IsABIWrapper() {
		t.Error("low.Add has no wrapper")
	}

	// A function that another package provides.
	if now := find("time.now", ABIInternal); now.Obj.Package.Path == "time" {
		t.Errorf("time.now is defined in %s", now.Obj.Package.Path)
	}

	info, err := caller.DecodeFuncInfo()
	if err != nil || len(info.InlTree) == 0 || l.Resolve(info.InlTree[0].Func).Name() != "main.inlined" || info.InlTree[0].Parent != -1 {
		t.Errorf("main.caller: %+v, %v", info, err)
	}
	if file := caller.Obj.File(info.Files[0]); !strings.HasSuffix(file, "/prog/main.go") || info.StartLine < 50 || caller.Obj.NumFiles() == 0 {
		t.Errorf("main.caller is at %s:%d", file, info.StartLine)
	}
	if caller.Pcsp().IsZero() || caller.Pcline().IsZero() || caller.Pcfile().IsZero() || caller.Pcinline().IsZero() || len(caller.Pcdata()) < 2 || len(caller.Funcdata()) < 2 {
		t.Error("main.caller lacks tables")
	}
	if imports := caller.Obj.Imports(); !slices.Contains(imports, "example.com/prog/low") {
		t.Errorf("main imports %v", imports)
	}

	// Content-hashed: two packages' "number " and alike are one.
	byHash := make(map[ContentHash]Sym)
	for _, o := range l.Objects() {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			if !s.IsContentHashed() {
				continue
			}
			c := l.Resolve(s)
			if old, ok := byHash[s.ContentHash()]; ok && old != c {
				t.Fatalf("%v and %v are equal but not one", old, c)
			}
			byHash[s.ContentHash()] = c
			if c.Size() < s.Size() || !bytes.HasPrefix(append(bytes.Clone(c.Data()), make([]byte, s.Size())...), bytes.TrimRight(s.Data(), "\x00")) {
				t.Fatalf("%v is taken for %v", c, s)
			}
		}
	}
}

// checkDuplicates checks that Definitions finds each definition of the symbols that
// several packages have, and that one of them stands for all.
func checkDuplicates(l *Library) error {
	type key struct {
		name string
		abi  uint16
	}
	defs := make(map[key][]Sym)
	itabs, dicts := 0, 0
	for _, o := range l.Objects() {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			if s.Dupok() && !s.IsContentHashed() && !s.IsStatic() && s.Name() != "" {
				k := key{s.Name(), s.ABI()}
				defs[k] = append(defs[k], s)
			}
			if s.IsItab() {
				itabs++
			}
			if s.IsDict() {
				dicts++
			}
		}
	}
	several := 0
	for k, want := range defs {
		if len(want) > 1 {
			several++
		}
		if got := slices.Collect(l.Definitions(k.name, k.abi)); !slices.Equal(got, want) {
			return fmt.Errorf("%s has the definitions %v, want %v", k.name, got, want)
		}
		for _, s := range want {
			if c := l.Resolve(s); c != l.Lookup(k.name, k.abi) || c.Size() < s.Size() {
				return fmt.Errorf("%v of %s resolves to %v of %s", s, s.Obj.Package.Path, c, c.Obj.Package.Path)
			}
		}
	}
	if several == 0 || itabs == 0 || dicts == 0 {
		return fmt.Errorf("%d duplicates, %d itabs, %d dictionaries", several, itabs, dicts)
	}
	return nil
}

// TestOverlay lays a changed package over a program, whose symbols are numbered anew.
func TestOverlay(t *testing.T) {
	const tc = "go1.26.8"
	l := program(t, tc)
	_, files := archives(t, tc)

	dir := t.TempDir()
	src := filepath.Join(dir, "deep.go")
	if err := os.WriteFile(src, []byte("package deep\n\nfunc AAA() *int { return &B }\n\nvar A, B int\n\n//go:noinline\nfunc Twice(x int) int { return x + x }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const path = "example.com/prog/deep.v2"
	archive := filepath.Join(dir, "deep.a")
	goCommand(t, dir, tc, "tool", "compile", "-pack", "-p", path, "-o", archive, src)

	over := l.Overlay()
	deep, err := over.Add(path, archive)
	if err != nil {
		t.Fatal(err)
	}
	if over.Package(path) != deep || l.Package(path) == deep || over.Package("main") != l.Package("main") || over.Base() != l {
		t.Error("packages of the overlay")
	}
	const twice = "example.com/prog/deep%2ev2.Twice"
	if s := over.Lookup(twice, ABIInternal); s.Obj.Package != deep {
		t.Error("overlay does not hide the function below")
	}
	if defs := slices.Collect(over.Definitions(twice, ABIInternal)); len(defs) != 2 || defs[0].Obj.Package != deep {
		t.Errorf("definitions are %v", defs)
	}
	// The base's main is bound to the base's Twice; main in the overlay, compiled against
	// the base's numbers, to the overlay's.
	call := func(p *Package) Sym {
		main := Sym{}
		for i := range p.Objects[0].NumDefs() {
			if s := p.Objects[0].Sym(i); s.Name() == "main.main" {
				main = s
			}
		}
		for r := range main.Relocs() {
			if r.Sym.IsImported() && r.Sym.Name() == twice {
				return over.Resolve(r.Sym)
			}
		}
		return Sym{}
	}
	if s := call(l.Package("main")); s.Obj != l.Package(path).Objects[0] {
		t.Errorf("base's main calls %v", s)
	}
	main, err := over.Add("main", files["main"])
	if err != nil {
		t.Fatal(err)
	}
	if s := call(main); s.IsZero() || s.Obj.Package != deep || s.Name() != twice {
		t.Errorf("overlay's main calls %v", s)
	}
	// What the overlay has too is the base's.
	for i := range main.Objects[0].NumDefs() {
		if s := main.Objects[0].Sym(i); s.IsContentHashed() && over.Resolve(s).Obj.Library() != l {
			t.Fatalf("%v is not taken from the base", s)
		}
	}
}

func TestForeign(t *testing.T) {
	l := program(t, "go1.26.8", "-tags=withc")
	if p := l.Package("runtime/cgo"); len(p.Foreign) == 0 || len(p.Objects) < 2 {
		t.Errorf("runtime/cgo has foreign members %v, %d objects", p.Foreign, len(p.Objects))
	}
	if p := l.Package("fmt"); len(p.Foreign) != 0 {
		t.Errorf("fmt has foreign members %v", p.Foreign)
	}
}

func TestErrors(t *testing.T) {
	const tc = "go1.26.8"
	tables := tablesOf(t, tc)
	_, files := archives(t, tc)
	good, err := os.ReadFile(files["errors"])
	if err != nil {
		t.Fatal(err)
	}
	object := bytes.Index(good, []byte(magic))
	patched := func(off int, b ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[off:], b)
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"no archive":       {[]byte("hello"), "not an archive"},
		"half a header":    {good[:30], "truncated"},
		"half a member":    {good[:len(good)-10], "truncated"},
		"bad size":         {patched(8+48, 'x'), "malformed"},
		"another version":  {bytes.ReplaceAll(good, []byte(tc), []byte("go1.26.7")), "toolchain"},
		"another target":   {bytes.ReplaceAll(good, []byte("linux amd64"), []byte("linux arm64")), "not an object for"},
		"unknown magic":    {patched(object+6, '9'), "magic"},
		"blocks not sound": {patched(object+20, 0xff, 0xff, 0xff, 0x7f), "block 0"},
	} {
		if _, err := NewLibrary(tables).addArchive("errors", c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.want)
		}
	}
	l := NewLibrary(tables)
	if _, err := l.Add("errors", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("archive that does not exist was added")
	}
	if _, err := l.Add("errors", files["errors"]); err != nil {
		t.Error(err)
	}
	if _, err := l.Add("errors", files["errors"]); err == nil {
		t.Error("package was added twice")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestPathToPrefix(t *testing.T) {
	for path, want := range maps.All(map[string]string{
		"fmt": "fmt", "a.b/c.d": "a.b/c%2ed", "gopkg.in/yaml.v3": "gopkg.in/yaml%2ev3", "a/b%c": "a/b%25c", "a/\"é": "a/%22%c3%a9",
	}) {
		if got := PathToPrefix(path); got != want {
			t.Errorf("PathToPrefix(%q) = %q, want %q", path, got, want)
		}
	}
}

// BenchmarkLoad measures what comes before the first answer: adding a program's archives
// and making the table of names.
func BenchmarkLoad(b *testing.B) {
	const tc = "go1.26.8"
	tables := tablesOf(b, tc)
	paths, files := archives(b, tc)
	defs := 0
	for b.Loop() {
		l := NewLibrary(tables)
		for _, path := range paths {
			if _, err := l.Add(path, files[path]); err != nil {
				b.Fatal(err)
			}
		}
		defs = len(l.nameTable().entries)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(paths)), "packages")
	b.ReportMetric(float64(defs), "names")
}
