package analysis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// caseOf returns the case that txtar text describes.
func caseOf(t *testing.T, text string) testCase {
	t.Helper()
	return parseCase(t, txtar.Parse([]byte(text)))
}

const chain = `
-- p/p.go --
package p

func Small(n int) int { return n }

func Large(p *int) int {
	defer println()
	return *p
}

type I interface{ Get(*int) int }

type T struct{}

func (T) Get(p *int) int {
	defer println()
	return Large(p)
}
-- q/q.go --
package q

import "example.com/m/p"

func Direct(n int) int { return p.Large(&n) }

func Through(n int) int { return Direct(n) + 1 }

func Far(n int) int {
	defer println()
	return Through(n)
}

func Seen(n int) int {
	var i p.I = p.T{}
	return i.Get(&n)
}

func Blind(i p.I, n int) int { return i.Get(&n) }

var Table = []func(int) int{Direct}

var Later = func(n int) int { return p.Large(&n) }

func None() {}
`

func edited(t *testing.T, s *snapshot.Snapshot, file, old, new string) *snapshot.Snapshot {
	t.Helper()
	path := filepath.Join(s.Root(), file)
	for _, p := range s.Packages() {
		if f := p.File(path); f != nil {
			content, _ := f.Content()
			if !bytes.Contains(content, []byte(old)) {
				t.Fatalf("%s: no %q", file, old)
			}
			return s.With(snapshot.Change{Path: path, Content: bytes.Replace(content, []byte(old), []byte(new), 1)})
		}
	}
	t.Fatalf("%s: no such file", file)
	return nil
}

// TestSequence compares again and again what runs with what is on disk, as a session does (rows 68 to 71).
func TestSequence(t *testing.T) {
	c := caseOf(t, chain)
	s := NewSession(c.env, nil)
	running, disk := c.old, c.old
	save := func(file, old, new string) { disk = edited(t, disk, file, old, new) }
	for _, step := range []struct {
		name string
		edit func()
		want string // codes of the edits, or "error"; what can be applied is
	}{
		{"nothing", func() {}, ""},
		{"good", func() { save("p/p.go", "return n", "return n + 1") }, "LMD0001"},
		{"same again", func() {}, ""},
		{"bad", func() { save("p/p.go", "return n + 1", "return m") }, "error"},
		{"still bad", func() {}, "error"},
		{"good again", func() { save("p/p.go", "return m", "return n + 2") }, "LMD0001"},
		{"hot and restart", func() { save("p/p.go", "struct{}", "struct{ a int }"); save("q/q.go", "+ 1", "+ 2") }, "LMD0301 LMD0001"},
		{"restart undone", func() { save("p/p.go", "struct{ a int }", "struct{}") }, "LMD0001"},
		{"applied", func() {}, ""},
		{"back to the build", func() { disk = c.old }, "LMD0001 LMD0001"},
		{"as built", func() {}, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.edit()
			r, err := s.Compare(context.Background(), running, disk)
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, e := range r.Edits {
				codes = append(codes, e.Kind.Code())
			}
			if len(r.Errors) > 0 {
				codes = []string{"error"}
			}
			if got := strings.Join(codes, " "); got != step.want {
				t.Errorf("%s, want %s", got, step.want)
			}
			if r.Applicable() {
				running = disk
			}
		})
	}
	if running.Digest() != c.old.Digest() {
		t.Error("the program is not what it was")
	}
}

// TestCallers checks who is found to call a function, and that what is included is compiled anew with what follows.
func TestCallers(t *testing.T) {
	c := caseOf(t, chain)
	r, err := NewSession(c.env, nil).Compare(context.Background(), c.old, edited(t, c.old, "p/p.go", "return *p", "return -*p"))
	if err != nil {
		t.Fatal(err)
	}
	const q = "example.com/m/q."
	for name, want := range map[string][]string{
		"example.com/m/p.Large":   {"example.com/m/p.T.Get", q + "Direct", q + "Far", q + "Later", q + "Through"},
		"example.com/m/p.T.Get":   {q + "Seen"},
		"example.com/m/q.Through": {q + "Far"},
		"example.com/m/q.None":    {},
		"example.com/m/q.Nobody":  nil,
	} {
		if got := r.Callers(name); !slices.Equal(got, want) {
			t.Errorf("callers of %s: %v, want %v", name, got, want)
		}
	}
	reasons := func() string {
		var list []string
		for _, p := range r.Recompile {
			for _, f := range p.Funcs {
				list = append(list, strings.TrimPrefix(f.Decl, "example.com/m/")+" "+f.Reason.String())
			}
		}
		return strings.Join(list, ", ")
	}
	if got := reasons(); got != "p.Large changed" {
		t.Errorf("set %s", got)
	}
	if err := r.Include(context.Background(), q+"Direct", q+"Nobody"); err != nil {
		t.Fatal(err)
	}
	if got := reasons(); got != "p.Large changed, q.Direct escapes, q.Through inlines, q.Far inlines" {
		t.Errorf("set %s", got)
	}
	if err := r.Include(context.Background(), q+"Later"); err != nil {
		t.Fatal(err)
	}
	if last := r.Recompile[len(r.Recompile)-1]; len(last.Initializers) != 1 || last.Initializers[0].Decl != q+"Later" {
		t.Errorf("initializers %v", last.Initializers)
	}
}

