package analysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/version"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A realPackage is what the go command says of a package of real code that an oracle takes for a Local one.
type realPackage struct {
	ImportPath, Dir, Export, Name string
	Standard                      bool
	GoFiles, Imports, Deps        []string
	ImportMap                     map[string]string
	Module                        *struct{ GoVersion string }
}

// lang returns the language version of a package; "" if it is the newest.
func (l *realPackage) lang() string {
	if l.Module == nil || l.Module.GoVersion == "" {
		return ""
	}
	return version.Lang("go" + l.Module.GoVersion)
}

// A world is a program of real packages, some of them Local.
type world struct {
	all    map[string]*realPackage
	local  []string // dependencies first
	old    *snapshot.Snapshot
	env    Env
	dir    string
	before map[string]*object // by path: the Local packages as they are in old, once they are compiled
}

// newWorld makes a world of packages of the standard library, all of them Local.
func newWorld(t testing.TB, local ...string) *world {
	t.Helper()
	return listWorld(t, t.TempDir(), func(path string) bool { return slices.Contains(local, path) }, local)
}

// moduleWorld makes one of packages of modules, "path@version", from the module proxy. All that they import of these modules is
// Local.
func moduleWorld(t testing.TB, modules, packages []string) *world {
	t.Helper()
	dir := t.TempDir()
	var mod strings.Builder
	fmt.Fprint(&mod, "module example.com/world\n\ngo 1.25\n")
	var paths []string
	for _, m := range modules {
		path, version, _ := strings.Cut(m, "@")
		fmt.Fprintf(&mod, "require %s %s\n", path, version)
		paths = append(paths, path)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return listWorld(t, dir, func(path string) bool {
		return slices.ContainsFunc(paths, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
	}, packages)
}

func listWorld(t testing.TB, dir string, isLocal func(path string) bool, packages []string) *world {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-mod=mod", "-export", "-deps", "-json=ImportPath,Dir,Export,Name,Standard,GoFiles,Imports,Deps,ImportMap,Module"}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	w := &world{all: make(map[string]*realPackage), dir: t.TempDir()}
	var list []*snapshot.Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		l := new(realPackage)
		if err := d.Decode(l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w.all[l.ImportPath] = l
		p := &snapshot.Package{Path: l.ImportPath, Name: l.Name, Dir: l.Dir, GoVersion: l.lang(), Imports: l.Imports, ImportMap: l.ImportMap, Standard: true}
		if isLocal(l.ImportPath) {
			w.local = append(w.local, l.ImportPath)
			p.Local, p.Standard = true, false
			for _, name := range l.GoFiles {
				content, err := os.ReadFile(filepath.Join(l.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				p.Files = append(p.Files, snapshot.NewFile(filepath.Join(l.Dir, name), content))
			}
		}
		list = append(list, p)
	}
	if w.old, err = snapshot.New("/", list, nil); err != nil {
		t.Fatal(err)
	}
	w.env = Env{
		Toolchain: "go1.26.8",
		Export: func(path string) (io.ReadCloser, error) {
			if l := w.all[path]; l != nil && l.Export != "" {
				return os.Open(l.Export)
			}
			return nil, fs.ErrNotExist
		},
	}
	return w
}

// affected returns the Local packages that a change of one can be seen in: itself, and those that import it, directly or not.
func (w *world) affected(path string) []string {
	var list []string
	for _, p := range w.local {
		if p == path || slices.Contains(w.all[p].Deps, path) {
			list = append(list, p)
		}
	}
	return list
}

// An object is what a compile of a package made.
type object struct {
	archive string
	code    map[string]string // of its functions, by symbol
	said    string            // what else the compiler printed
}

// compile compiles packages as they are in s, dependencies first, each against those before it, and for others against
// what they were.
func (w *world) compile(t testing.TB, s *snapshot.Snapshot, paths []string) map[string]*object {
	t.Helper()
	dir := t.TempDir()
	defer func() {
		if w.before != nil {
			os.RemoveAll(dir) // there are hundreds of them
		}
	}()
	made := make(map[string]*object)
	for i, path := range paths {
		p, l := s.Package(path), w.all[path]
		sub := filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		o := &object{archive: filepath.Join(sub, "a.a")}
		args := []string{"tool", "compile", "-p", path, "-pack", "-m=2", "-d=escapemutationscalls=1", "-S", "-importcfg", filepath.Join(sub, "importcfg"), "-o", o.archive}
		if l.Standard {
			args = append(args, "-std")
		}
		if lang := l.lang(); lang != "" {
			args = append(args, "-lang="+lang)
		}
		var cfg strings.Builder
		for _, imp := range l.Deps {
			if o := made[imp]; o != nil {
				fmt.Fprintf(&cfg, "packagefile %s=%s\n", imp, o.archive)
			} else if o := w.before[imp]; o != nil {
				fmt.Fprintf(&cfg, "packagefile %s=%s\n", imp, o.archive)
			} else if file := w.all[imp].Export; file != "" {
				fmt.Fprintf(&cfg, "packagefile %s=%s\n", imp, file)
			}
		}
		for from, to := range p.ImportMap {
			fmt.Fprintf(&cfg, "importmap %s=%s\n", from, to)
		}
		if err := os.WriteFile(filepath.Join(sub, "importcfg"), []byte(cfg.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Files {
			content, _ := f.Content()
			file := filepath.Join(sub, filepath.Base(f.Path))
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
		out, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("compile %s: %v\n%s", path, err, out[max(0, len(out)-1000):])
		}
		o.code, o.said = listing(string(out))
		made[path] = o
	}
	return made
}

var (
	function    = regexp.MustCompile(`^(\S.*) STEXT `)
	instruction = regexp.MustCompile(`^\t(0x[0-9a-f]+) \d{5} \(.*?:-?\d+\)\t(.*)$`)
	numbered    = regexp.MustCompile(`\.\.?(stmp_|typeAssert\.|interfaceSwitch\.|dict\.)\d+`)
)

// listing cuts the output of compile -S -m=2 into the code of each function, without what differs from one compilation
// to the next, positions and numbers of unnamed data, and all else.
func listing(out string) (code map[string]string, said string) {
	code = make(map[string]string)
	var rest, body strings.Builder
	name := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if m := function.FindStringSubmatch(line); m != nil || !strings.HasPrefix(line, "\t") {
			if name != "" {
				code[name] = body.String()
				body.Reset()
			}
			if name = ""; m != nil {
				name = m[1]
			} else {
				rest.WriteString(line + "\n")
			}
			continue
		}
		if name == "" {
			continue
		}
		if m := instruction.FindStringSubmatch(line); m != nil {
			fmt.Fprintln(&body, m[1], numbered.ReplaceAllString(m[2], "..N"))
		}
	}
	if name != "" {
		code[name] = body.String()
	}
	return code, rest.String()
}

var (
	inlineRemark = regexp.MustCompile(`(?m): (?:can inline (\S+) with cost (\d+) as|cannot inline (\S+): (?:function too complex: cost (\d+)|.))`)
	inlinedCall  = regexp.MustCompile(`(?m): inlining call to (\S+)$`)
	typeArgs     = regexp.MustCompile(`\[.*\]`)
)

// inlining reads what the compiler said of inlining functions, by link name.
func inlining(objects map[string]*object) map[string]Inlining {
	known := make(map[string]Inlining)
	for path, o := range objects {
		for _, m := range inlineRemark.FindAllStringSubmatch(o.said, -1) {
			in := Inlining{State: Inlinable}
			name, cost := m[1], m[2]
			if name == "" {
				in.State, name, cost = NotInlinable, m[3], m[4]
			}
			if strings.Contains(name, "[") && !strings.Contains(name, "go.shape.") {
				continue
			}
			in.Cost, _ = strconv.Atoi(cost)
			known[path+"."+typeArgs.ReplaceAllString(name, "")] = in
		}
	}
	return known
}

// inlined returns the functions that the compiler inlined somewhere, by link name, and in how many packages.
func (w *world) inlined() map[string]int {
	found := make(map[string]map[string]bool)
	for path, o := range w.before {
		for _, m := range inlinedCall.FindAllStringSubmatch(o.said, -1) {
			name := typeArgs.ReplaceAllString(m[1], "")
			link := path + "." + name
			for _, imp := range w.all[path].Deps { // other packages' functions have the package's name in front
				if rest, ok := strings.CutPrefix(name, w.all[imp].Name+"."); ok && w.old.Package(imp).Local {
					link = imp + "." + rest
				}
			}
			if found[link] == nil {
				found[link] = make(map[string]bool)
			}
			found[link][path] = true
		}
	}
	count := make(map[string]int)
	for name, in := range found {
		count[name] = len(in)
	}
	return count
}
