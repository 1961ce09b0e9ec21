package retest

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// driver is the main package that runs tests when it is told to. It never changes.
//
//go:embed driver.go.txt
var driver string

// A suite is what a package has to be run by go test (cmd/go/internal/load/test.go).
type suite struct {
	path     string
	inside   half // tests of the package itself
	external half // of the one beside it
	main     string
}

// A half of a suite is what one of the two packages has.
type half struct {
	name  string              // by which it is imported
	there bool                // it has files
	lines map[string][]string // elements of the tables, by their names
	used  bool
}

func newSuite(path string) *suite {
	return &suite{path: path, inside: half{name: "_test", lines: map[string][]string{}}, external: half{name: "_xtest", lines: map[string][]string{}}}
}

// add adds what a test file has. One that does not parse is left to the compiler.
func (s *suite) add(name string, text []byte, external bool) {
	h := &s.inside
	if external {
		h = &s.external
	}
	h.there = true
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || fn.Type.TypeParams != nil {
			continue
		}
		switch n := fn.Name.Name; {
		case n == "TestMain" && takes(fn, "M"):
			s.main = h.name
			h.used = true
		case is(n, "Test") && takes(fn, "T"):
			h.add("tests", "{%q, %s}", n, h.name+"."+n)
		case is(n, "Benchmark") && takes(fn, "B"):
			h.add("benchmarks", "{%q, %s}", n, h.name+"."+n)
		case is(n, "Fuzz") && takes(fn, "F"):
			h.add("fuzzTargets", "{%q, %s}", n, h.name+"."+n)
		}
	}
	examples := doc.Examples(f)
	slices.SortFunc(examples, func(a, b *doc.Example) int { return a.Order - b.Order })
	for _, e := range examples {
		if n := "Example" + e.Name; e.Output != "" || e.EmptyOutput {
			h.add("examples", "{%q, %s, %q, %t}", n, h.name+"."+n, e.Output, e.Unordered)
		}
	}
}

func (h *half) add(table, format string, args ...any) {
	h.used = true
	h.lines[table] = append(h.lines[table], fmt.Sprintf(format, args...))
}

// is reports whether a name is that of a test: the prefix, and then nothing or what is no small letter.
func is(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	r, _ := utf8.DecodeRuneInString(rest)
	return ok && (rest == "" || !unicode.IsLower(r))
}

// takes reports whether a function has a *testing.T, or another of the kind, as its only parameter.
func takes(fn *ast.FuncDecl, kind string) bool {
	p := fn.Type.Params.List
	if fn.Type.Results != nil && len(fn.Type.Results.List) > 0 || len(p) != 1 || len(p[0].Names) > 1 {
		return false
	}
	ptr, ok := p[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	switch x := ptr.X.(type) {
	case *ast.Ident:
		return x.Name == kind
	case *ast.SelectorExpr:
		return x.Sel.Name == kind
	}
	return false
}

// source is the file that lists the tests. Each table is a function, whose body is swapped when there are others.
func (s *suite) source() []byte {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n\t\"testing\"\n\n")
	for _, h := range []half{s.inside, s.external} {
		path := s.path
		if h.name == s.external.name {
			path += "/" + xtestDir
		}
		if !h.there {
			continue
		}
		name := h.name
		if !h.used {
			name = "_"
		}
		fmt.Fprintf(&b, "\t%s %q\n", name, path)
	}
	b.WriteString(")\n")
	for _, t := range [][2]string{{"tests", "InternalTest"}, {"benchmarks", "InternalBenchmark"}, {"fuzzTargets", "InternalFuzzTarget"}, {"examples", "InternalExample"}} {
		fmt.Fprintf(&b, "\n//go:noinline\nfunc %s() []testing.%s {\n\treturn []testing.%[2]s{\n", t[0], t[1])
		for _, h := range []half{s.inside, s.external} {
			for _, line := range h.lines[t[0]] {
				fmt.Fprintf(&b, "\t\t%s,\n", line)
			}
		}
		b.WriteString("\t}\n}\n")
	}
	b.WriteString("\n//go:noinline\nfunc run(m *testing.M) int {\n")
	if s.main != "" {
		fmt.Fprintf(&b, "\t%s.TestMain(m)\n\treturn exitCode(m)\n}\n", s.main)
	} else {
		b.WriteString("\treturn m.Run()\n}\n")
	}
	fmt.Fprintf(&b, "\nconst importPath = %q\n", s.path)
	return []byte(b.String())
}