// TestIndex checks that facts are kept across sessions, found again by content, and refused when they are broken.
func TestIndex(t *testing.T) {
	c := caseOf(t, chain)
	s := NewSession(c.env, nil)
	if err := s.BuildIndex(context.Background(), c.old); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.Index().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	index, err := ReadIndex(bytes.NewReader(b.Bytes()))
	if err != nil || index.Len() != 2 {
		t.Fatalf("%d packages, %v", index.Len(), err)
	}
	checked := 0
	env := c.env
	env.Export = func(path string) (io.ReadCloser, error) { checked++; return c.env.Export(path) }
	if err := BuildIndex(context.Background(), c.old, env, index); err != nil || checked > 0 {
		t.Errorf("%d packages read though all facts are there, %v", checked, err)
	}
	body := edited(t, c.old, "p/p.go", "return *p", "return -*p")
	if err := BuildIndex(context.Background(), body, env, index); err != nil {
		t.Fatal(err)
	}
	signature := edited(t, c.old, "p/p.go", "type T struct{}", "type T struct{ a int }")
	key := func(snap *snapshot.Snapshot) factKey {
		t.Helper()
		v := s.view(snap)
		if err := v.settle(context.Background(), snap.Packages()); err != nil {
			t.Fatal(err)
		}
		return v.key(snap.Package("example.com/m/q"))
	}
	built := key(c.old)
	if key(body) != built {
		t.Error("a body changes what is known of importers")
	}
	if key(signature) == built {
		t.Error("a type does not change what is known of importers")
	}
	if key(edited(t, c.old, "p/p.go", "type T struct{}", "type T struct{}\n\nfunc unseen() {}")) != built {
		t.Error("a function that importers cannot see changes what is known of them")
	}
	for i := range b.Len() {
		broken := bytes.Clone(b.Bytes())
		broken[i] ^= 0x10
		if _, err := ReadIndex(bytes.NewReader(broken)); err == nil {
			t.Fatalf("byte %d flipped: no error", i)
		}
	}
}

func FuzzReadIndex(f *testing.F) {
	x := NewIndex()
	x.put("p", factKey{1}, &facts.Package{Path: "p", Names: []string{"", "a"}, Decls: []facts.Decl{{Name: "p.F", Refs: []facts.Ref{1 << 8}}}})
	var b bytes.Buffer
	if _, err := x.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := ReadIndex(bytes.NewReader(b)); err == nil {
			if _, err := x.WriteTo(io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestIndexForgets checks that old versions go.
func TestIndexForgets(t *testing.T) {
	x := NewIndex()
	for i := range byte(10) {
		x.put("p", factKey{i}, &facts.Package{Path: "p"})
		x.get("p", factKey{0})
	}
	if x.get("p", factKey{0}) == nil || x.get("p", factKey{9}) == nil || x.get("p", factKey{5}) != nil {
		t.Error("kept what was not used, or forgot what was")
	}
}

// TestChecked checks what a report says of type-checked packages: whatever body is there is checked, and those of the
// set and of what they refer to are there.
func TestChecked(t *testing.T) {
	w := newWorld(t, "text/template/parse", "text/template")
	session := NewSession(w.env, nil)
	partial := 0
	for i, m := range w.mutations(t, "text/template/parse")["body"] {
		if i%14 != 0 {
			continue
		}
		r, err := session.Compare(context.Background(), w.old, w.apply(m))
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range r.Recompile {
			bodies := make(map[types.Object]bool)
			for _, file := range set.Checked.Files {
				for _, d := range file.Decls {
					fn, ok := d.(*ast.FuncDecl)
					if !ok {
						continue
					}
					bodies[set.Checked.Info.Defs[fn.Name]] = fn.Body != nil
					partial += map[bool]int{false: 1}[fn.Body != nil]
					ast.Inspect(d, func(n ast.Node) bool {
						if id, ok := n.(*ast.Ident); ok && id.Name != "_" && set.Checked.Info.ObjectOf(id) == nil && !isTypeSwitchName(file, id) {
							t.Errorf("%s: nothing is known of %s", set.Checked.Fset.Position(id.Pos()), id.Name)
						}
						return true
					})
				}
			}
			for _, f := range set.Funcs {
				if f.Object == nil || !bodies[f.Object] {
					t.Errorf("%s: no body", f.Decl)
				}
				ast.Inspect(f.Syntax, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok {
						if callee, ok := set.Checked.Info.Uses[id].(*types.Func); ok {
							if has, here := bodies[callee.Origin()]; here && !has {
								t.Errorf("%s: no body of %s", f.Decl, callee.FullName())
							}
						}
					}
					return true
				})
			}
		}
	}
	if partial == 0 {
		t.Error("all bodies are there: the test shows nothing")
	}
}

// isTypeSwitchName reports whether id is the x of "switch x := y.(type)" or a label: neither is an object.
func isTypeSwitchName(file *ast.File, id *ast.Ident) bool {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSwitchStmt:
			if a, ok := n.Assign.(*ast.AssignStmt); ok && a.Lhs[0] == id {
				found = true
			}
		case *ast.LabeledStmt:
			found = found || n.Label == id
		case *ast.BranchStmt:
			found = found || n.Label == id
		}
		return !found
	})
	return found
}

