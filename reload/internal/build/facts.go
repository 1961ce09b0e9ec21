package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts are what the compiler decided about the functions of a package and
// wrote into no object: other code was compiled relying on it.
type Facts struct {
	Package  string
	Funcs    map[string]*FuncFacts // by link name without instances: "p.F", "p.(*T).M", "p.F.func1"
	Captures []Capture             // variables that a function literal captures, in no order
}

// FuncFacts are what callers of a function rely on.
type FuncFacts struct {
	CanInline bool `json:",omitempty"`
	Cost      int  `json:",omitempty"` // of inlining it, when it can be or is too complex; 0 when it cannot be for another reason
	// Generic functions are compiled anew wherever they are instantiated; the
	// compiler says nothing of their parameters, and of inlining only for
	// instances that this package has.
	Generic bool `json:",omitempty"`
	// Params are the ways in which each parameter leaves the function, the
	// receiver first, sorted: "heap" (the pointer itself), "content level=N"
	// (what it points to, N dereferences on), "result I level=N" (into result
	// I), "mutates derefs=N", "calls derefs=N", "uintptr". None: nil. A leak with
	// fewer dereferences includes one with more, and "heap" all but "uintptr".
	//
	// A function literal has one more, last: what it captures that leaves the
	// functions around it through its code, "captured NAME", and "kept" if its
	// closures may live longer than a call of the function that makes them.
	Params [][]string `json:",omitempty"`
	File   string     `json:",omitempty"` // of a function literal: where it begins, absolute
	Line   int        `json:",omitempty"`
}

// A Capture is a variable that function literals capture. Whether by reference
// or by value is the same in all of them.
type Capture struct {
	File         string // absolute
	Line, Column int    // of its declaration; Column is 0 behind column 254
	Name         string
	ByRef        bool
}

// Kept is said of a function literal whose closures may outlive the function that makes them.
const Kept = "kept"

// FactFlags make the compiler say what ParseFacts reads.
var FactFlags = []string{"-m=2", "-d=escapemutationscalls=1", "-dwarf=false"}

// ClosureFlags keep the compiler from making function literals over again where their function is inlined: there is one
// form of each in the functions that it compiles.
var ClosureFlags = []string{"-d=inlfuncswithclosures=0"}

// factsSchema is part of the key under which facts are kept.
const factsSchema = "facts 2"

// Facts compiles the baseline's sources of a Local package once and returns
// what the compiler says of them; with idle, at the lowest priority, for
// somebody who may ask later. The answer is kept in the store for every build
// with the same inputs. For a package that the program counts (-cover), it is
// that of the same sources without counters.
func (c *Compiler) Facts(ctx context.Context, path string, idle bool) (*Facts, error) {
	p := c.baseline.Packages[path]
	if p == nil {
		return nil, fmt.Errorf("package %s is not in the program", path)
	}
	store := c.baseline.store
	file := filepath.Join(store.dir, "facts", c.factsKey(p)+".json")
	f, err := readFacts(file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	run := (*exec.Cmd).Run
	if idle {
		run = runIdle
	}
	r, err := c.compile(ctx, Request{Package: path, Flags: FactFlags}, run)
	if err != nil {
		return nil, err
	}
	if err := r.Remove(); err != nil {
		return nil, err
	}
	files, err := c.baseline.Sources(p)
	if err != nil {
		return nil, err
	}
	if f, err = ParseFacts(p, files, r.Diagnostics); err != nil {
		return nil, err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return f, store.WriteFile(file, text)
}

// factsKey names everything that the compiler's answer depends on.
func (c *Compiler) factsKey(p *Package) string {
	var key strings.Builder
	fmt.Fprintln(&key, factsSchema, c.baseline.GoVersion, c.env, p.Path, p.Dir, p.Compile, p.Trim, p.SymABIs, p.EmbedConfig, p.Profile, p.Generated, p.Files)
	for _, path := range p.Imports {
		if dep := c.baseline.Packages[path]; dep != nil {
			fmt.Fprintln(&key, path, dep.Archive)
		}
	}
	return hashOf([]byte(key.String()))
}

// runIdle runs a command that must not be in anybody's way. A process inherits
// the priority of the thread that starts it; the thread is given up with it.
func runIdle(cmd *exec.Cmd) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
		if err == nil {
			err = cmd.Run()
		}
		done <- err
	}()
	return <-done
}

