package decl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// source makes a package of files given as "name: text", where the text lacks its package clause.
func source(t *testing.T, files ...string) Source {
	t.Helper()
	p := &snapshot.Package{Path: "m/p", Name: "p", Dir: "/m/p", Local: true}
	for _, f := range files {
		name, text, _ := strings.Cut(f, ": ")
		p.Files = append(p.Files, snapshot.NewFile("/m/p/"+name, []byte("package p\n"+text)))
	}
	other := &snapshot.Package{Path: "m/yaml.v3", Name: "yaml"}
	s, err := snapshot.New("/m", []*snapshot.Package{p, other}, nil)
	if err != nil {
		t.Fatal(err)
	}
	src := Load(s, "m/p")
	for _, f := range src.Files {
		if len(f.Parsed.Errors) > 0 {
			t.Fatal(f.Parsed.Errors)
		}
	}
	return src
}

var partNames = []string{"receiver", "type params", "signature", "names", "body", "pragma", "type", "value", "kind"}

// delta writes what differs, one line each.
func delta(d *Delta) string {
	var b strings.Builder
	for _, c := range d.Decls {
		switch {
		case c.Old == nil:
			fmt.Fprintf(&b, "+%s %s\n", c.New.Kind, c.New.ID)
		case c.New == nil:
			fmt.Fprintf(&b, "-%s %s\n", c.Old.Kind, c.Old.ID)
		default:
			var parts []string
			for i, name := range partNames {
				if c.Parts&(1<<i) != 0 {
					parts = append(parts, name)
				}
			}
			if c.Literals {
				parts = append(parts, "in literals")
			}
			if c.Requalified {
				parts = append(parts, "requalified")
			}
			if c.Parts == 0 {
				parts = append(parts, "moved")
			}
			fmt.Fprintf(&b, "%s: %s\n", c.New.ID, strings.Join(parts, ", "))
		}
	}
	for _, i := range d.Imports {
		fmt.Fprintf(&b, "import %s %t\n", i.Path, i.Added)
	}
	for _, f := range d.Files {
		for k, differs := range f.Directives {
			if differs {
				fmt.Fprintf(&b, "directive %d\n", k)
			}
		}
		if f.Kind != Edited {
			fmt.Fprintf(&b, "file %s\n", [...]string{"", "added", "deleted", "renamed"}[f.Kind])
		}
		if f.Reordered {
			fmt.Fprintf(&b, "reordered\n")
		}
	}
	return b.String()
}

