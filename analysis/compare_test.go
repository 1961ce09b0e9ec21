package analysis

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/gcexportdata"
	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

var update = flag.Bool("update", false, "write what the tests got into their files")

const modulePath = "example.com/m"

// TestCompare runs the cases of testdata/compare. A case is a txtar file: its comment says what it shows and sets
// options; files below "new/" replace those of the same name or are added, those listed in "deleted" go; "want" has the
// report.
func TestCompare(t *testing.T) {
	files, err := filepath.Glob("testdata/compare/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			check(t, file)
		})
	}
}

func check(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := parseCase(t, archive)
	report, err := NewSession(c.env, nil).CompareFor(context.Background(), c.old, c.new, c.wishes)
	got := format(report, c.new)
	if err != nil {
		got = "failed " + err.Error() + "\n"
	}
	if err == nil && len(c.wishes.Reset) == 0 && !c.wishes.RerunInit {
		checkDraft(t, c, report)
	}
	if got == c.want {
		return
	}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
}

// checkDraft makes sure that a draft says nothing else than the whole comparison does, that one restart is as good as
// all, and that a comparison after it misses nothing.
func checkDraft(t *testing.T, c testCase, whole *Report) {
	s := NewSession(c.env, nil)
	draft, err := s.Draft(context.Background(), c.old, c.new)
	if err != nil {
		t.Errorf("draft: %v", err)
		return
	}
	after, err := s.Compare(context.Background(), c.old, c.new)
	if err != nil {
		t.Errorf("after the draft: %v", err)
	} else if got, want := format(after, c.new), format(whole, c.new); got != want {
		t.Errorf("after the draft:\n%s\nwant:\n%s", got, want)
	} else if slices.ContainsFunc(after.Recompile, func(p PackageSet) bool { return p.Checked != nil && p.Checked.draft }) {
		t.Error("what a draft checked is to be compiled")
	}
	if len(whole.Errors) > 0 {
		return // it need not see them
	}
	if (len(draft.Recompile) > 0) != (len(whole.Recompile) > 0) {
		t.Errorf("draft: %d packages to compile, want %d", len(draft.Recompile), len(whole.Recompile))
	}
	if len(draft.Errors) > 0 || edit.Worst(draft.Edits) != edit.Worst(whole.Edits) {
		t.Errorf("draft: errors %v, worst %v, want %v", draft.Errors, edit.Worst(draft.Edits), edit.Worst(whole.Edits))
	}
	for _, e := range draft.Edits {
		if edit.Worst(whole.Edits) == edit.Restart && slices.Contains([]edit.Kind{edit.Initializer, edit.EmbedContent, edit.VarType}, e.Kind) {
			continue // it need not find out whether the variable can be initialised anew
		}
		if !slices.Contains(whole.Edits, e) {
			t.Errorf("draft: %v", e)
		}
	}
	if edit.Worst(whole.Edits) != edit.Restart && len(draft.Edits) != len(whole.Edits) {
		t.Errorf("draft: %v, want %v", draft.Edits, whole.Edits)
	}
}

// A testCase is two snapshots and what their comparison must say.
type testCase struct {
	old, new *snapshot.Snapshot
	env      Env
	wishes   Wishes
	want     string
}

func parseCase(t *testing.T, archive *txtar.Archive) testCase {
	root := filepath.Join(t.TempDir(), "m")
	old := make(map[string][]byte)
	changes := make(map[string][]byte)
	var deleted []string
	var c testCase
	for _, f := range archive.Files {
		switch name, isNew := strings.CutPrefix(f.Name, "new/"); {
		case f.Name == "want":
			c.want = string(f.Data)
		case f.Name == "deleted":
			deleted = strings.Fields(string(f.Data))
		case isNew:
			changes[name] = f.Data
		default:
			old[name] = f.Data
		}
	}
	now := maps.Clone(old)
	maps.Copy(now, changes)
	for _, name := range deleted {
		delete(now, name)
	}
	o := parseOptions(t, string(archive.Comment))
	before, after := testPackages(root, old, o), testPackages(root, now, o)
	c.old = newSnapshot(t, root, before, old, o)
	c.new = relate(t, root, c.old, after, now, o)
	for _, path := range o.joins {
		p := after[path]
		if p == nil {
			p = &snapshot.Package{Path: path, Standard: true}
		}
		c.new = c.new.Join(p)
	}
	c.env, c.wishes = testEnv(t, c.old, o), o.wishes
	c.env.Written = func(name string) bool { return slices.Contains(o.written, name) }
	return c
}