// ParseFacts reads what the compiler printed with FactFlags (or -m alone, which
// gives neither costs nor captures, and "content level=1" for every level) for
// these files of a package.
func ParseFacts(p *Package, files map[string][]byte, diagnostics string) (*Facts, error) {
	in := &factParser{pkg: p, facts: &Facts{Package: p.Path, Funcs: map[string]*FuncFacts{}}, prefix: linkPrefix(p),
		params: map[factPos]*param{}, captures: map[factPos]bool{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := in.declare(filepath.Join(p.Dir, name), files[name]); err != nil {
			return nil, fmt.Errorf("package %s: %w", p.Path, err)
		}
	}
	for line := range strings.Lines(diagnostics) {
		in.line(strings.TrimSuffix(line, "\n"))
	}
	return in.finish(), nil
}

// linkPrefix is the package's part of a link name (cmd/internal/objabi/path.go,
// PathToPrefix, Go 1.26).
func linkPrefix(p *Package) string {
	if p.Name == "main" {
		return "main"
	}
	slash := strings.LastIndex(p.Path, "/")
	var b strings.Builder
	for i := range len(p.Path) {
		c := p.Path[i]
		if c <= ' ' || i > slash && c == '.' || c == '%' || c == '"' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// A factPos is where something is declared, as the compiler prints it. It
// knows columns up to 254 (cmd/internal/src/pos.go, Go 1.26), so the name
// belongs to it.
type factPos struct {
	file   string
	line   int
	column int
	name   string
}

type param struct {
	fn      *FuncFacts
	index   int
	results map[string]int // names of the function's results
	leaks   []string
	content int // least level of what leaks to the heap, -1: not said
}

type factParser struct {
	pkg      *Package
	prefix   string
	fset     *token.FileSet
	facts    *Facts
	params   map[factPos]*param
	captures map[factPos]bool // by reference
	lits     []literal
	flow     escape // that the lines being read explain
}

// A literal is a function literal and what it captures that leaves through it.
type literal struct {
	fn       *FuncFacts
	from, to factPos // where its code begins and ends
	captured map[string]bool
}

// An escape is something that leaves the function in which it is declared or made.
type escape struct {
	what string
	at   factPos
}

func (l *literal) contains(p factPos) bool {
	after := func(a, b factPos) bool {
		return a.line > b.line || a.line == b.line && (a.column >= b.column || a.column == 0 || b.column == 0)
	}
	return p.file == l.from.file && after(p, l.from) && after(l.to, p)
}

func (in *factParser) at(pos token.Pos, name string) factPos {
	p := in.fset.PositionFor(pos, true)
	at := factPos{file: p.Filename, line: p.Line, column: p.Column, name: name}
	if at.column >= 255 {
		at.column = 0
	}
	return at
}

// declare notes the functions of a file and where their parameters stand.
func (in *factParser) declare(path string, text []byte) error {
	in.fset = token.NewFileSet()
	f, err := parser.ParseFile(in.fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			in.literals(d, false)
			continue
		}
		facts := &FuncFacts{Generic: fn.Type.TypeParams.NumFields() > 0}
		name := fn.Name.Name
		if fn.Recv != nil && len(fn.Recv.List) == 1 {
			receiver, generic := receiverName(fn.Recv.List[0].Type)
			name, facts.Generic = receiver+"."+name, generic
		}
		if fn.Name.Name != "_" && (fn.Recv != nil || name != "init") {
			in.facts.Funcs[in.prefix+"."+name] = facts
		}
		in.parameters(facts, fn.Recv, fn.Type)
		in.literals(fn.Body, facts.Generic)
	}
	return nil
}

// literals notes the parameters of function literals. Their facts find a name
// only when the compiler says one, and are dropped otherwise.
func (in *factParser) literals(n ast.Node, generic bool) {
	if b, ok := n.(*ast.BlockStmt); ok && b == nil {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok {
			from := in.at(lit.Pos(), "func")
			facts := &FuncFacts{Generic: generic, File: from.file, Line: from.line}
			in.params[from] = &param{fn: facts}
			in.lits = append(in.lits, literal{facts, from, in.at(lit.Body.Rbrace, ""), map[string]bool{}})
			in.parameters(facts, nil, lit.Type)
		}
		return true
	})
}

func (in *factParser) parameters(facts *FuncFacts, recv *ast.FieldList, typ *ast.FuncType) {
	results, n := map[string]int{}, 0
	each(typ.Results, func(name *ast.Ident) {
		if name == nil {
			results["~r"+strconv.Itoa(n)] = n
		} else {
			results[name.Name] = n
		}
		n++
	})
	index := 0
	note := func(name *ast.Ident) {
		if name != nil && name.Name != "_" {
			in.params[in.at(name.Pos(), name.Name)] = &param{fn: facts, index: index, results: results, content: -1}
		}
		index++
	}
	each(recv, note)
	each(typ.Params, note)
	if !facts.Generic {
		facts.Params = make([][]string, index)
	}
}

// each calls f for every parameter of a list, with nil for one without name.
func each(list *ast.FieldList, f func(name *ast.Ident)) {
	if list == nil {
		return
	}
	for _, field := range list.List {
		if len(field.Names) == 0 {
			f(nil)
		}
		for _, name := range field.Names {
			f(name)
		}
	}
}

// receiverName is the receiver's part of a method's link name.
func receiverName(typ ast.Expr) (name string, generic bool) {
	switch t := typ.(type) {
	case *ast.ParenExpr:
		return receiverName(t.X)
	case *ast.StarExpr:
		name, generic = receiverName(t.X)
		return "(*" + name + ")", generic
	case *ast.IndexExpr:
		name, _ = receiverName(t.X)
		return name, true
	case *ast.IndexListExpr:
		name, _ = receiverName(t.X)
		return name, true
	case *ast.Ident:
		return t.Name, false
	}
	return "", false
}

// What the compiler prints (cmd/compile/internal/inline/inl.go: CanInline;
// escape/escape.go: flowClosure, finish, paramTag, reportLeaks; escape/solve.go;
// the same from Go 1.25 to 1.27).
var (
	factInline   = regexp.MustCompile(`^can inline (.+?)(?: with cost (\d+) as: .*)?$`)
	factNoInline = regexp.MustCompile(`^cannot inline (.+?): (?:function too complex: cost (\d+) exceeds )?`)
	factCapture  = regexp.MustCompile(`^.+ capturing by (ref|value): (\S+) \(`)
	factLeak     = regexp.MustCompile(`^leaking param( content)?: (\S+)(?: to result (\S+) level=(\d+))?$`)
	factFlow     = regexp.MustCompile(`^parameter (\S+) leaks to (.+) for .+ with derefs=(\d+):$`)
	factUse      = regexp.MustCompile(`^(mutates|calls) param: (\S+) (derefs=\d+)$`)
	factEscape   = regexp.MustCompile(`^(.+) escapes to heap in .+:$`)
	factMoved    = regexp.MustCompile(`^moved to heap: (\S+)$`)
	factWord     = regexp.MustCompile(`^(?:assuming (\S+) is unsafe uintptr|marking (\S+) as escaping (?:\.\.\.)?uintptr)$`)
)

// factLine splits what the compiler says of a place: "place: rest".
func factLine(text string) (at factPos, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], ": ")
		if i < 0 {
			return factPos{}, "", false
		}
		if at, ok := factPlace(text[:from+i]); ok {
			return at, text[from+i+2:], true
		}
		from += i + 2 // the name of the file has it
	}
}

