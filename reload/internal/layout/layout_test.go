package layout

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// releases are the toolchains that limeade is for.
var releases = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

func goroot(t *testing.T, release string) string {
	t.Helper()
	cmd := exec.Command("go", "env", "GOROOT")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("toolchain %s: %v", release, err)
	}
	return strings.TrimSpace(string(out))
}

// TestDWARF compares every struct of the runtime that the linker describes in a binary with the layout from source.
func TestDWARF(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			l, err := Load(goroot(t, release), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if l.GoVersion != release {
				t.Errorf("version is %s", l.GoVersion)
			}
			compared := make(map[string]bool)
			data := debugInfo(t, release)
			r := data.Reader()
			for {
				e, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if e == nil {
					break
				}
				if e.Tag != dwarf.TagStructType {
					continue
				}
				full, _ := e.Val(dwarf.AttrName).(string)
				name, ok := strings.CutPrefix(full, "runtime.")
				if !ok {
					if name, ok = strings.CutPrefix(full, "internal/abi."); !ok {
						continue
					}
					name = "abi." + name
				}
				want, ok := l.Struct(name)
				if !ok {
					continue // local to a function, or generic
				}
				typ, err := data.Type(e.Offset)
				if err != nil {
					t.Fatal(err)
				}
				st, ok := typ.(*dwarf.StructType)
				if !ok {
					continue
				}
				compared[name] = true
				if st.ByteSize != want.Size {
					t.Errorf("%s has size %d, want %d", name, want.Size, st.ByteSize)
				}
				for _, f := range st.Field {
					got, ok := want.Fields[f.Name]
					if f.Name == "_" {
						continue
					}
					if !ok || got.Offset != f.ByteOffset || got.Size != f.Type.Size() {
						t.Errorf("%s.%s is %+v, %v, want offset %d, size %d", name, f.Name, got, ok, f.ByteOffset, f.Type.Size())
					}
				}
			}
			for _, name := range []string{"moduledata", "g", "gobuf", "stack", "_func", "abi.ITab", "abi.Type", "m", "p", "worldStop", "pcHeader"} {
				if !compared[name] {
					t.Errorf("%s is not in the binary", name)
				}
			}
			t.Logf("%d structs are the same", len(compared))
		})
	}
}

func debugInfo(t *testing.T, release string) *dwarf.Data {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module small\n", "main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-o", "small")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	f, err := elf.Open(filepath.Join(dir, "small"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	data, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFacts looks at what is known to be the same in all releases.
func TestFacts(t *testing.T) {
	for _, release := range releases {
		l, err := Load(goroot(t, release), "")
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int64{
			"_Gidle": 0, "_Grunnable": 1, "_Grunning": 2, "_Gsyscall": 3, "_Gwaiting": 4, "_Gdead": 6, "_Gpreempted": 9,
			"_Gscan": 0x1000, "abi.FuncFlagTopFrame": 1, "abi.UnsafePointUnsafe": -2, "abi.TFlagUncommon": 1, "debugPcln": 0,
		} {
			if got, ok := l.Const(name); !ok || got != want {
				t.Errorf("%s: %s is %d, %v, want %d", release, name, got, ok, want)
			}
		}
		for name, want := range map[string]string{
			"stopTheWorldGC": "func(reason stwReason) worldStop",
			"incidlelocked":  "func(v int32)",
			"systemstack":    "func(fn func())",
			"getitab":        "func(inter *interfacetype, typ *_type, canfail bool) *itab",
			"findfunc":       "func(pc uintptr) funcInfo",
			"getAuxv":        "func() []uintptr",
		} {
			if got, ok := l.Func(name); !ok || got != want {
				t.Errorf("%s: %s is %q, %v, want %q", release, name, got, ok, want)
			}
		}
		if got, err := l.Offset("g", "sched", "pc"); err != nil || got != l.Structs["g"].Fields["sched"].Offset+l.Structs["gobuf"].Fields["pc"].Offset {
			t.Errorf("%s: g.sched.pc is at %d, %v", release, got, err)
		}
		for _, path := range [][]string{{"nothing"}, {"g", "nothing"}, {"g", "goid", "x"}} {
			if _, err := l.Offset(path[0], append(path[1:], "x")...); err == nil || !strings.Contains(err.Error(), release) {
				t.Errorf("%s: path %q: %v", release, path, err)
			}
		}
		if _, ok := l.Struct("lfstack"); ok {
			t.Errorf("%s: lfstack is no struct", release)
		}
	}
}

// TestRuntime: everything that the agent asks for is there; what is missing or different is refused by name.
func TestRuntime(t *testing.T) {
	found := func(string, uint16) (lo, hi uint64, ok bool) { return 0x1000, 0x1040, true }
	for _, release := range releases {
		l, err := Load(goroot(t, release), "")
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Runtime(found)
		if err != nil {
			t.Errorf("%s: %v", release, err)
		}
		v := reflect.ValueOf(r)
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; name {
			case "Gidle", "GStackLoOffset", "ItabTableSizeOffset", "ItabInterOffset": // 0 in all releases
			case "PanicArgOffset": // 0 in some
			case "ModuleTypelinks", "ModuleToTypelinks":
				if (v.Field(i).Uint() != 0) != (release == "go1.27.3") {
					t.Errorf("%s: %s is %#x", release, name, v.Field(i).Uint())
				}
			default:
				if v.Field(i).Uint() == 0 {
					t.Errorf("%s: %s is not set", release, name)
				}
			}
		}
		if _, err := l.Runtime(func(string, uint16) (lo, hi uint64, ok bool) { return 0, 0, false }); err == nil ||
			!strings.Contains(err.Error(), "runtime.asyncPreempt2: not found") || !strings.Contains(err.Error(), "runtime.allglen: not found") {
			t.Errorf("%s: nothing found: %v", release, err)
		}
		l.Funcs["modulesinit"] = "func(x int)"
		delete(l.Structs["g"].Fields, "asyncSafePoint")
		l.Structs["worldStop"].Fields["reason"] = Field{0, 8, "int"}
		delete(l.Consts, "stwGOMAXPROCS")
		_, err = l.Runtime(found)
		for _, want := range []string{
			"runtime.modulesinit of " + release + `: is "func(x int)"`, "g.asyncSafePoint of " + release, "worldStop of " + release, "stwGOMAXPROCS of " + release,
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error is %v, want %q in it", release, err, want)
			}
		}
	}
}

