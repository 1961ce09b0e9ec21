package stub

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// FactFlags make the compiler say what [ParseFacts] reads. With -m=1 it would not say how deep inside a
// parameter a leak begins, and without the second flag it keeps silent about writes, although a
// []byte(string) shares the string's memory with a callee that does not write.
var FactFlags = []string{"-m=2", "-d=escapemutationscalls=1"}

// A Fact is what the compiler found out about a function in a build of the whole package, and what the
// code of its callers depends on.
type Fact struct {
	Inlinable bool
	Flows     []Flow // in the order of Param
}

// A Flow says that what a parameter points to, after some dereferences, gets somewhere.
type Flow struct {
	Param  int // counts from 0; a receiver is the first
	To     Destination
	Result int // if To is ToResult, counts from 0
	Derefs int // 0: the parameter itself
}

// Covers reports whether a caller compiled with f in mind may call a function of which g is true:
// g lets nothing out of its parameters that f did not.
func (f Fact) Covers(g Fact) bool {
	for _, new := range g.Flows {
		if !slices.ContainsFunc(f.Flows, func(old Flow) bool {
			same := old.To == new.To && old.Result == new.Result || old.To == ToHeap // which may do anything
			return old.Param == new.Param && same && old.Derefs <= new.Derefs
		}) {
			return false
		}
	}
	return true
}

// A Destination is where escape analysis tracks pointers to
// (cmd/compile/internal/escape/leaks.go, Go 1.25–1.27).
type Destination uint8

const (
	ToHeap    Destination = iota // it may outlive the call
	ToMutator                    // it is written through
	ToCallee                     // it is called
	ToResult                     // it is returned
)

var (
	diagnostic = regexp.MustCompile(`^(.+):(\d+):(\d+): (.*)$`)
	canInline  = regexp.MustCompile(`^can inline (\S+)`)
	leakHeap   = regexp.MustCompile(`^(?:leaking param|moved to heap): (\S+)$`)
	leakInside = regexp.MustCompile(`^leaking param content: (\S+)$`)
	leakDepth  = regexp.MustCompile(`^parameter \S+ leaks to \{heap\} for .* with derefs=(\d+):$`)
	leakResult = regexp.MustCompile(`^leaking param: (\S+) to result (\S+) level=(\d+)$`)
	mutates    = regexp.MustCompile(`^mutates param: (\S+) derefs=(\d+)$`)
	calls      = regexp.MustCompile(`^calls param: (\S+) derefs=(\d+)$`)
	noEscape   = regexp.MustCompile(`^(\S+) does not escape`)
)

// ParseFacts reads the compiler's messages for the files of a package, compiled whole with
// [FactFlags]. It returns a fact for every function and method with a body, by the name that the
// compiler gives it within its package: "F", "T.M", "(*T).M". A parameter that the messages do not
// mention is taken to leak.
func ParseFacts(fset *token.FileSet, files []*ast.File, messages []byte) map[string]Fact {
	said := make(map[place][]string)
	inlinable := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(messages))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := diagnostic.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if f := canInline.FindStringSubmatch(m[4]); f != nil {
			inlinable[f[1]] = true
			continue
		}
		p := place{file: filepath.Base(m[1])}
		p.line, _ = strconv.Atoi(m[2])
		p.column, _ = strconv.Atoi(m[3])
		said[p] = append(said[p], m[4])
	}
	facts := make(map[string]Fact)
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				name := declName(fn)
				facts[name] = Fact{inlinable[name], flows(fset, fn, said)}
			}
		}
	}
	return facts
}

// A place is a position in a message.
type place struct {
	file         string // without directory
	line, column int
}

// declName names a function as the compiler does in messages and, after the package, in symbols.
func declName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	typ, pointer := ast.Unparen(fn.Recv.List[0].Type), false
	if star, ok := typ.(*ast.StarExpr); ok {
		typ, pointer = ast.Unparen(star.X), true
	}
	switch x := typ.(type) {
	case *ast.IndexExpr:
		typ = x.X
	case *ast.IndexListExpr:
		typ = x.X
	}
	name := "?"
	if id, ok := typ.(*ast.Ident); ok {
		name = id.Name
	}
	if pointer {
		name = "(*" + name + ")"
	}
	return name + "." + fn.Name.Name
}

// flows collects what was said at the places of a function's parameters.
func flows(fset *token.FileSet, fn *ast.FuncDecl, said map[place][]string) []Flow {
	results := make(map[string]int)
	if fn.Type.Results != nil {
		n := 0
		for _, field := range fn.Type.Results.List {
			for _, name := range field.Names {
				results[name.Name] = n
				n++
			}
			if len(field.Names) == 0 {
				results["~r"+strconv.Itoa(n)] = n
				n++
			}
		}
	}
	var list []Flow
	param := 0
	for _, field := range paramFields(fn) {
		for _, name := range field.Names {
			if name.Name != "_" {
				p := fset.Position(name.Pos())
				list = append(list, flowsOf(param, said[place{filepath.Base(p.Filename), p.Line, p.Column}], results)...)
			}
			param++
		}
		if len(field.Names) == 0 {
			param++
		}
	}
	return list
}

// paramFields returns the receiver and the parameters.
func paramFields(fn *ast.FuncDecl) []*ast.Field {
	var list []*ast.Field
	if fn.Recv != nil {
		list = append(list, fn.Recv.List...)
	}
	return append(list, fn.Type.Params.List...)
}

func flowsOf(param int, said []string, results map[string]int) []Flow {
	var list []Flow
	known := false
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	depth := 0 // of the shallowest leak inside
	for _, s := range said {
		if m := leakDepth.FindStringSubmatch(s); m != nil {
			if n := number(m[1]); n > 0 && (depth == 0 || n < depth) {
				depth = n
			}
		}
	}
	for _, s := range said {
		flow := Flow{Param: param}
		if noEscape.MatchString(s) {
			known = true
			continue
		} else if leakHeap.MatchString(s) {
			flow.To = ToHeap
		} else if leakInside.MatchString(s) {
			flow.To, flow.Derefs = ToHeap, max(1, depth)
		} else if m := mutates.FindStringSubmatch(s); m != nil {
			flow.To, flow.Derefs = ToMutator, number(m[2])
		} else if m := calls.FindStringSubmatch(s); m != nil {
			flow.To, flow.Derefs = ToCallee, number(m[2])
		} else if m := leakResult.FindStringSubmatch(s); m != nil {
			result, ok := results[m[2]]
			if !ok {
				flow.To = ToHeap
			} else {
				flow.To, flow.Result, flow.Derefs = ToResult, result, number(m[3])
			}
		} else {
			continue
		}
		known = true
		list = append(list, flow)
	}
	if !known {
		return []Flow{{Param: param, To: ToHeap}}
	}
	return list
}