// options are the lines of a case's comment that have the form "key: value".
type options struct {
	toolchain string
	lang      string
	linked    []string // standard packages that the program has beside those that it imports
	inlining  map[string]Inlining
	reserved  string
	missing   []string
	profiled  bool
	moved     string  // a new name for the module's directory
	altered   *string // the package that the go command takes from elsewhere; nil: it is not asked
	bare      string  // a type of which pointers have no methods in the program
	wishes    Wishes
	written   []string // variables that earlier code may have written
	joins     []string // packages that the program gets, of the standard library or of the new files
}

func parseOptions(t *testing.T, comment string) options {
	o := options{toolchain: "go1.26.8", lang: "go1.25", inlining: make(map[string]Inlining)}
	for line := range strings.Lines(comment) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		fields := strings.Fields(value)
		switch key {
		case "toolchain":
			o.toolchain = value
		case "lang":
			o.lang = value
		case "linked":
			o.linked = fields
		case "reserved":
			o.reserved = value
		case "profiled":
			o.profiled = value == "yes"
		case "missing":
			o.missing = fields
		case "altered":
			path := strings.TrimPrefix(value, "none")
			o.altered = &path
		case "bare":
			o.bare = value
		case "joins":
			o.joins = fields
		case "reset":
			o.wishes.Reset = fields
		case "rerun":
			o.wishes.RerunInit = value == "yes"
		case "written":
			o.written = fields
		case "moved":
			o.moved = value
		case "inlining":
			in := Inlining{State: map[string]InlineState{"yes": Inlinable, "no": NotInlinable}[fields[1]]}
			if len(fields) > 2 {
				cost, err := strconv.Atoi(fields[2])
				if err != nil {
					t.Fatal(err)
				}
				in.Cost = cost
			}
			o.inlining[fields[0]] = in
		}
	}
	return o
}

// testPackages makes packages of files by their directories.
func testPackages(root string, files map[string][]byte, o options) map[string]*snapshot.Package {
	packages := make(map[string]*snapshot.Package)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		dir := path.Dir(name)
		if path.Base(name) == "go.mod" {
			continue
		}
		pkgPath := path.Join(modulePath, dir)
		dirPath := filepath.Join(root, dir)
		local := true
		standard := false
		if rest, ok := strings.CutPrefix(dir, "GOROOT/"); ok {
			pkgPath, local, standard = rest, false, true
		} else if rest, ok := strings.CutPrefix(dir, "MODCACHE/"); ok {
			pkgPath, local = rest, false
		}
		p := packages[pkgPath]
		if p == nil {
			p = &snapshot.Package{Path: pkgPath, Dir: dirPath, GoVersion: o.lang, Local: local, Standard: standard}
			packages[pkgPath] = p
		}
		full := filepath.Join(dirPath, path.Base(name))
		switch path.Ext(name) {
		case ".go":
			p.Files = append(p.Files, snapshot.NewFile(full, files[name]))
		case ".s":
			p.Other = append(p.Other, snapshot.OtherFile{Path: full, Hash: snapshot.HashOf(files[name]), Kind: snapshot.Assembly})
		case ".c":
			p.Other = append(p.Other, snapshot.OtherFile{Path: full, Hash: snapshot.HashOf(files[name]), Kind: snapshot.C})
		case ".syso":
			p.Other = append(p.Other, snapshot.OtherFile{Path: full, Hash: snapshot.HashOf(files[name]), Kind: snapshot.Object})
		default:
			p.Other = append(p.Other, snapshot.OtherFile{Path: full, Hash: snapshot.HashOf(files[name]), Kind: snapshot.Embedded})
		}
	}
	for _, p := range packages {
		fset := token.NewFileSet()
		imports := make(map[string]bool)
		for _, f := range p.Files {
			p.Name = f.Parse(fset).Syntax.Name.Name
			for _, imp := range f.Imports() {
				if imp != "C" {
					imports[imp] = true
				}
			}
		}
		p.Imports = slices.Sorted(maps.Keys(imports))
	}
	return packages
}