// TestPartial checks that taking over what is known of unchanged functions gives the same answer as looking at all.
func TestPartial(t *testing.T) {
	w := newWorld(t, "text/template/parse", "text/template")
	session := NewSession(w.env, nil)
	for i, m := range w.mutations(t, "text/template")["body"] {
		if i%10 != 0 {
			continue
		}
		new := w.apply(m)
		quick, err := session.Compare(context.Background(), w.old, new)
		if err != nil {
			t.Fatal(err)
		}
		// Here the facts of the new version come from all of its source.
		whole := NewSession(w.env, nil)
		if err := whole.BuildIndex(context.Background(), new); err != nil {
			t.Fatal(err)
		}
		full, err := whole.Compare(context.Background(), w.old, new)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := format(quick, new), format(full, new); a != b {
			t.Errorf("%s: got\n%s\nwith all facts\n%s", m.name, a, b)
		}
	}
}

// TestToolchains reads export data of the other supported toolchains. This program can read that of a newer one as long
// as the language it uses is not newer too; what it cannot read must name the remedy.
func TestToolchains(t *testing.T) {
	exports := func(toolchain string, packages ...string) Env {
		cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, packages...)...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		files := make(map[string]string)
		for line := range strings.Lines(string(out)) {
			path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
			files[path] = file
		}
		return Env{Toolchain: toolchain, Export: func(path string) (io.ReadCloser, error) {
			if files[path] == "" {
				return nil, fs.ErrNotExist
			}
			return os.Open(files[path])
		}}
	}
	compare := func(env Env, lang, imp, use string) (*Report, error) {
		root := "/m"
		text := fmt.Sprintf("package p\n\nimport %q\n\nfunc F() any { return %s }\n", imp, use)
		p := &snapshot.Package{
			Path: "m/p", Name: "p", Dir: root + "/p", GoVersion: lang, Local: true, Imports: []string{imp},
			Files: []*snapshot.File{snapshot.NewFile(root+"/p/p.go", []byte(text))},
		}
		old, err := snapshot.New(root, []*snapshot.Package{p, {Path: imp, Standard: true}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return Compare(context.Background(), old, edited(t, old, "p/p.go", "return ", "println(); return "), env)
	}
	old, newer := exports("go1.25.14", "net/http"), exports("go1.27.3", "encoding/json", "math/rand/v2")
	for _, c := range []struct {
		name           string
		env            Env
		lang, imp, use string
		wants          string // "" or what the error says
	}{
		{"1.25", old, "go1.25", "net/http", "http.Get", ""},
		{"1.27 without generic methods", newer, "go1.26", "encoding/json", "json.Marshal", ""},
		{"1.27 with generic methods", newer, "go1.26", "math/rand/v2", "rand.Int()", "package math/rand/v2: needs go1.27, and this limeade-lsp was built with " + runtime.Version() + ": build limeade-lsp with go1.27"},
		{"language 1.27", newer, "go1.27", "encoding/json", "json.Marshal", "package m/p: needs go1.27"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := compare(c.env, c.lang, c.imp, c.use)
			if c.wants == "" {
				if err != nil || !r.Applicable() {
					t.Errorf("%v %v", r, err)
				}
				return
			}
			if release(runtime.Version()) >= 27 {
				if err != nil {
					t.Errorf("built with %s: %v", runtime.Version(), err)
				}
				return
			}
			var te *ToolchainError
			if !errors.As(err, &te) || !strings.HasPrefix(err.Error(), c.wants) || te.Needs != "go1.27" {
				t.Errorf("%v, want %s", err, c.wants)
			}
		})
	}
}

