package sequence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A kind says what a declaration declares.
type kind int

const (
	function kind = iota
	method
	generic   // function with a type parameter
	maker     // function that returns a closure
	structure // type
	container // type with a type parameter
	behaviour // interface type
	constant
	counted // block of constants that count by iota
	state   // variable that code writes; the load command gives it its value
	table   // variable that its initialiser alone writes
	hook    // variable that holds a function literal
)

// A decl is a declaration of a generated program. Bodies refer to it by its address, so that all that uses it follows
// whatever an edit makes of it: a call has the arguments that the function takes today, and where what it refers to is
// gone, or cannot be seen any more, stands a number.
type decl struct {
	id   int
	kind kind
	pkg  *pkg
	file int // which of the package's two files
	name string
	gone bool
	rank int // code uses what has a lower rank, so that nothing calls itself

	// pure code touches no variable. Initialisers use nothing else: their values hang on no order of things.
	pure bool

	// life counts the changes after which values that were made of the declaration go on with what they were made of.
	life int

	// Of functions and methods.
	fixed  bool // //go:noinline
	named  bool // the result has a name
	params []string
	result string
	recv   *decl // type of the receiver
	root   bool  // a method that stays
	ptr    bool
	body   []*node

	// Of types.
	fields   int
	tag      string
	embed    *decl
	embedPtr bool
	extra    bool // an interface with a second method

	// Of constants and variables.
	form string
	vals []*node
}

// A pkg is one package; it imports those with a lower level.
type pkg struct {
	name  string
	level int
	decls []*decl // in the order in which they stand in their files
}

// A program is what an edit sequence has come to.
type program struct {
	*rand.Rand
	pkgs []*pkg
	next int // id
	log  []string
}

// mainName is the package whose code stands in package main.
const mainName = "main"

// newProgram generates the program of a seed.
func newProgram(seed uint64) *program {
	g := &program{Rand: rand.New(rand.NewPCG(seed, 0))}
	for level, name := range []string{"base", "mid", mainName} {
		g.pkgs = append(g.pkgs, &pkg{name: name, level: level})
	}
	for _, p := range g.pkgs {
		for _, k := range []kind{constant, counted, structure, structure, behaviour, container, state, state, table, function, function,
			generic, maker, hook, function, function, function, maker, table} {
			g.add(p, k)
		}
	}
	g.log = nil
	return g
}

// chance is true once in n times.
func (g *program) chance(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *program, list []T) T { return list[g.IntN(len(list))] }

// all lists the declarations that there are, of some kinds or of all.
func (g *program) all(kinds ...kind) []*decl {
	var list []*decl
	for _, p := range g.pkgs {
		list = append(list, p.all(kinds...)...)
	}
	return list
}

func (p *pkg) all(kinds ...kind) []*decl {
	var list []*decl
	for _, d := range p.decls {
		if !d.gone && (len(kinds) == 0 || slices.Contains(kinds, d.kind)) {
			list = append(list, d)
		}
	}
	return list
}

// visible tells whether code of d may use what is declared by ref.
func (d *decl) visible(ref *decl) bool {
	if ref.gone || ref.recv != nil && !d.visible(ref.recv) {
		return false
	}
	if ref.pkg == d.pkg {
		return true
	}
	return ref.pkg.level < d.pkg.level && ref.name[0] >= 'A' && ref.name[0] <= 'Z'
}

// mayUse tells whether an expression in d may mention ref at all, whatever its name is today.
func (d *decl) mayUse(ref *decl) bool {
	return ref.pkg.level <= d.pkg.level && ref.rank < d.rank && (!d.pure || ref.pure)
}

// usable lists what a new expression in d may refer to.
func (g *program) usable(d *decl, kinds ...kind) []*decl {
	var list []*decl
	for _, ref := range g.all(kinds...) {
		if d.mayUse(ref) && d.visible(ref) {
			list = append(list, ref)
		}
	}
	return list
}

var letters = map[kind]string{function: "f", method: "m", generic: "g", maker: "mk", structure: "t", container: "box", behaviour: "does",
	constant: "c", counted: "n", state: "s", table: "tab", hook: "hook"}

// newName gives d a name that nothing had before; methods may get the one that the interfaces ask for.
func (g *program) newName(d *decl, exported bool) {
	g.next++
	if d.kind == method && g.chance(2) && !slices.ContainsFunc(d.recv.methods(), func(m *decl) bool { return m.name == asked }) {
		d.name = asked
		return
	}
	name := fmt.Sprint(letters[d.kind], g.next)
	if exported {
		name = string(name[0]-'a'+'A') + name[1:]
	}
	d.name = name
	if d.kind == method || !g.chance(6) {
		return
	}
	// A name that begins anew.
	for _, old := range d.pkg.decls {
		taken := func(other *decl) bool { return !other.gone && strings.EqualFold(other.name, old.name) }
		if old.gone && old.kind == d.kind && !slices.ContainsFunc(d.pkg.decls, taken) {
			d.name = old.name
			return
		}
	}
}

