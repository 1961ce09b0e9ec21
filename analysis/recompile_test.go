package analysis

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A realPackage is what the go command says of a package of the standard library that an oracle takes for a Local one.
type realPackage struct {
	ImportPath, Dir, Export, Name string
	GoFiles, Imports              []string
	ImportMap                     map[string]string
}

// A world is a program of real packages of the standard library, some of them Local.
type world struct {
	all   map[string]*realPackage
	local []string // dependencies first
	old   *snapshot.Snapshot
	env   Env
	dir   string
}

func newWorld(t testing.TB, local ...string) *world {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,Name,GoFiles,Imports,ImportMap"}, local...)...)
	cmd.Dir = t.TempDir()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{all: make(map[string]*realPackage), local: local, dir: t.TempDir()}
	var packages []*snapshot.Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		l := new(realPackage)
		if err := d.Decode(l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w.all[l.ImportPath] = l
		p := &snapshot.Package{Path: l.ImportPath, Name: l.Name, Dir: l.Dir, Imports: l.Imports, ImportMap: l.ImportMap, Standard: true}
		if slices.Contains(local, l.ImportPath) {
			p.Local, p.Standard = true, false
			for _, name := range l.GoFiles {
				content, err := os.ReadFile(filepath.Join(l.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				p.Files = append(p.Files, snapshot.NewFile(filepath.Join(l.Dir, name), content))
			}
		}
		packages = append(packages, p)
	}
	if w.old, err = snapshot.New("/", packages, nil); err != nil {
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

// compile compiles the Local packages as they are in s, each against those before it, and returns the code of their
// functions and what else the compiler says, by path.
func (w *world) compile(t testing.TB, s *snapshot.Snapshot) (code map[string]map[string]string, remarks map[string]string) {
	t.Helper()
	archives := make(map[string]string)
	code, remarks = make(map[string]map[string]string), make(map[string]string)
	dir := t.TempDir()
	for i, path := range w.local {
		p := s.Package(path)
		args := []string{"tool", "compile", "-p", path, "-std", "-pack", "-m=2", "-S", "-importcfg", filepath.Join(dir, "importcfg"), "-o", filepath.Join(dir, strconv.Itoa(i)+".a")}
		for _, f := range p.Files {
			content, _ := f.Content()
			sub := filepath.Join(dir, strconv.Itoa(i), filepath.Base(f.Path))
			if err := os.MkdirAll(filepath.Dir(sub), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(sub, content, 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, sub)
		}
		var cfg strings.Builder
		for imp, l := range w.all {
			file := l.Export
			if a, ok := archives[imp]; ok {
				file = a
			}
			if file != "" {
				fmt.Fprintf(&cfg, "packagefile %s=%s\n", imp, file)
			}
		}
		for from, to := range p.ImportMap {
			fmt.Fprintf(&cfg, "importmap %s=%s\n", from, to)
		}
		if err := os.WriteFile(filepath.Join(dir, "importcfg"), []byte(cfg.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("compile %s: %v\n%s", path, err, out[max(0, len(out)-1000):])
		}
		archives[path] = filepath.Join(dir, strconv.Itoa(i)+".a")
		code[path], remarks[path] = listing(string(out))
	}
	return code, remarks
}

var (
	function     = regexp.MustCompile(`^(\S.*) STEXT `)
	instruction  = regexp.MustCompile(`^\t(0x[0-9a-f]+) \d{5} \(.*?:-?\d+\)\t(.*)$`)
	numbered     = regexp.MustCompile(`\.\.?(stmp_|typeAssert\.|interfaceSwitch\.|dict\.)\d+`)
	typeArgs     = regexp.MustCompile(`\[.*\]`)
	closureNames = regexp.MustCompile(`(?:(?:\.func|\.|-range)\d+|\.(?:go|defer)wrap\d+)+$`)
)

// listing cuts the output of compile -S -m=2 into the code of each function, without what differs from one compilation
// to the next, positions and numbers of unnamed data, and all else.
func listing(out string) (code map[string]string, remarks string) {
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
		if m := instruction.FindStringSubmatch(line); m != nil && name != "" {
			fmt.Fprintln(&body, m[1], numbered.ReplaceAllString(m[2], "..N"))
		}
	}
	if name != "" {
		code[name] = body.String()
	}
	return code, rest.String()
}

var inlineRemark = regexp.MustCompile(`(?m): (?:can inline (\S+) with cost (\d+) as|cannot inline (\S+): (?:function too complex: cost (\d+)|.))`)

// inlining reads what the compiler said of inlining.
func inlining(remarks map[string]string) map[string]Inlining {
	known := make(map[string]Inlining)
	for path, text := range remarks {
		for _, m := range inlineRemark.FindAllStringSubmatch(text, -1) {
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

// A mutation is a change of one function of which the text keeps its lines.
type mutation struct {
	name string
	file string
	at   []int // offsets, ascending
	text []string
}

// mutations returns changes of small functions of a package: of what they return, and of constants in them.
func (w *world) mutations(t testing.TB, path string) []mutation {
	t.Helper()
	im := newImporter(w.env)
	source := decl.Load(w.old, path)
	checked, list, err := im.check(checking{source: source, fset: w.old.Fset(), rel: w.old.Rel})
	if err != nil || len(list) > 0 {
		t.Fatal(list, err)
	}
	var all []mutation
	for _, d := range source.Decls() {
		fn := d.Func()
		if fn == nil || fn.Body == nil || len(fn.Body.List) > 3 || d.Name == "init" || d.Name == "_" {
			continue
		}
		file := d.Parsed.Fset.File(fn.Pos())
		m := mutation{name: facts.DeclName(source.Package, d), file: file.Name()}
		insert := func(pos token.Pos, text string) {
			m.at = append(m.at, file.Offset(pos))
			m.text = append(m.text, text)
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ReturnStmt:
				if len(n.Results) != 1 {
					return true
				}
				x := n.Results[0]
				basic, ok := checked.Info.TypeOf(x).Underlying().(*types.Basic)
				switch {
				case !ok:
				case basic.Info()&types.IsBoolean != 0:
					insert(x.Pos(), "!(")
					insert(x.End(), ")")
				case basic.Info()&types.IsInteger != 0:
					insert(x.Pos(), "1+(")
					insert(x.End(), ")")
				case basic.Info()&types.IsString != 0:
					insert(x.Pos(), `"x"+(`)
					insert(x.End(), ")")
				}
				return false
			}
			return true
		})
		if len(m.at) == 0 {
			insert(fn.Body.Lbrace+1, "println();")
		}
		all = append(all, m)
	}
	return all
}

func (w *world) apply(ms ...mutation) *snapshot.Snapshot {
	s := w.old
	for _, m := range ms {
		for _, p := range s.Packages() {
			f := p.File(m.file)
			if f == nil {
				continue
			}
			content, _ := f.Content()
			for i := len(m.at) - 1; i >= 0; i-- {
				content = slices.Concat(content[:m.at[i]], []byte(m.text[i]), content[m.at[i]:])
			}
			s = s.With(snapshot.Change{Path: m.file, Content: content})
		}
	}
	return s
}

// declared returns the declared function of which a symbol is the code: without type arguments, closures and numbers.
func declared(symbol string, known map[string]bool) string {
	name := strings.TrimSuffix(typeArgs.ReplaceAllString(symbol, ""), ".abi0")
	for !known[name] {
		shorter := closureNames.ReplaceAllString(name, "")
		if shorter == name {
			// A closure that was inlined: main.f.g.func1.
			i := strings.LastIndexByte(name, '.')
			if i < 0 || strings.LastIndexByte(name, '/') > i {
				return typeArgs.ReplaceAllString(symbol, "")
			}
			shorter = name[:i]
		}
		name = shorter
	}
	return name
}

// TestRecompileSet mutates functions of real packages one by one, compiles the packages whole before and after, and
// checks that each function whose object code differs is in the recompile set, or calls one that is. It reports how much
// larger the set is than it had to be, knowing what the compiler said of inlining, and not knowing it.
func TestRecompileSet(t *testing.T) {
	lists := [][]string{
		{"text/template/parse", "text/template"},
		{"go/token", "go/scanner"},
		{"container/list", "container/heap", "encoding/csv", "text/tabwriter"},
	}
	if *oracle != "" {
		lists = [][]string{strings.Split(*oracle, ",")}
	}
	for _, local := range lists {
		t.Run(strings.ReplaceAll(local[0], "/", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, local...)
			before, remarks := w.compile(t, w.old)
			known := inlining(remarks)
			blind := NewSession(w.env, nil)
			env := w.env
			env.Inlining = func(name string) Inlining { return known[name] }
			informed := NewSession(env, nil)
			var all []mutation
			for _, path := range local {
				ms := w.mutations(t, path)
				step := max(1, len(ms) / *mutationsEach)
				for i := step / 2; i < len(ms); i += step {
					all = append(all, ms[i])
				}
			}
			total := [3]int{}
			escapes := 0
			for _, m := range all {
				new := w.apply(m)
				after, _ := w.compile(t, new)
				minimum := 0
				for i, session := range []*Session{informed, blind} {
					report, err := session.Compare(context.Background(), w.old, new)
					if err != nil {
						t.Fatal(err)
					}
					if !report.Applicable() {
						t.Fatalf("%s: %v %v", m.name, report.Errors, report.Edits)
					}
					set, decls := members(report, session)
					total[i+1] += len(set)
					differing := make(map[string]bool)
					for path := range after {
						for symbol, code := range after[path] {
							if before[path][symbol] == code {
								continue
							}
							if strings.HasPrefix(symbol, "type:.") || ranAtStart(path, symbol) {
								continue // comparisons of types are none of ours; what literals were inlined from is in the set
							}
							name := declared(symbol, decls)
							differing[name] = true
							if !set[name] && calls(report, set)[name] {
								// Another escape tag of what it calls: the engine finds out, and asks for it.
								escapes += 1 - i
							} else if !set[name] {
								t.Errorf("%s changed: %s of %s differs and is not in the set", m.name, symbol, path)
							}
						}
					}
					minimum = len(differing)
				}
				total[0] += minimum
			}
			t.Logf("%d mutations: %d functions differ, %d of them by escape tags; sets %d (%.2f) with what the compiler said of inlining, %d (%.2f) without",
				len(all), total[0], escapes, total[1], float64(total[1])/float64(max(1, total[0])), total[2], float64(total[2])/float64(max(1, total[0])))
		})
	}
}

// ranAtStart reports whether a symbol of a package is code of what initialises it, but for the function literals there.
func ranAtStart(path, symbol string) bool {
	rest, ok := strings.CutPrefix(symbol, path+".init")
	rest = strings.TrimLeft(rest, ".0123456789")
	return ok && !strings.HasPrefix(rest, "func")
}

// A longer run than the test's own: go test -run TestRecompileSet -mutations 50 -oracle regexp/syntax,regexp
var (
	mutationsEach = flag.Int("mutations", 5, "mutate about so many functions of each package")
	oracle        = flag.String("oracle", "", "packages to mutate, dependencies first, separated by commas")
)

// calls returns all functions that call functions of the set, directly or not.
func calls(r *Report, set map[string]bool) map[string]bool {
	found := make(map[string]bool)
	work := slices.Collect(maps.Keys(set))
	for len(work) > 0 {
		for _, name := range r.Callers(work[0]) {
			if !found[name] {
				found[name] = true
				work = append(work, name)
			}
		}
		work = work[1:]
	}
	return found
}

// members returns the link names of functions and wrappers in a report, and all declared functions of the program.
func members(r *Report, s *Session) (set, decls map[string]bool) {
	set, decls = make(map[string]bool), make(map[string]bool)
	for _, p := range r.Recompile {
		for _, f := range p.Funcs {
			set[f.Decl] = true
		}
		for _, w := range p.Wrappers {
			set[w.Symbol] = true
		}
		if len(p.Initializers) > 0 {
			set[facts.LinkPath(p.Path, p.Checked.Package.Name)+".init"] = true
		}
	}
	if r.set != nil {
		for _, f := range r.set.order {
			for i := range f.Decls {
				decls[f.Decls[i].Name] = true
			}
		}
	}
	maps.Copy(decls, set)
	return set, decls
}