// factPlace reads a place: "file:line:column", or without a column.
func factPlace(s string) (at factPos, ok bool) {
	if s == "" || s[0] == ' ' {
		return at, false
	}
	if at.file, at.line, ok = cutNumber(s); !ok {
		return at, false
	}
	if file, line, ok := cutNumber(at.file); ok {
		at.file, at.line, at.column = file, line, at.line
	}
	return at, at.file != ""
}

// cutNumber cuts a number off that follows the last colon.
func cutNumber(s string) (before string, number int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, false
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 31)
	return s[:i], int(n), err == nil
}

func (in *factParser) line(text string) {
	at, msg, ok := factLine(text)
	if !ok {
		return
	}
	at.file = in.pkg.untrim(at.file)
	param := func(name string) *param {
		at.name = name
		return in.params[at]
	}
	leak := func(name, how string) {
		if p := param(name); p != nil {
			p.leaks = append(p.leaks, how)
		}
	}
	switch {
	case strings.HasPrefix(msg, "can inline "):
		if m := factInline.FindStringSubmatch(msg); m != nil {
			f := in.function(m[1], at)
			cost, _ := strconv.Atoi(m[2])
			if !f.CanInline || cost < f.Cost {
				f.CanInline, f.Cost = true, cost
			}
		}
	case strings.HasPrefix(msg, "cannot inline "):
		if m := factNoInline.FindStringSubmatch(msg); m != nil {
			f := in.function(m[1], at)
			if cost, _ := strconv.Atoi(m[2]); !f.CanInline && (f.Cost == 0 || cost < f.Cost) {
				f.Cost = cost
			}
		}
	case strings.HasPrefix(msg, "leaking param"):
		switch m := factLeak.FindStringSubmatch(msg); {
		case m == nil:
		case m[1] != "":
			leak(m[2], "content")
		case m[3] == "":
			leak(m[2], "heap")
		default:
			if p := param(m[2]); p != nil {
				p.leaks = append(p.leaks, fmt.Sprintf("result %d level=%s", p.results[m[3]], m[4]))
			}
		}
	case msg == "func literal escapes to heap":
		for i := range in.lits {
			if l := &in.lits[i]; l.contains(at) && at.line == l.from.line && at.column == l.from.column {
				l.captured[Kept] = true
			}
		}
	case strings.HasPrefix(msg, "    from "):
		if at, ok := factPlace(msg[strings.LastIndex(msg, " at ")+len(" at "):]); ok && len(in.lits) > 0 {
			at.file = in.pkg.untrim(at.file)
			in.passes(at)
		}
	case strings.HasPrefix(msg, "  flow: "), strings.HasPrefix(msg, "inlining call "):
	case strings.HasSuffix(msg, ":") && factEscape.MatchString(msg):
		in.flow = escape{factEscape.FindStringSubmatch(msg)[1], at}
	case strings.HasPrefix(msg, "parameter "):
		in.flow = escape{strings.Fields(msg)[1], at}
		if m := factFlow.FindStringSubmatch(msg); m != nil {
			if p := param(m[1]); p != nil {
				level, _ := strconv.Atoi(m[3])
				if _, result := p.results[m[2]]; !result && level > 0 && (p.content < 0 || level < p.content) {
					p.content = level
				}
			}
		}
	default:
		if m := factUse.FindStringSubmatch(msg); m != nil {
			leak(m[2], m[1]+" "+m[3])
		} else if m := factMoved.FindStringSubmatch(msg); m != nil {
			leak(m[1], "heap")
		} else if m := factWord.FindStringSubmatch(msg); m != nil {
			leak(m[1]+m[2], "uintptr")
		} else if m := factCapture.FindStringSubmatch(msg); m != nil {
			at.name = m[2]
			in.captures[at] = in.captures[at] || m[1] == "ref"
		}
	}
}

