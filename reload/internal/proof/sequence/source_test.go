package sequence

import (
	"fmt"
	"go/format"
	"path"
	"strings"
)

// source is the program's text by file name. prefix is what the import paths of its packages begin with, and main the
// name of the package that stands for main.
func (g *program) source(prefix, main string) (map[string]string, error) {
	files := map[string]string{}
	for _, k := range g.pkgs {
		clause, dir := k.name, k.name
		if k.name == mainName {
			clause, dir = main, ""
		}
		put := func(name, text string) error {
			b, err := format.Source([]byte(text))
			if err != nil {
				return fmt.Errorf("%s/%s: %w\n%s", k.name, name, err, text)
			}
			files[path.Join(dir, name)] = string(b)
			return nil
		}
		for i, name := range []string{"a.go", "b.go"} {
			p := &printer{prefix: prefix, pkg: k, imports: map[string]bool{}}
			for _, d := range k.all() {
				if d.file == i {
					p.decl(d)
				}
			}
			if err := put(name, p.file(clause)); err != nil {
				return nil, err
			}
		}
		p := &printer{prefix: prefix, pkg: k, imports: map[string]bool{}}
		p.questions()
		if err := put("ask.go", p.file(clause)); err != nil {
			return nil, err
		}
		if err := put("help.go", "package "+clause+"\n"+help); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (p *printer) decl(d *decl) {
	p.in, p.named, p.scope = d, false, nil
	p.f("\n")
	if d.fixed {
		p.f("//go:noinline\n")
	}
	ints := func(list []*node) string {
		var text []string
		for _, n := range list {
			text = append(text, p.expr(n))
		}
		return strings.Join(text, ", ")
	}
	switch d.kind {
	case function, method:
		p.function(d)
	case generic:
		p.scope = []string{"n", "x"}
		p.f("func %s[T any](v T, f func(T) int, n int) int {\nx := f(v) + len(typeName(v))\n", d.name)
		p.stmts(d.body)
		p.f("return x %% 100003\n}\n")
	case maker:
		p.maker(d)
	case structure:
		p.f("type %s struct {\n", d.name)
		for i := range d.fields {
			p.f("F%d int", i)
			if i == 0 && d.tag != "" {
				p.f(" `json:%q`", d.tag)
			}
			p.f("\n")
		}
		if e := d.embedded(); e != nil {
			if d.embedPtr {
				p.f("*")
			}
			p.f("%s\n", p.name(e))
		}
		p.f("}\n")
	case container:
		p.f("type %s[T any] struct {\nV T\nN int\n}\n", d.name)
	case behaviour:
		p.f("type %s interface {\nDo(int) int\n", d.name)
		if d.extra {
			p.f("Extra() int\n")
		}
		p.f("}\n")
	case constant:
		switch d.form {
		case "string":
			p.f("const %s = %q\n", d.name, strings.Repeat("c", d.vals[0].n%20))
		default:
			p.f("const %s %s = %d\n", d.name, d.form, d.vals[0].n)
		}
	case counted:
		p.f("const (\n")
		if d.extra {
			p.f("_ = %s + %d\n", d.form, d.vals[0].n)
		}
		for i := range d.fields {
			p.f("%s%c", d.name, 'A'+i)
			if i == 0 {
				p.f(" = %s + %d", d.form, d.vals[0].n)
			}
			p.f("\n")
		}
		p.f(")\n")
	case state:
		p.f("var %s %s\n", d.name, d.form)
	case table:
		p.in = initialiser(d)
		p.scope = []string{"5"}
		switch d.form {
		case "int":
			p.f("var %s = %s\n", d.name, p.expr(d.vals[0]))
		case "string":
			p.f("var %s = %s.Sprint(%s)\n", d.name, p.lib("fmt"), ints(d.vals))
		case "[]int":
			p.f("var %s = []int{%s}\n", d.name, ints(d.vals))
		default:
			p.f("var %s = map[string]int{", d.name)
			for i, n := range d.vals {
				p.f("%q: %s, ", fmt.Sprint("k", i), p.expr(n))
			}
			p.f("}\n")
		}
	case hook:
		p.in = initialiser(d)
		p.scope = []string{"a", "x"}
		p.f("var %s = func(a int) int {\nx := a\n", d.name)
		p.stmts(d.body)
		p.f("return x %% 100003\n}\n")
	}
}

func (p *printer) function(d *decl) {
	var params []string
	for i, t := range d.params {
		name := fmt.Sprint("p", i)
		params = append(params, name+" "+t)
		switch t {
		case "int":
			p.scope = append(p.scope, name)
		case "string", "[]int":
			p.scope = append(p.scope, "len("+name+")")
		case "bool":
			p.scope = append(p.scope, "truth("+name+")")
		}
	}
	p.f("func ")
	if d.recv != nil {
		star, args := "", ""
		if d.ptr {
			star = "*"
		}
		p.scope = append(p.scope, "r.F0")
		if d.recv.kind == container {
			args, p.scope[len(p.scope)-1] = "[T]", "r.N"
		}
		p.f("(r %s%s%s) ", star, d.recv.name, args)
	}
	p.f("%s(%s) ", d.name, strings.Join(params, ", "))
	first := "7"
	if len(p.scope) > 0 {
		first = p.scope[0]
	}
	switch {
	case d.result == "pair":
		p.f("(int, string) {\nx := %s\n", first)
	case d.result == "int" && d.named:
		p.named = true
		p.f("(x int) {\nx = %s\n", first)
	default:
		p.f("%s {\nx := %s\n", d.result, first)
	}
	p.scope = append(p.scope, "x")
	p.stmts(d.body)
	switch d.result {
	case "int":
		p.f("return x %% 100003\n}\n")
	case "string":
		p.f("return %s.Sprint(x%%100003, \" s\")\n}\n", p.lib("fmt"))
	case "pair":
		p.f("return x %% 100003, \"pair\"\n}\n")
	}
}

func (p *printer) maker(d *decl) {
	p.f("func %s(k int) func(int) int {\n", d.name)
	switch d.form {
	case "value":
		p.f("return func(y int) int {\nx := y + k\n")
	case "count":
		p.f("n := k\nreturn func(y int) int {\nif y < 0 {\nn = -y\n}\nn++\nx := n\n")
	case "nested":
		p.f("return func(y int) int {\nf := func(z int) int {\nx := z + k + y\n")
	}
	p.scope = []string{"y", "k", "x"}
	p.stmts(d.body)
	p.f("return x %% 100003\n}\n")
	if d.form == "nested" {
		p.f("return f(y + 1)\n}\n")
	}
	p.f("}\n")
}

// questions prints what the package is asked: what all of its code gives, what values are to be kept, what these do
// now. The answers are a map's, by names that no edit changes.
func (p *printer) questions() {
	p.in, p.scope = &decl{pkg: p.pkg, rank: 1 << 20}, []string{"a"}
	value := func(int) string { return "a" }
	sprint := p.lib("fmt") + ".Sprint"

	p.f("\n// Load gives state its values.\nfunc Load() {\n")
	for _, d := range p.pkg.all(state) {
		a, b := d.vals[0].n, d.vals[1].n
		switch d.form {
		case "int":
			p.f("%s = %d\n", d.name, a)
		case "string":
			p.f("%s = \"s%d\"\n", d.name, a)
		case "[]int":
			p.f("%s = []int{%d, %d}\n", d.name, a, b)
		default:
			p.f("%s = map[string]int{\"k0\": %d, \"k1\": %d}\n", d.name, a, b)
		}
	}
	p.f("}\n\n// All asks everything.\nfunc All(a int) map[string]string {\nall := map[string]string{}\n")
	say := func(d *decl, text string) { p.f("all[\"%s%d\"] = %s\n", letters[d.kind], d.id, text) }
	for _, d := range p.pkg.all() {
		switch d.kind {
		case function:
			say(d, sprint+"("+d.name+"("+p.args(d.params, value)+"))")
		case maker, generic, hook, method:
			o := map[kind]op{maker: opMade, generic: opGeneric, hook: opHook, method: opMethod}[d.kind]
			say(d, sprint+"("+p.expr(&node{op: o, ref: d, n: d.id, kids: []*node{{op: opParam}, {op: opLit, n: 3}}})+")")
		}
	}
	for _, d := range p.pkg.all(state) {
		say(d, sprint+"("+d.name+")")
	}
	p.f("return all\n}\n\n// Tables shows what only initialisers write.\nfunc Tables() map[string]string {\nall := map[string]string{}\n")
	for _, d := range p.pkg.all(table) {
		say(d, p.lib("fmt")+".Sprintf(\"%#v\", "+d.name+")")
	}
	p.f("return all\n}\n\n// Keep makes values that go through edits.\nfunc Keep() map[string]any {\nreturn map[string]any{\n")
	five := func(i int) string { return fmt.Sprint(5 + i) }
	for _, d := range p.pkg.all() {
		key := fmt.Sprintf("%s%d life %d", letters[d.kind], d.id, d.lives())
		switch {
		case d.kind == function && len(d.params) == 1 && d.params[0] == "int" && d.result == "int", d.kind == hook:
			p.f("%q: %s,\n", key, d.name)
		case d.kind == maker:
			p.f("%q: %s(%d),\n", key, d.name, d.id)
		case d.kind == generic:
			p.f("%q: %s[int],\n", key, d.name)
		case d.kind == structure, d.kind == container:
			p.f("%q: %s,\n%q: &%s,\n", key, p.composite(d, five), key+" *", p.composite(d, five))
		case d.kind == method:
			p.f("%q: (&%s).%s,\n", key, p.composite(d.recv, five), d.name)
		}
	}
	p.f("}\n}\n\n// Use works on a value that was kept.\nfunc Use(v any, a int) string {\nout := typeName(v)\n")
	for _, d := range p.pkg.all(behaviour) {
		p.f("if i, ok := v.(%s); ok {\nout += %s(\" %s\", i.Do(a))\n}\n", d.name, sprint, fmt.Sprint("does", d.id))
	}
	p.f("switch v := v.(type) {\ncase func(int) int:\nout += %s(\" \", v(-3), v(a))\n", sprint)
	p.f("case func(int, func(int) int, int) int:\nout += %s(\" \", v(a, func(y int) int { return y + 1 }, 2))\n", sprint)
	for _, d := range p.pkg.all(structure, container) {
		field, args := "F0", ""
		if d.kind == container {
			field, args = "N", "[int]"
		}
		for _, star := range []string{"", "*"} {
			p.f("case %s%s%s:\nout += %s(\" \", v.%s", star, d.name, args, sprint, field)
			for _, m := range d.methods() {
				if star == "*" || !m.ptr {
					p.f(", v.%s(a)", m.name)
				}
			}
			p.f(")\n")
		}
	}
	p.f("}\nreturn out\n}\n")
}

// help is in each package.
const help = `
import (
	"fmt"
	"strings"
)

func abs(n int) int { return max(n, -n, 0) }

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sum(n int, s string) int { return n + len(s) }

func at(list []int, i int) int {
	if len(list) == 0 {
		return 0
	}
	return list[abs(i)%len(list)]
}

func key(i int) string { return "k" + string(rune('0'+abs(i)%4)) }

func apply(f func(int) int, n int) int { return f(n) }

func among(i int, list ...any) any { return list[abs(i)%len(list)] }

` + typeNames

const typeNames = `func typeName(v any) string { return strings.ReplaceAll(fmt.Sprintf("%T", v), "mainly.", "main.") }
`

// renaming is typeNames for a fresh build of what a process calls by other names.
func renaming(names map[string]string) string {
	return fmt.Sprintf(`func typeName(v any) string {
	name := strings.ReplaceAll(fmt.Sprintf("%%T", v), "mainly.", "main.")
	return regexp.MustCompile("\\w+\\.\\w+").ReplaceAllStringFunc(name, func(name string) string {
		if called := names[name]; called != "" {
			return called
		}
		return name
	})
}

var names = %#v
`, names)
}

// loop is the program's main; answer.go is in the fresh build too.
const loop = `package main

import (
	"bufio"
	"fmt"
	"os"
)

// respond is called through its value: main, which never returns, knows nothing of its code.
var respond = Answer

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(respond(in.Text()))
	}
}
`

func answers(clause, prefix string) string {
	return fmt.Sprintf(`package %s

import (
	"encoding/json"
	"fmt"
	"runtime"

	%q
	%q
)

// kept are the values of each time that the program was told to keep some.
var kept []map[string]map[string]any

// Answer answers one command: "all N", "tables", "keep", or "kept TIME N".
func Answer(command string) (answer string) {
	defer func() {
		if r := recover(); r != nil {
			answer = fmt.Sprintf("panic: %%v", r)
		}
	}()
	var verb string
	var n, a int
	fmt.Sscan(command, &verb, &n, &a)
	load := func() {
		base.Load()
		mid.Load()
		Load()
	}
	load()
	runtime.GC()
	var all any = "?"
	switch verb {
	case "all":
		all = map[string]any{"base": base.All(n), "mid": mid.All(n), "main": All(n)}
	case "tables":
		all = map[string]any{"base": base.Tables(), "mid": mid.Tables(), "main": Tables()}
	case "keep":
		kept = append(kept, map[string]map[string]any{"base": base.Keep(), "mid": mid.Keep(), "main": Keep()})
		all = len(kept) - 1
	case "kept":
		out := map[string]map[string]string{}
		use := map[string]func(any, int) string{"base": base.Use, "mid": mid.Use, "main": Use}
		for name, values := range kept[n] {
			out[name] = map[string]string{}
			for key, v := range values {
				load()
				out[name][key] = use[name](v, a)
			}
		}
		all = out
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
`, clause, prefix+"base", prefix+"mid")
}