func testModules(root string, files map[string][]byte) []snapshot.OtherFile {
	content, ok := files["go.mod"]
	if !ok {
		return nil
	}
	return []snapshot.OtherFile{{Path: filepath.Join(root, "go.mod"), Hash: snapshot.HashOf(content), Kind: snapshot.Module, Content: content}}
}

// newSnapshot makes the snapshot of what runs: the packages and the standard ones that they import.
func newSnapshot(t *testing.T, root string, packages map[string]*snapshot.Package, files map[string][]byte, o options) *snapshot.Snapshot {
	all := slices.Collect(maps.Values(packages))
	linked := make(map[string]bool)
	for _, path := range o.linked {
		linked[path] = true
	}
	for _, p := range packages {
		for _, imp := range p.Imports {
			if packages[imp] == nil && !strings.HasPrefix(imp, modulePath) {
				linked[imp] = true
			}
		}
	}
	for imp := range linked {
		all = append(all, &snapshot.Package{Path: imp, Name: path.Base(imp), Standard: true})
	}
	s, err := snapshot.New(root, all, testModules(root, files))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// relate makes the snapshot of what the source says now. Where With can make it, it does.
func relate(t *testing.T, root string, old *snapshot.Snapshot, packages map[string]*snapshot.Package, files map[string][]byte, o options) *snapshot.Snapshot {
	if o.moved != "" {
		return old.At(filepath.Join(filepath.Dir(root), o.moved))
	}
	var changes []snapshot.Change
	plain := true
	for _, was := range old.Packages() {
		now := packages[was.Path]
		if now == nil {
			plain = plain && len(was.Files) == 0
			continue
		}
		plain = plain && slices.EqualFunc(was.Other, now.Other, func(a, b snapshot.OtherFile) bool { return a.Path == b.Path && a.Hash == b.Hash })
		for _, f := range now.Files {
			content, _ := f.Content()
			changes = append(changes, snapshot.Change{Path: f.Path, Content: content})
		}
		for _, f := range was.Files {
			if now.File(f.Path) == nil {
				changes = append(changes, snapshot.Change{Path: f.Path, Deleted: true})
			}
		}
	}
	modules := testModules(root, files)
	plain = plain && slices.EqualFunc(modules, old.Modules(), func(a, b snapshot.OtherFile) bool { return a.Hash == b.Hash })
	if plain {
		return old.With(changes...)
	}
	all := slices.Collect(maps.Values(packages))
	for _, p := range old.Packages() {
		if p.Standard && packages[p.Path] == nil {
			all = append(all, p)
		}
	}
	s, err := snapshot.New(root, all, modules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testEnv gives a snapshot's own packages, type-checked from source, the form in which a build leaves them.
func testEnv(t *testing.T, old *snapshot.Snapshot, o options) Env {
	exported := make(map[string][]byte)
	env := Env{
		Toolchain: o.toolchain,
		Export: func(path string) (io.ReadCloser, error) {
			if data, ok := exported[path]; ok {
				return io.NopCloser(bytes.NewReader(data)), nil
			}
			if old.Package(path) == nil && !slices.Contains(o.joins, path) {
				return nil, fs.ErrNotExist
			}
			return standard(t, path)
		},
		Inlining: func(decl string) Inlining { return o.inlining[decl] },
		Profiled: o.profiled,
		Reserved: func(path string) bool { return path == o.reserved },

		NoMethods: func(typ string) bool { return typ == o.bare },
		Missing: func(path string) string {
			if slices.Contains(o.missing, path) {
				return "no package " + path
			}
			return ""
		},
	}
	if o.altered != nil {
		env.Altered = func([]snapshot.OtherFile) (string, error) { return *o.altered, nil }
	}
	im := newImporter(env)
	for _, p := range old.InOrder() {
		checked, list, err := im.check(checking{source: decl.Load(old, p.Path), fset: old.Fset(), rel: old.Rel})
		if err != nil || len(list) > 0 {
			t.Fatalf("old source of %s: %v %v", p.Path, list, err)
		}
		var b bytes.Buffer
		if err := gcexportdata.Write(&b, old.Fset(), checked.Types); err != nil {
			t.Fatal(err)
		}
		exported[p.Path] = b.Bytes()
	}
	return env
}

// standardExports are the files with export data of the standard library, made by the go command once.
var standardExports = sync.OnceValues(func() (map[string]string, error) {
	return listExports("", "fmt", "errors", "strings", "sync", "os", "io", "time", "sort", "slices", "maps", "iter", "context",
		"net/http", "log", "bytes", "strconv", "embed", "cmp", "math", "sync/atomic")
})

// listExports asks the go command in dir for the export data of packages and of all that they import.
func listExports(dir string, packages ...string) (map[string]string, error) {
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, packages...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[path] = file
		}
	}
	return exports, nil
}

func standard(t testing.TB, path string) (io.ReadCloser, error) {
	exports, err := standardExports()
	if err != nil {
		t.Fatal(err)
	}
	file, ok := exports[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return os.Open(file)
}

// format writes a report as the cases have it.
func format(r *Report, s *snapshot.Snapshot) string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	for _, e := range r.Edits {
		fmt.Fprintf(&b, "%s %s %s: %s %s:%d:%d", e.Verdict(), e.Kind.Code(), e.Kind, e.Decl, e.File, e.Line, e.Column)
		if e.Detail != "" {
			fmt.Fprintf(&b, " (%s)", e.Detail)
		}
		b.WriteString("\n")
	}
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "error %v\n", e)
	}
	for _, set := range r.Recompile {
		for _, f := range set.Funcs {
			fmt.Fprintf(&b, "recompile %s: %s\n", f.Decl, f.Reason)
			for _, m := range f.Closures {
				fmt.Fprintf(&b, "closure %s", m.New)
				if m.Old != m.New {
					fmt.Fprintf(&b, " from %q", m.Old)
				}
				b.WriteString("\n")
			}
		}
		for _, i := range set.Initializers {
			fmt.Fprintf(&b, "initializer %s\n", i.Decl)
		}
		for _, w := range set.Wrappers {
			fmt.Fprintf(&b, "wrapper %s: %s of %s\n", set.Path, w.Symbol, w.Method)
		}
		for _, i := range set.Instances {
			fmt.Fprintf(&b, "instance %s: %s\n", i.Decl, i.Generic)
		}
	}
	lines := slices.SortedFunc(slices.Values(r.Lines), func(a, b decl.LineMove) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.From, b.From))
	})
	for _, m := range lines {
		to := ""
		if m.NewFile != m.File {
			to = " to " + s.Rel(m.NewFile)
		}
		fmt.Fprintf(&b, "lines %s:%d-%d%s %+d\n", s.Rel(m.File), m.From, m.To, to, m.Delta)
	}
	return b.String()
}

// TestKinds checks that there is a case for each kind of edit.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("testdata/compare/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(archive.Files[len(archive.Files)-1].Data)
	}
	for _, k := range edit.Kinds() {
		if !bytes.Contains(all.Bytes(), []byte(" "+k.Code()+" ")) {
			t.Errorf("%s (%s): no case", k.Code(), k)
		}
	}
}
