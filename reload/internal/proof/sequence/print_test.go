package sequence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A printer writes the source of one file.
type printer struct {
	strings.Builder
	prefix  string // of the import paths of the program's packages
	pkg     *pkg
	imports map[string]bool
	in      *decl    // whose code is printed
	scope   []string // expressions of type int that it can use
	named   bool     // x is a named result, here
	labels  int
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

// lib is a name of a package of the standard library.
func (p *printer) lib(path string) string {
	p.imports[path] = true
	return path[strings.LastIndex(path, "/")+1:]
}

// name is how the code refers to d.
func (p *printer) name(d *decl) string {
	if d.pkg == p.pkg {
		return d.name
	}
	p.imports[p.prefix+d.pkg.name] = true
	return d.pkg.name + "." + d.name
}

// file is the whole text, given what was printed below the imports.
func (p *printer) file(clause string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\n", clause)
	for _, path := range slices.Sorted(maps.Keys(p.imports)) {
		fmt.Fprintf(&b, "import %q\n", path)
	}
	b.WriteString(p.String())
	return b.String()
}

// within prints f's output with more names in scope.
func (p *printer) within(f func() string, names ...string) string {
	n := len(p.scope)
	p.scope = append(p.scope, names...)
	defer func() { p.scope = p.scope[:n] }()
	return f()
}

// args are what a function takes, made of integers.
func (p *printer) args(types []string, value func(i int) string) string {
	var list []string
	for i, t := range types {
		v := value(i)
		switch t {
		case "string":
			v = p.lib("fmt") + ".Sprint(" + v + ")"
		case "bool":
			v += " > 7"
		case "[]int":
			v = "[]int{" + v + ", 2}"
		}
		list = append(list, v)
	}
	return strings.Join(list, ", ")
}

// call is a call as an int.
func call(d *decl, text string) string {
	switch d.result {
	case "string":
		return "len(" + text + ")"
	case "pair":
		return "sum(" + text + ")"
	}
	return text
}

// composite is a literal of a type, its fields made of what value gives.
func (p *printer) composite(t *decl, value func(i int) string) string {
	if t.kind == container {
		return fmt.Sprintf("%s[int]{V: %s, N: %s}", p.name(t), value(0), value(1))
	}
	var list []string
	for i := range t.fields {
		list = append(list, fmt.Sprintf("F%d: %s", i, value(i)))
	}
	if e := t.embedded(); e != nil && (&decl{pkg: p.pkg}).visible(e) {
		inner := p.composite(e, func(i int) string { return fmt.Sprint(i + 3) })
		if t.embedPtr {
			inner = "&" + inner
		}
		list = append(list, e.name+": "+inner)
	}
	return p.name(t) + "{" + strings.Join(list, ", ") + "}"
}

// embedded is the type that t embeds today.
func (t *decl) embedded() *decl {
	if t.embed == nil || !t.visible(t.embed) {
		return nil
	}
	return t.embed
}

// points tells whether printing a value of t shows an address.
func (t *decl) points() bool {
	e := t.embedded()
	return e != nil && (t.embedPtr || e.points())
}

func (p *printer) expr(n *node) string {
	kid := func(i int) string { return p.expr(n.kids[i%len(n.kids)]) }
	if n.ref != nil && !p.in.visible(n.ref) {
		return fmt.Sprint(n.n%50 + 1)
	}
	switch n.op {
	case opLit:
		return fmt.Sprint(n.n)
	case opParam:
		return p.scope[n.n%len(p.scope)]
	case opConst:
		if n.ref.kind == counted {
			return p.name(n.ref) + string(rune('A'+n.n%n.ref.fields))
		}
		if n.ref.form == "string" {
			return "len(" + p.name(n.ref) + ")"
		}
		return p.name(n.ref)
	case opAdd, opSub, opMul:
		return "(" + kid(0) + " " + string("+-*"[n.op-opAdd]) + " " + kid(1) + ")"
	case opRem:
		return fmt.Sprintf("(%s %% %d)", kid(0), n.n%90+2)
	case opCall:
		return call(n.ref, p.name(n.ref)+"("+p.args(n.ref.params, kid)+")")
	case opMethod:
		return p.method(n, kid)
	case opGeneric:
		return p.instance(n, kid)
	case opMade:
		return p.name(n.ref) + "(" + kid(0) + ")(" + kid(1) + ")"
	case opHook:
		return p.name(n.ref) + "(" + kid(0) + ")"
	case opState, opTable:
		return p.read(n.ref, kid)
	case opField:
		return fmt.Sprintf("%s.F%d", p.composite(n.ref, kid), n.n%n.ref.fields)
	case opLiteral:
		return fmt.Sprintf("func(y int) int { return y*%d + %s }(%s)", n.n, p.within(func() string { return kid(0) }, "y"), kid(1))
	case opMin:
		return fmt.Sprintf("min(%s, %s, %d)", kid(0), kid(1), n.n)
	case opLength:
		return fmt.Sprintf("len(%s.Repeat(\"ab\", abs(%s)%%9))", p.lib("strings"), kid(0))
	}
	panic(fmt.Sprint("no expression: ", n.op))
}

// method is a call of a method in one of the ways that there are.
func (p *printer) method(n *node, kid func(int) string) string {
	m, t := n.ref, n.ref.recv
	style := n.n % 5
	if style == 3 {
		for _, outer := range p.pkg.all(structure) {
			if outer.embedded() == t && m.name != asked {
				return fmt.Sprintf("(&%s).%s(%s)", p.composite(outer, kid), m.name, kid(2))
			}
		}
	}
	value, typ := p.composite(t, kid), p.name(t)
	if t.kind == container {
		typ += "[int]"
	}
	if m.ptr {
		value, typ = "(&"+value+")", "(*"+typ+")"
	}
	arg := kid(2)
	switch style {
	case 0:
		return fmt.Sprintf("apply(%s.%s, %s)", value, m.name, arg)
	case 1:
		return fmt.Sprintf("%s.%s(%s, %s)", typ, m.name, value, arg)
	case 2:
		if m.name[0] <= 'Z' {
			return fmt.Sprintf("interface{ %s(int) int }(%s).%s(%s)", m.name, value, m.name, arg)
		}
	}
	return fmt.Sprintf("%s.%s(%s)", value, m.name, arg)
}

// instance is a call of a generic function with one of several type arguments.
func (p *printer) instance(n *node, kid func(int) string) string {
	typ, value, use := "int", kid(0), "v"
	switch list := p.pkg.all(structure); {
	case n.n%4 == 1:
		typ, value, use = "string", p.lib("fmt")+".Sprint("+value+")", "len(v)"
	case n.n%4 == 2:
		typ, value, use = "[]int", "[]int{"+value+", 4}", "v[0] + len(v)"
	case n.n%4 == 3 && len(list) > 0:
		t := list[n.n%len(list)]
		typ, value, use = p.name(t), p.composite(t, kid), "v.F0"
	}
	return fmt.Sprintf("%s[%s](%s, func(v %s) int { return %s + %s }, %d)", p.name(n.ref), typ, value, typ, use, kid(1), n.n%30)
}

// read is a variable's value as an int.
func (p *printer) read(d *decl, index func(int) string) string {
	switch d.form {
	case "string":
		return "len(" + p.name(d) + ")"
	case "[]int":
		return "at(" + p.name(d) + ", " + index(0) + ")"
	case "map[string]int":
		return fmt.Sprintf("%s[key(%s)]", p.name(d), index(0))
	}
	return p.name(d)
}

func (p *printer) stmts(list []*node) {
	for _, s := range list {
		p.stmt(s)
	}
}

func (p *printer) stmt(n *node) {
	kid := func(i int) string { return p.expr(n.kids[i%len(n.kids)]) }
	op := n.op
	if n.ref != nil && !p.in.visible(n.ref) {
		op = opAssign
	}
	switch op {
	case opAssign:
		p.f("x %s= %s\n", []string{"+", "-", "^"}[n.n%3], kid(0))
	case opIf:
		p.f("if (%s)%%3 == 1 {\nx += %s\n} else {\nx -= %s\n}\n", kid(0), kid(1), kid(2))
	case opFor:
		p.f("for i := range %d {\nx = x*3 + i\n}\nx += %s\n", 2+n.n%5, kid(0))
	case opSwitch:
		p.f("switch abs(x) %% 4 {\ncase 0:\nx += %s\ncase 1:\nx = %s\nfallthrough\ncase 2:\nx++\ndefault:\nx -= %d\n}\n", kid(0), kid(1), n.n)
	case opClosure:
		p.f("{\nf := func(z int) int { return z*%s + x }\nx = f(%s) + f(%d)\n}\n", p.within(func() string { return kid(0) }, "z"), kid(1), n.n)
	case opByReference:
		p.f("func() {\nx += %s\nx ^= %d\n}()\n", kid(0), n.n)
	case opRecover:
		p.f("func() {\ndefer func() {\nif r := recover(); r != nil {\nx += len(%s.Sprint(r))\n}\n}()\n", p.lib("fmt"))
		if n.n%2 == 0 {
			p.f("var list []int\nx += list[abs(%s)+%d]\n}()\n", kid(0), n.n%7)
		} else {
			p.f("x -= %s\nif abs(x)%%2 == 0 {\npanic(%s)\n}\n}()\n", kid(0), kid(1))
		}
	case opDefer:
		if p.named {
			p.f("defer func() { x += %s }()\n", kid(0))
		} else {
			p.f("func() {\ndefer func(z int) { x += z }(%s)\nx *= 3\n}()\n", kid(0))
		}
	case opGo:
		p.f("{\nc := make(chan int)\ngo func() { c <- %s }()\nx += <-c\n}\n", kid(0))
	case opTypeSwitch:
		t := p.name(n.ref)
		p.f("switch v := among(x+%d, %s, &%s, %s, %q).(type) {\n", n.n, p.composite(n.ref, kid), p.composite(n.ref, kid), kid(0), t)
		p.f("case %s.Stringer:\nx--\ncase %s:\nx += v.F0\ncase *%s:\nx += v.F0 + %s\ncase int:\nx ^= v\ncase string:\nx += len(v)\n}\n",
			p.lib("fmt"), t, t, kid(1))
	case opMap:
		p.f("{\nm := map[string]int{\"a\": %s, \"b\": %s}\nm[key(x)] += %d\nfor _, k := range []string{\"a\", \"b\", \"k1\"} {\nx += m[k]\n}\n}\n",
			kid(0), kid(1), n.n)
	case opSlice:
		p.f("for i, v := range []int{%s, %s, %s} {\nx += (i + 1) * v\n}\n", kid(0), kid(1), kid(2))
	case opSeq:
		p.f("for v := range func(yield func(int) bool) { _ = yield(%s) && yield(%s) } {\nif v%%%d == 0 {\nbreak\n}\nx += v\n}\n", kid(0), kid(1), n.n%5+2)
	case opLocalType:
		p.f("{\ntype local struct{ n, m int }\nvar l any = local{%s, %d}\nif l, ok := l.(local); ok {\nx += l.n - l.m\n}\n}\n", kid(0), n.n)
	case opPrint:
		if n.ref.points() {
			p.f("x += len(typeName(&%s))\n", p.composite(n.ref, kid))
			return
		}
		p.f("x += len(%s.Sprintf(\"%%v %%+v\", %s, &%s))\n", p.lib("fmt"), p.composite(n.ref, kid), p.composite(n.ref, kid))
	case opArray:
		c := p.expr(&node{op: opConst, ref: n.ref, n: n.n})
		p.f("{\nvar array [%s%%9 + 2]int\narray[1] = %s\nx += len(array) + array[abs(x)%%2]\n}\n", c, kid(0))
	case opWrite:
		p.write(n.ref, kid)
	case opLibrary:
		p.library(n.n, kid)
	case opLabel:
		p.labels++
		p.f("{\nn := 0\nouter%[4]d:\nfor i := range 4 {\nfor j := range 4 {\nif i*j == %[1]d {\ncontinue outer%[4]d\n}\nif n++; n > %[2]d {\nbreak outer%[4]d\n}\n}\n}\nx += n + %[3]s\n}\n", n.n%5, n.n%11+1, kid(0),
			p.labels)
	case opSelect:
		p.f("{\nc := make(chan int, 1)\nif abs(x)%%2 == 0 {\nc <- %s\n}\nselect {\ncase v := <-c:\nx += v\ndefault:\nx -= %d\n}\n}\n", kid(0), n.n)
	case opAssert:
		list := p.pkg.all(structure)
		if len(list) == 0 {
			p.f("x++\n")
			return
		}
		t := list[n.n%len(list)]
		p.f("for _, v := range []any{%s, &%s} {\nif i, ok := v.(%s); ok {\nx += i.Do(%s)\n}\n}\n", p.composite(t, kid), p.composite(t, kid),
			p.name(n.ref), kid(0))
	case opOrder:
		p.f("{\nl := []int{%s, %s, %s}\n%s.SortFunc(l, func(a, b int) int { return (a - b) * %d })\nx += l[%d]\n}\n", kid(0), kid(1), kid(2),
			p.lib("slices"), n.n%2*2-1, n.n%3)
	default:
		panic(fmt.Sprint("no statement: ", n.op))
	}
}

func (p *printer) write(d *decl, kid func(int) string) {
	name := p.name(d)
	switch d.form {
	case "int":
		p.f("%s += %s\n", name, kid(0))
	case "string":
		p.f("%s = %s.Sprint(len(%s)%%9, %s)\n", name, p.lib("fmt"), name, kid(0))
	case "[]int":
		p.f("%s = append(%s[:min(2, len(%s))], %s)\n", name, name, name, kid(0))
	default:
		p.f("%s[key(x)] = %s\n", name, kid(0))
	}
}

// library uses packages that the program may lack.
func (p *printer) library(n int, kid func(int) string) {
	text := func() string { return p.lib("fmt") + ".Sprint(" + kid(0) + ")" }
	switch n % 6 {
	case 0:
		p.f("x += int(%s.ChecksumIEEE([]byte(%s)) %% 1000)\n", p.lib("hash/crc32"), text())
	case 1:
		p.f("x += %s.OnesCount(uint(abs(x)))\n", p.lib("math/bits"))
	case 2:
		p.f("x += len(%s.EscapeString(\"<\" + %s))\n", p.lib("html"), text())
	case 3:
		p.f("{\nl := %s.New()\nl.PushBack(x)\nl.PushFront(%s)\nx += l.Front().Value.(int)\n}\n", p.lib("container/list"), kid(0))
	case 4:
		p.f("x += len(%s.EncodeToString([]byte(%s)))\n", p.lib("encoding/base32")+".StdEncoding", text())
	case 5:
		p.f("{\nb, err := %s.Marshal(map[string]any{\"x\": x, \"y\": []int{%s}})\nif err == nil {\nx += len(b)\n}\n}\n", p.lib("encoding/json"), kid(0))
	}
}