// TestDiff compares two versions of one file.
func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", "func f() {}", "func f() {}", ""},
		{"comments", "func f(a int) int { return a }", "// f\nfunc f(a /* a */ int) int {\n\treturn a // a\n}", ""},
		{"body", "func f() { g() }", "func f() { h() }", "f: body\n"},
		{"operator", "var x = 1 + 2", "var x = 1 - 2", "x: value\n"},
		{"literal kind", "var x = 'a'", "var x = \"a\"", "x: value\n"},
		{"slice bounds", "var x = s[1:]", "var x = s[:1]", "x: value\n"},
		{"for parts", "func f() { for x(); ; {} }", "func f() { for ; ; x() {} }", "f: body\n"},
		{"if parts", "func f() { if x(); y {} }", "func f() { if y {} else {} }", "f: body\n"},
		{"ellipsis", "func f() { g(x...) }", "func f() { g(x) }", "f: body\n"},
		{"channel", "var c chan<- int", "var c <-chan int", "c: type\n"},
		{"empty else", "func f() { if x {} }", "func f() { if x {} else {} }", "f: body\n"},
		{"composite", "var x = []T{{1}}", "var x = []T{T{1}}", "x: value\n"},
		{"label", "func f() { a: for { break a } }", "func f() { b: for { break b } }", "f: body\n"},
		{"default case", "func f() { switch { case true: } }", "func f() { switch { default: } }", "f: body\n"},
		{"define", "func f() { x := 1 }", "func f() { x = 1 }", "f: body\n"},
		{"grouped parameters", "func f(a int, b int) {}", "func f(a, b int) {}", ""},
		{"parameter type", "func f(a int) {}", "func f(a string) {}", "f: signature\n"},
		{"parameter name", "func f(a int) {}", "func f(b int) {}", "f: names\n"},
		{"result", "func f() (n int) { return }", "func f() (m int) { return }", "f: names\n"},
		{"receiver name", "func (a T) f() {}", "func (b T) f() {}", "T.f: names\n"},
		{"receiver kind", "func (a T) f() {}", "func (a *T) f() {}", "T.f: receiver\n"},
		{"type parameters", "func f[T any]() {}", "func f[T comparable]() {}", "f: type params\n"},
		{"receiver type parameters", "func (l List[T]) f() {}", "func (l List[E]) f() {}", "List.f: type params\n"},
		{"pragma", "func f() {}", "//go:noinline\nfunc f() {}", "f: pragma\n"},
		{"pragma apart", "//go:noinline\nfunc f() {}", "//go:noinline\n\nfunc f() {}", ""},
		{"generate", "func f() {}", "//go:generate x\nfunc f() {}", ""},
		{"linkname", "func f()", "//go:linkname f g\nfunc f()", "directive 0\n"},
		{"closure", "func f() { g(func() { a() }) }", "func f() { g(func() { b() }) }", "f: body, in literals\n"},
		{"closure signature", "func f() { g(func() {}) }", "func f() { g(func(int) {}) }", "f: body\n"},
		{"variable", "var x int", "var x string", "x: type\n"},
		{"one of two", "var a, b = 1, 2", "var a, b = 1, 3", "b: value\n"},
		{"both of one", "var a, b = f()", "var a, b = g()", "a: value\nb: value\n"},
		{"iota", "const (\n\ta = iota\n\tb\n)", "const (\n\ta = iota\n\tc\n\tb\n)", "+const c\nb: value\n"},
		{"no iota", "const (\n\ta = 1\n\tb\n)", "const (\n\ta = 1\n\tc\n\tb\n)", "+const c\n"},
		{"kind", "var x = 1", "const x = 1", "x: kind\n"},
		{"type", "type T int", "type T = int", "T: type\n"},
		{"tag", "type T struct{ a int }", "type T struct{ a int `x` }", "T: type\n"},
		{"grouped types", "type A int\ntype B int", "type (\n\tA int\n\tB int\n)", ""},
		{"order", "func a() {}\nfunc b() {}", "func b() {}\nfunc a() {}", "reordered\n"},
		{"inits", "func init() { a() }\nfunc init() { b() }", "func init() { b() }\nfunc init() { a() }", "reordered\n"},
		{"an init", "func init() { a() }\nfunc init() { b() }", "func init() { b() }", "-func init#0\n"},
		{"blank", "var _ I = a", "var _ J = b\nvar _ I = a", "+var _#0\n"},
		{"blank changes", "var _ = a(1)", "var _ I = T{}\nvar _ = a(2)", "+var _#0\n_#1: value\n"},
		{"method and function", "func f() {}", "func (T) f() {}", "+method T.f\n-func f\n"},
		{"import", "import \"fmt\"\nvar x = fmt.X", "import (\n\t\"fmt\"\n\t_ \"os\"\n)\nvar x = fmt.X", "import os true\n"},
		{"import renamed", "import a \"m/a\"\nvar x = a.X", "import a \"m/b\"\nvar x = a.X", "x: value, requalified\nimport m/b true\nimport m/a false\n"},
		{"import named by its package", "import \"m/yaml.v3\"\nvar x = yaml.X", "import yaml \"m/other\"\nvar x = yaml.X", "x: value, requalified\nimport m/other true\nimport m/yaml.v3 false\n"},
		{"import name added", "import \"m/yaml.v3\"\nvar x = yaml.X", "import yaml \"m/yaml.v3\"\nvar x = yaml.X", ""},
		{"dot import", "import . \"m/a\"\nvar x = X", "import . \"m/b\"\nvar x = X", "x: value, requalified\nimport m/b true\nimport m/a false\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := delta(Diff(source(t, "a.go: "+c.old), source(t, "a.go: "+c.new)))
			if got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

// TestFiles compares versions with other files.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new []string
		want     string
	}{
		{"moved", []string{"a.go: func f() {}", "b.go: "}, []string{"a.go: ", "b.go: func f() {}"}, "f: moved\n"},
		{"renamed", []string{"a.go: func f() {}"}, []string{"b.go: func f() {}"}, "f: moved\nfile renamed\n"},
		{"added", []string{"a.go: "}, []string{"a.go: ", "b.go: func f() {}"}, "+func f\nfile added\n"},
		{"deleted", []string{"a.go: ", "b.go: func f() {}"}, []string{"a.go: "}, "-func f\nfile deleted\n"},
		{"added with a directive", []string{"a.go: "}, []string{"a.go: ", "b.go: //go:linkname f g"}, "directive 0\nfile added\n"},
		{"inits of several files", []string{"a.go: func init() { a() }", "b.go: func init() { b() }"}, []string{"a.go: ", "b.go: func init() { b() }"}, "-func init#0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := delta(Diff(source(t, c.old...), source(t, c.new...)))
			if got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

// TestLines checks where lines go.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           string // from-to delta
	}{
		{"nothing", "func f() {\n}", "func f() {\n}", ""},
		{"shift", "func f() {\n}", "\nfunc f() {\n}", "2-3+1"},
		{"inside", "func f() {\n\ta()\n\tb()\n}", "func f() {\n\ta()\n\n\tb()\n}", "4-5+1"},
		{"twice", "func f() {\n\ta()\n\tb()\n}", "\nfunc f() {\n\ta()\n\n\tb()\n}", "2-3+1 4-5+2"},
		{"joined", "func f() {\n\ta(1,\n\t\t2)\n}", "func f() {\n\ta(1, 2)\n}", "4-5-1"},
		{"types have no code", "type T struct {\n}", "\ntype T struct {\n}", ""},
		{"plain variables neither", "var x = f()", "\nvar x = f()", ""},
		{"those with literals do", "var x = func() {\n}", "\nvar x = func() {\n}", "2-3+1"},
		{"changed ones have other lines", "func f() { a() }\nfunc g() {}", "\nfunc f() { b() }\nfunc g() {}", "3-3+1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range Diff(source(t, "a.go: "+c.old), source(t, "a.go: "+c.new)).Lines {
				got = append(got, fmt.Sprintf("%d-%d%+d", m.From, m.To, m.Delta))
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("lines %s, want %s", s, c.want)
			}
		})
	}
}