// TestCancelled checks that a comparison stops when it is told to.
func TestCancelled(t *testing.T) {
	c := caseOf(t, chain)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Compare(ctx, c.old, edited(t, c.old, "p/p.go", "return n", "return -n"), c.env); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestConcurrent compares from several goroutines at once, while the index is being built.
func TestConcurrent(t *testing.T) {
	c := caseOf(t, chain)
	s := NewSession(c.env, nil)
	var wg sync.WaitGroup
	for i := range 4 {
		new := edited(t, c.old, "p/p.go", "return n", fmt.Sprintf("return n + %d", i+1))
		wg.Go(func() {
			if r, err := s.Compare(context.Background(), c.old, new); err != nil || len(r.Edits) != 1 {
				t.Errorf("%v %v", r, err)
			}
		})
		wg.Go(func() {
			if err := s.BuildIndex(context.Background(), c.old); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestMissingExport checks that a broken environment is an error, and no fault of the source.
func TestMissingExport(t *testing.T) {
	c := caseOf(t, "-- p/p.go --\npackage p\n\nimport \"fmt\"\n\nfunc F() { fmt.Println() }\n")
	c.env.Export = func(string) (io.ReadCloser, error) { return nil, errors.New("disk on fire") }
	_, err := Compare(context.Background(), c.old, edited(t, c.old, "p/p.go", "Println()", "Println(1)"), c.env)
	if err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("error %v", err)
	}
	c.env.Export = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("no archive")), nil }
	if _, err = Compare(context.Background(), c.old, edited(t, c.old, "p/p.go", "Println()", "Println(1)"), c.env); err == nil {
		t.Error("what is no archive is read")
	}
}

// TestExportData reads the heads of archives that are broken in every place.
func TestExportData(t *testing.T) {
	const good = "!<arch>\n__.PKGDEF       0           0     0     644     40        `\ngo object linux\nbuild id\n\n$$B\nudata\n$$\n\n_go_.o"
	if data, err := exportData(strings.NewReader(good)); err != nil || string(data) != "udata" {
		t.Errorf("%q, %v", data, err)
	}
	for _, c := range []struct{ name, text string }{
		{"empty", ""},
		{"cut", good[:70]},
		{"cut in the header", good[:30]},
		{"other member", strings.Replace(good, "__.PKGDEF", "_go_.o   ", 1)},
		{"no size", strings.Replace(good, " 40 ", " xx ", 1)},
		{"huge size", strings.Replace(good, "40        ", "9999999999", 1)},
		{"no begin", strings.Replace(good, "$$B", "$$A", 1)},
		{"no end", strings.Replace(good, "\n$$\n", "\n$.\n", 1)},
	} {
		if data, err := exportData(strings.NewReader(c.text)); err == nil {
			t.Errorf("%s: read %q", c.name, data)
		}
	}
	if data, err := exportData(strings.NewReader("idata")); err != nil || string(data) != "idata" {
		t.Errorf("export data alone: %q, %v", data, err)
	}
}

func FuzzExportData(f *testing.F) {
	f.Add([]byte("!<arch>\n__.PKGDEF       0           0     0     644     40        `\ngo object linux\n\n$$B\nudata\n$$\n"))
	f.Add([]byte("i"))
	f.Fuzz(func(t *testing.T, b []byte) { exportData(bytes.NewReader(b)) })
}

// TestImports states which of this module's packages each package here may import.
func TestImports(t *testing.T) {
	const prefix = "github.com/limeade-go/limeade/analysis"
	allowed := map[string][]string{
		"/snapshot": nil,
		"/decl":     {"/snapshot"},
		"/edit":     nil,
		"/facts":    {"/snapshot", "/decl"},
		"":          {"/snapshot", "/decl", "/edit", "/facts"},
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, prefix)
		list, ok := allowed[name]
		if !ok {
			t.Errorf("%s: a package that this test does not know", p.ImportPath)
		}
		seen[name] = true
		for _, imp := range p.Imports {
			short, ours := strings.CutPrefix(imp, prefix)
			switch {
			case ours && !slices.Contains(list, short):
				t.Errorf("%s imports %s", p.ImportPath, imp)
			case !ours && strings.HasPrefix(imp, "github.com/limeade-go/"):
				t.Errorf("%s imports %s", p.ImportPath, imp)
			case slices.Contains([]string{"os/exec", "net", "net/http", "syscall"}, imp) && name != "/snapshot":
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
	if len(seen) != len(allowed) {
		t.Errorf("packages %v", seen)
	}
}