// TestCache: the second load reads what the first wrote, and a damaged or foreign file is made anew.
func TestCache(t *testing.T) {
	root, dir := goroot(t, releases[1]), filepath.Join(t.TempDir(), "new", "cache")
	first, err := Load(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("cache has %v, %v, want one file", files, err)
	}
	file := filepath.Join(dir, files[0].Name())
	second, err := Load(root, dir)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("cached layout differs, %v", err)
	}
	for _, damage := range []string{"", "{", "{}", "null"} {
		if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if again, err := Load(root, dir); err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("after %q in the cache: layout differs, %v", damage, err)
		}
	}
	// Another experiment is another toolchain.
	t.Setenv("GOEXPERIMENT", "nogreenteagc")
	if _, err := Load(root, dir); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("cache has %v, %v, want two files", files, err)
	}
	if _, err := Load(filepath.Join(dir, "none"), dir); err == nil {
		t.Error("a goroot that does not exist has a layout")
	}
}

// TestNewerSyntax reads source with what this program's go/types does not know: the rest counts, and a struct whose size
// is unknown is none.
func TestNewerSyntax(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		file := filepath.Join(root, "src", path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("internal/abi/abi.go", "package abi\n\ntype Type struct{ Size_ uintptr }\ntype UncommonType struct{ N int32 }\n")
	write("runtime/a.go", `package runtime

import "internal/abi"

type moduledata struct { text uintptr; types *future }
type g struct { stack stack; sched gobuf }
type gobuf struct { sp, pc uintptr }
type stack struct { lo, hi uintptr }
type _func struct { entry uint32 }
type itab struct { t *abi.Type }
type worldStop struct { reason uint8; at int64 }

type future struct { f unknown }
type holder struct { a [2]future }
type far struct { f *future; s []unknown }

func ok(x int) bool { return x ??? 1 }
func newer(x unknown) {}
`)
	write("runtime/b_test.go", "package runtime\n\ntype stack struct{ other [99]int }\n")
	write("runtime/c_windows.go", "package runtime\n\ntype stack struct{ other [99]int }\n")
	write("runtime/d.go", "//go:build goexperiment.other\n\npackage runtime\n\ntype stack struct{ other [99]int }\n")
	write("runtime/e.go", "//go:build goexperiment.mine && go1.99\n\npackage runtime\n\ntype mine struct{ a, b int8 }\n")
	tools := &toolchain{goroot: root, version: "go1.99", toolTags: []string{"goexperiment.mine"}, releaseTags: []string{"go1.99"}}
	l, err := tools.parse()
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Structs["moduledata"]; got.Size != 16 || got.Fields["types"].Offset != 8 {
		t.Errorf("moduledata is %+v", got)
	}
	if got := l.Structs["mine"]; got.Size != 2 {
		t.Errorf("mine is %+v", got)
	}
	if got := l.Structs["far"]; got.Size != 32 {
		t.Errorf("far is %+v", got)
	}
	for _, name := range []string{"future", "holder"} {
		if got, ok := l.Structs[name]; ok {
			t.Errorf("%s is %+v, want none", name, got)
		}
	}
	if got := l.Structs["stack"]; got.Size != 16 {
		t.Errorf("stack is %+v", got)
	}
	write("runtime/a.go", "package runtime\n\nimport _ \"internal/abi\"\n\ntype g struct{ x unknown }\n")
	if _, err := tools.parse(); err == nil || !strings.Contains(err.Error(), "no struct moduledata") || !strings.Contains(err.Error(), "e.go") {
		t.Errorf("error is %v, want what is missing and why", err)
	}
	write("runtime/a.go", "package runtime\n\nimport _ \"runtime\"\n")
	if _, err := tools.parse(); err == nil {
		t.Error("a package that imports itself is taken")
	}
}

// BenchmarkLoad measures both ways.
func BenchmarkLoad(b *testing.B) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	for name, dir := range map[string]string{"cold": "", "cached": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(root, dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