// asked is the method of all interfaces.
const asked = "Do"

// lives is d.life with what its values are made of.
func (d *decl) lives() int {
	n := d.life
	if e := d.embedded(); e != nil {
		n += e.lives()
	}
	if d.recv != nil {
		n += 1000 * d.recv.lives()
	}
	return n
}

// methods lists a type's own.
func (d *decl) methods() []*decl {
	return slices.DeleteFunc(d.pkg.all(method), func(m *decl) bool { return m.recv != d })
}

// add adds a declaration to p.
func (g *program) add(p *pkg, k kind) *decl { return g.addTo(p, k, nil) }

// addTo adds a declaration to p, a method to recv.
func (g *program) addTo(p *pkg, k kind, recv *decl) *decl {
	d := &decl{id: g.next, kind: k, pkg: p, file: g.IntN(2), rank: 1 + g.IntN(1000), recv: recv}
	d.pure = k != state && k != table && k != hook
	g.newName(d, !g.chance(4))
	switch k {
	case function:
		d.pure = g.chance(2)
		d.fixed, d.named = g.chance(3), g.chance(3)
		for range g.IntN(3) {
			d.params = append(d.params, g.paramType())
		}
		if len(d.params) == 0 || g.chance(2) {
			d.params = append([]string{"int"}, d.params...)
		}
		d.result = g.resultType()
		d.body = g.stmts(d, 1+g.IntN(4))
	case method:
		d.rank = 200 + g.IntN(400)
		d.ptr = g.chance(2)
		d.fixed = g.chance(3)
		d.params, d.result = []string{"int"}, "int"
		d.body = g.stmts(d, 1+g.IntN(2))
	case generic:
		d.rank = 200 + g.IntN(400)
		d.fixed = g.chance(3)
		d.body = g.stmts(d, 1+g.IntN(3))
	case maker:
		d.fixed = g.chance(3)
		d.pure = g.chance(2)
		d.form = pick(g, []string{"value", "count", "nested"})
		d.body = g.stmts(d, 1+g.IntN(2))
	case structure:
		d.rank = g.IntN(100)
		d.fields = 1 + g.IntN(3)
		if list := g.usable(d, structure); len(list) > 0 && g.chance(2) {
			d.embed, d.embedPtr = pick(g, list), g.chance(3)
		}
	case container:
		d.rank = g.IntN(100)
		d.fields = 1
	case behaviour:
		d.rank = g.IntN(100)
	case constant:
		d.rank = g.IntN(50)
		d.form = pick(g, []string{"", "int", "string"})
		d.vals = []*node{g.lit()}
	case counted:
		d.rank = g.IntN(50)
		d.form = pick(g, []string{"iota", "1 << iota", "iota*3 + 1"})
		d.fields = 2 + g.IntN(3)
		d.vals = []*node{g.lit()}
	case state:
		d.rank = 0
		d.form = pick(g, []string{"int", "string", "[]int", "map[string]int"})
		d.vals = []*node{g.lit(), g.lit()}
	case table:
		d.rank = 500
		d.form = pick(g, []string{"int", "string", "[]int", "map[string]int"})
		for range 1 + g.IntN(4) {
			d.vals = append(d.vals, g.expr(initialiser(d), 2))
		}
	case hook:
		d.rank = 500
		d.body = g.stmts(initialiser(d), 1+g.IntN(2))
	}
	p.decls = slices.Insert(p.decls, g.IntN(len(p.decls)+1), d)
	g.note("add", d)
	if k == structure || k == container {
		// Without any method a type cannot get a first one that interfaces see: that is a limit that the answer names.
		g.addTo(p, method, d).root = true
	}
	return d
}

// initialiser is d as the code that initialises it sees it: pure, so that it reads no variable. What a table calls is little
// besides: the tool does not see that a value follows from a function which is called through a func value or an interface.
func initialiser(d *decl) *decl {
	c := *d
	c.pure = true
	if d.kind == table {
		c.rank = simple
	}
	return &c
}

// simple is above the rank of constants and of few functions.
const simple = 51

func (g *program) paramType() string {
	return pick(g, []string{"int", "int", "string", "bool", "[]int"})
}
func (g *program) resultType() string { return pick(g, []string{"int", "int", "string", "pair"}) }

// note writes down what an edit did.
func (g *program) note(what string, d *decl) {
	g.log = append(g.log, fmt.Sprintf("%s %s.%s", what, d.pkg.name, d.name))
}
