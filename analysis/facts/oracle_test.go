package facts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/gcexportdata"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// oraclePackages are packages of the standard library without assembly that make many closures of all kinds, by the
// toolchain that compiles them: that of this test, and the others that are supported.
var oraclePackages = map[string][]string{
	"local":     {"text/template", "testing", "database/sql"},
	"go1.25.14": {"database/sql"},
	"go1.27.3":  {"testing", "text/template"},
}

// A listed package is what the go command says of one.
type listed struct {
	ImportPath, Dir, Export, Name string
	GoFiles, Imports              []string
	ImportMap                     map[string]string
}

// goCommand prepares a call of the go command of a toolchain, outside of any module.
func goCommand(t *testing.T, toolchain string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
	return cmd
}

func list(t *testing.T, toolchain string, packages ...string) map[string]*listed {
	t.Helper()
	cmd := goCommand(t, toolchain, append([]string{"list", "-export", "-deps", "-json"}, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*listed)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := d.Decode(p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

type exportImporter struct {
	all      map[string]*listed
	fset     *token.FileSet
	packages map[string]*types.Package
	pkg      *listed
}

func (im exportImporter) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if mapped, ok := im.pkg.ImportMap[path]; ok {
		path = mapped
	}
	if p := im.packages[path]; p != nil && p.Complete() {
		return p, nil
	}
	f, err := os.Open(im.all[path].Export)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	//lint:ignore SA1019 these are archives of the three Go releases that are supported, which it reads
	r, err := gcexportdata.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(r, im.fset, im.packages, path)
}

// load type-checks a listed package.
func load(t *testing.T, all map[string]*listed, packages map[string]*types.Package, path string) Input {
	t.Helper()
	l := all[path]
	p := &snapshot.Package{Path: path, Name: l.Name, Dir: l.Dir, ImportMap: l.ImportMap}
	for _, name := range l.GoFiles {
		content, err := os.ReadFile(filepath.Join(l.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p.Files = append(p.Files, snapshot.NewFile(filepath.Join(l.Dir, name), content))
	}
	snap, err := snapshot.New(l.Dir, []*snapshot.Package{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Source: decl.Load(snap, path), Release: 26, Keep: func(p string) bool { return p == path }}
	in.Info = &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue), Instances: make(map[*ast.Ident]types.Instance),
		Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object), Implicits: make(map[ast.Node]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection), FileVersions: make(map[*ast.File]string),
	}
	var files []*ast.File
	for _, f := range in.Source.Files {
		files = append(files, f.Parsed.Syntax)
	}
	in.Sizes = types.SizesFor("gc", "amd64")
	config := types.Config{Importer: exportImporter{all, snap.Fset(), packages, l}, Sizes: in.Sizes}
	if in.Types, err = config.Check(path, snap.Fset(), files, in.Info); err != nil {
		t.Fatal(err)
	}
	return in
}

// compile compiles a listed package and returns the object file and what -m=2 says.
func compile(t *testing.T, toolchain string, all map[string]*listed, path string) (object, remarks string) {
	t.Helper()
	l := all[path]
	dir := t.TempDir()
	var cfg strings.Builder
	for imp, p := range all {
		if p.Export != "" {
			fmt.Fprintf(&cfg, "packagefile %s=%s\n", imp, p.Export)
		}
	}
	for from, to := range l.ImportMap {
		fmt.Fprintf(&cfg, "importmap %s=%s\n", from, to)
	}
	config := filepath.Join(dir, "importcfg")
	if err := os.WriteFile(config, []byte(cfg.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	object = filepath.Join(dir, "p.o")
	args := []string{"tool", "compile", "-o", object, "-p", path, "-std", "-importcfg", config, "-m=2", "-d=closure=1", "-pack"}
	args = append(args, l.GoFiles...)
	cmd := goCommand(t, toolchain, args...)
	cmd.Dir = l.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("compile %s: %v\n%s", path, err, out[max(0, len(out)-2000):])
	}
	return object, string(out)
}

var (
	closureSuffix    = regexp.MustCompile(`^((\.func|\.|-range)[0-9]+)+$`)
	typeArguments    = regexp.MustCompile(`\[.*\]`)
	inlinedInClosure = regexp.MustCompile(`^\.[0-9]+`)
	canInline        = regexp.MustCompile(`(?m): can inline (\S+) with cost (\d+) as`)
	capturing        = regexp.MustCompile(`(?m)^([^:\n]+:\d+:\d+): (.+) capturing by (value|ref): (\S+) \(`)
	captured         = regexp.MustCompile(`(?m)^([^:\n]+:\d+:\d+): (?:heap|stack) closure, captured vars = \[(.*)\]`)
)

// TestClosures compares the closures that the facts predict with those that the compiler makes: their names in the
// object file, and how they capture each variable.
func TestClosures(t *testing.T) {
	for toolchain, paths := range oraclePackages {
		t.Run(toolchain, func(t *testing.T) {
			t.Parallel()
			all := list(t, toolchain, append(paths, "iter", "sync")...)
			packages := make(map[string]*types.Package)
			sample, err := filepath.Abs("testdata")
			if err != nil {
				t.Fatal(err)
			}
			all["closures"] = &listed{ImportPath: "closures", Dir: sample, Name: "closures", GoFiles: []string{"closures.go"}}
			for _, path := range append(paths, "closures") {
				t.Run(path, func(t *testing.T) {
					in := load(t, all, packages, path)
					if toolchain == "go1.27.3" {
						in.Release = 27
					}
					object, remarks := compile(t, toolchain, all, path)
					declared, names, modes, orders := predicted(in)
					checkNames(t, toolchain, path, object, declared, names)
					checkModes(t, remarks, modes)
					checkOrders(t, remarks, orders)
					checkInlining(t, path, remarks, in)
				})
			}
		})
	}
}

// predicted returns the link names of the declared functions and of all closures, how variables are captured by their place and name, and what
// function literals capture in which order by their place.
func predicted(in Input) (declared, names map[string]bool, modes map[string]Mode, orders map[string]string) {
	declared = make(map[string]bool)
	names, modes, orders = make(map[string]bool), make(map[string]Mode), make(map[string]string)
	for _, d := range in.Source.Decls() {
		fn := d.Func()
		if fn == nil || fn.Body == nil {
			continue
		}
		place := func(pos token.Pos) string {
			p := d.Parsed.Fset.Position(pos)
			return fmt.Sprintf("%s:%d:%d", filepath.Base(p.Filename), p.Line, p.Column)
		}
		link := DeclName(in.Source.Package, d)
		names[link], declared[link] = true, true
		w := walkFunc(fn, in.Info, in.Sizes, in.Release, in.Info.FileVersions[d.Parsed.Syntax])
		if w == nil {
			continue
		}
		literals := make(map[decl.Hash][]*ast.FuncLit)
		ast.Inspect(fn, func(n ast.Node) bool {
			if lit, ok := n.(*ast.FuncLit); ok {
				literals[decl.HashNode(lit.Body)] = append(literals[decl.HashNode(lit.Body)], lit)
			}
			return true
		})
		for i, c := range w.closures {
			names[link+c.Name] = true
			var vars []string
			for j, v := range w.captured[i] {
				modes[place(v.Pos())+" "+v.Name()] = c.Captures[j].Mode
				vars = append(vars, v.Name())
			}
			if lits := literals[c.Body]; c.Kind == Literal && len(lits) == 1 {
				orders[place(lits[0].Pos())] = strings.Join(vars, " ")
			}
		}
	}
	return declared, names, modes, orders
}

func checkOrders(t *testing.T, remarks string, orders map[string]string) {
	agree := 0
	for _, m := range captured.FindAllStringSubmatch(remarks, -1) {
		want, ok := orders[filepath.Base(m[1])]
		if !ok {
			continue // in a function that was inlined, or one of two that are the same text
		}
		if strings.TrimSuffix(m[2], " .dict") != want { // the dictionary of generic code comes last, always
			t.Errorf("%s: captures [%s], predicted [%s]", m[1], m[2], want)
			continue
		}
		agree++
	}
	t.Logf("%d literals capture in the predicted order", agree)
}

func checkNames(t *testing.T, toolchain, path, object string, declared, names map[string]bool) {
	out, err := goCommand(t, toolchain, "tool", "nm", object).Output()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	made := make(map[string]bool)
	prefix := path + "."
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "T" && fields[1] != "t" || !strings.HasPrefix(fields[2], prefix) {
			continue
		}
		name := typeArguments.ReplaceAllString(strings.Join(fields[2:], " "), "")
		made[name] = true
		// The closures of a function that was inlined have that function's name in theirs.
		base := ""
		for i := range name {
			if names[name[:i]] && closureSuffix.MatchString(name[i:]) {
				base = name[:i]
			}
		}
		if base == "" || names[name] && base == name {
			continue
		}
		if inlinedInClosure.MatchString(name[len(base):]) && declared[base] {
			continue // Go 1.27 gives a closure that was inlined with its function this name
		}
		found++
		if !names[name] {
			t.Errorf("%s: the compiler makes it, the facts have none", name)
		}
	}
	// In the sample the compiler inlines no closure away.
	for name := range names {
		if path == "closures" && !made[name] {
			t.Errorf("%s: predicted, the compiler does not make it", name)
		}
	}
	t.Logf("%d closures have the predicted names", found)
}

func checkModes(t *testing.T, remarks string, modes map[string]Mode) {
	seen := make(map[string]map[string]bool)
	for _, m := range capturing.FindAllStringSubmatch(remarks, -1) {
		key := filepath.Base(m[1]) + " " + m[4]
		if seen[key] == nil {
			seen[key] = make(map[string]bool)
		}
		seen[key][m[3]] = true
	}
	agree, unproven, unknown := 0, 0, 0
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		mode, ok := modes[key]
		switch {
		case !ok:
			unknown++
		case mode == Unproven:
			unproven++
		case len(seen[key]) > 1, seen[key]["value"] != (mode == ByValue):
			t.Errorf("%s: captured by %v, predicted %s", key, slices.Collect(maps.Keys(seen[key])), mode)
		default:
			agree++
		}
	}
	t.Logf("%d variables captured as predicted, %d unproven, %d made by the compiler or inlined from elsewhere", agree, unproven, unknown)
}

// checkInlining makes sure that nothing is called never inlined that the compiler inlines.
func checkInlining(t *testing.T, path, remarks string, in Input) {
	inlined := make(map[string]bool)
	for _, m := range canInline.FindAllStringSubmatch(remarks, -1) {
		if strings.Contains(m[1], "[") && !strings.Contains(m[1], "go.shape.") {
			continue // of an instantiation, only what calls the shaped code
		}
		inlined[path+"."+typeArguments.ReplaceAllString(m[1], "")] = true
	}
	never, maybe, can := 0, 0, 0
	for _, d := range in.Source.Decls() {
		fn := d.Func()
		if fn == nil || fn.Body == nil {
			continue
		}
		name := DeclName(in.Source.Package, d)
		switch {
		case !neverInlined(fn, in.Info, false):
			maybe++
			if inlined[name] {
				can++
			}
		case inlined[name]:
			t.Errorf("%s: the compiler inlines it", name)
		default:
			never++
		}
	}
	t.Logf("%d functions are certainly not inlined; of %d others the compiler inlines %d", never, maybe, can)
}