// passes notes that what escapes does so by code at a place.
func (in *factParser) passes(at factPos) {
	for i := range in.lits {
		if l := &in.lits[i]; l.contains(at) && !l.contains(in.flow.at) {
			l.captured["captured "+in.flow.what] = true
		}
	}
}

// function returns the facts of a function by the name that the compiler
// prints: its link name without the package, and with type arguments.
func (in *factParser) function(name string, at factPos) *FuncFacts {
	link := in.prefix + "." + withoutInstances(name)
	f := in.facts.Funcs[link]
	if f == nil {
		at.name = "func"
		if p := in.params[at]; p != nil {
			f = p.fn
		} else {
			f = &FuncFacts{Generic: link != in.prefix+"."+name}
		}
		in.facts.Funcs[link] = f
	}
	return f
}

// withoutInstances drops type arguments: "Map[int,string].func1" → "Map.func1".
func withoutInstances(name string) string {
	if !strings.Contains(name, "[") {
		return name
	}
	var b strings.Builder
	depth := 0
	for _, r := range name {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		default:
			if depth == 0 {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func (in *factParser) finish() *Facts {
	for _, p := range in.params {
		if len(p.leaks) == 0 || p.fn.Generic {
			continue
		}
		for i, how := range p.leaks {
			if how == "content" {
				p.leaks[i] = "content level=" + strconv.Itoa(max(p.content, 1))
			}
		}
		slices.Sort(p.leaks)
		p.fn.Params[p.index] = slices.Compact(p.leaks)
	}
	for _, l := range in.lits {
		if !l.fn.Generic {
			l.fn.Params = append(l.fn.Params, slices.Sorted(maps.Keys(l.captured)))
		}
	}
	for at, ref := range in.captures {
		in.facts.Captures = append(in.facts.Captures, Capture{File: at.file, Line: at.line, Column: at.column, Name: at.name, ByRef: ref})
	}
	slices.SortFunc(in.facts.Captures, func(x, y Capture) int {
		if x.File != y.File {
			return strings.Compare(x.File, y.File)
		}
		if x.Line != y.Line {
			return x.Line - y.Line
		}
		return x.Column - y.Column
	})
	return in.facts
}

func readFacts(file string) (*Facts, error) {
	text, err := readTouched(file)
	if err != nil {
		return nil, err
	}
	f := new(Facts)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}