// TestShape checks that Shape changes with what others can see, and with nothing else.
func TestShape(t *testing.T) {
	base := "import \"fmt\"\n\nfunc F(a int) int { return a }\n\ntype T struct{ a int }\n\nvar x int = 1\n\nvar y = 1\n\nconst c = 1\n"
	shape := func(text string) Hash {
		s := source(t, "a.go: "+text)
		return Shape(s.Package.Files[0], s.Files[0].Parsed.Fset)
	}
	for _, c := range []struct {
		old, new string
		differs  bool
	}{
		{"return a", "return -a", false},
		{"a int) int", "b int) int", false},
		{"= 1\n\nvar y", "= 2\n\nvar y", false},
		{"// ", "", false},
		{"func F", "// F\n\nfunc F", false},
		{"a int) int", "a int) int64", true},
		{"a int }", "b int }", true},
		{"var y = 1", "var y = 2", true},
		{"const c = 1", "const c = 2", true},
		{"\"fmt\"", "f \"fmt\"", true},
		{"func F", "func (T) F", true},
	} {
		if got := shape(base) != shape(strings.Replace(base, c.old, c.new, 1)); got != c.differs {
			t.Errorf("%q for %q: differs %t, want %t", c.new, c.old, got, c.differs)
		}
	}
}
