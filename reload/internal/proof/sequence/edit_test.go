package sequence

import (
	"math/rand/v2"
	"slices"
)

// An editing is one kind of edit; it reports whether there was anything to make it on.
type editing struct {
	weight int
	make   func(g *program) bool
}

// editings are what a person does to a program, roughly as often. Those that the tool refuses today are rare: they show
// that a refusal leaves no trace, and where one was allowed after all, that it was so with reason.
var editings = []editing{
	{14, tweak},
	{12, restate},
	{4, func(g *program) bool { return g.addSome(function) }},
	{3, func(g *program) bool { return g.addSome(method) }},
	{2, func(g *program) bool { return g.addSome(structure, container, behaviour) }},
	{3, func(g *program) bool { return g.addSome(maker, generic, hook) }},
	{3, func(g *program) bool { return g.addSome(constant, counted, state, table) }},
	{4, func(g *program) bool { return g.remove(function, generic, maker, method) }},
	{2, func(g *program) bool { return g.remove(constant, counted, state, table, hook) }},
	{1, func(g *program) bool { return g.remove(structure, container, behaviour) }},
	{5, rename},
	{5, signature},
	{2, pragma},
	{2, receiver},
	{4, recount},
	{3, retable},
	{1, fields},
	{1, interfaces},
	{2, tags},
	{1, recapture},
	{3, move},
}

// step makes from one to three edits, which the seed decides, and writes them down.
func (g *program) step(seed uint64) []string {
	g.Rand = rand.New(rand.NewPCG(seed, 1))
	g.log = nil
	total := 0
	for _, e := range editings {
		total += e.weight
	}
	for n := 1 + g.IntN(3); n > 0; {
		at := g.IntN(total)
		i := slices.IndexFunc(editings, func(e editing) bool { at -= e.weight; return at < 0 })
		if editings[i].make(g) {
			n--
		}
	}
	return g.log
}

// some is one of the declarations of some kinds.
func (g *program) some(kinds ...kind) *decl {
	list := g.all(kinds...)
	if len(list) == 0 {
		return nil
	}
	return pick(g, list)
}

// tweak changes numbers and operators; closures stay what they are.
func tweak(g *program) bool {
	d := g.some(function, method, generic, maker, hook)
	if d == nil {
		return false
	}
	list := literals(d.body)
	if len(list) == 0 {
		return false
	}
	for range 1 + g.IntN(2) {
		n := pick(g, list)
		switch n.op {
		case opAdd, opSub, opMul:
			n.op = pick(g, []op{opAdd, opSub, opMul})
		}
		n.n += 1 + g.IntN(20)
	}
	g.note("tweak", d)
	return true
}

// restate inserts, replaces, or takes away a statement.
func restate(g *program) bool {
	d := g.some(function, method, generic, maker, hook)
	if d == nil {
		return false
	}
	in := d
	if d.kind == hook {
		in = initialiser(d)
	}
	switch at := g.IntN(len(d.body) + 1); {
	case at == len(d.body) || len(d.body) < 5 && g.chance(2):
		d.body = slices.Insert(d.body, at, g.stmt(in))
		g.note("insert", d)
	case g.chance(2):
		d.body[at] = g.stmt(in)
		g.note("replace", d)
	default:
		d.body = slices.Delete(d.body, at, at+1)
		g.note("take away", d)
	}
	return true
}

// addSome adds a declaration of one of the kinds, and half of the time a use of it.
func (g *program) addSome(kinds ...kind) bool {
	p, k := pick(g, g.pkgs), pick(g, kinds)
	var recv *decl
	if k == method {
		list := p.all(structure, container)
		if len(list) == 0 {
			return false
		}
		recv = pick(g, list)
	}
	d := g.addTo(p, k, recv)
	if g.chance(2) {
		return true
	}
	user := g.some(function, maker)
	if user != nil && user.mayUse(d) && user.visible(d) {
		// What is made at random may use anything: a few attempts find the new one, or none does.
		for range 40 {
			s := g.stmt(user)
			found := false
			s.walk(func(n *node) { found = found || n.ref == d })
			if found {
				user.body = append(user.body, s)
				g.note("use", user)
				break
			}
		}
	}
	return true
}

// remove deletes a declaration; what used it uses numbers.
func (g *program) remove(kinds ...kind) bool {
	d := g.some(kinds...)
	if d == nil || d.root {
		return false
	}
	g.note("remove", d)
	d.gone = true
	for _, m := range d.methods() {
		m.gone = true
	}
	return true
}

// rename gives a declaration another name, exports it or the opposite.
func rename(g *program) bool {
	d := g.some(function, function, method, generic, maker, constant, counted, state, table, hook)
	if g.chance(4) {
		d = g.some(structure, container, behaviour)
	}
	if d == nil {
		return false
	}
	g.note("rename", d)
	if d.kind == method {
		d.life++ // values that bind it belong to the old name
	}
	switch c := d.name[0]; {
	case d.name != asked && g.chance(3) && c >= 'a':
		d.name = string(c-'a'+'A') + d.name[1:]
	case d.name != asked && g.chance(2) && c < 'a':
		d.name = string(c-'A'+'a') + d.name[1:]
	default:
		g.newName(d, d.name[0] < 'a')
	}
	g.note("to", d)
	return true
}

// signature changes what a function takes or returns, and so all of its callers.
func signature(g *program) bool {
	d := g.some(function)
	if d == nil {
		return false
	}
	params := slices.Clone(d.params)
	switch n := len(params); {
	case n == 0 || n < 4 && g.chance(3):
		params = slices.Insert(params, g.IntN(n+1), g.paramType())
	case g.chance(3):
		at := g.IntN(n)
		params = slices.Delete(params, at, at+1)
	case g.chance(2):
		params[g.IntN(n)] = g.paramType()
	default:
		d.result = g.resultType()
	}
	d.params = params
	d.life++
	g.note("signature", d)
	return true
}

func pragma(g *program) bool {
	d := g.some(function, method, generic, maker)
	if d == nil {
		return false
	}
	d.fixed = !d.fixed
	g.note("pragma", d)
	return true
}

func receiver(g *program) bool {
	d := g.some(method)
	if d == nil || d.root {
		return false
	}
	d.ptr = !d.ptr
	d.life++
	g.note("receiver", d)
	return true
}

// recount gives constants other values.
func recount(g *program) bool {
	d := g.some(constant, counted)
	if d == nil {
		return false
	}
	switch {
	case d.kind == counted && g.chance(3):
		d.extra = !d.extra
	case d.kind == counted && g.chance(2):
		d.fields++
	case d.kind == constant && g.chance(4):
		d.form = pick(g, []string{"", "int", "string"})
	default:
		d.vals[0].n += 1 + g.IntN(9)
	}
	g.note("constant", d)
	return true
}

// retable changes an initialiser, and rarely the variable's type.
func retable(g *program) bool {
	d := g.some(table)
	if d == nil {
		return false
	}
	switch {
	case g.chance(8):
		d.form = pick(g, []string{"int", "string", "[]int", "map[string]int"})
		d.life++
	case g.chance(2):
		d.vals = append(d.vals, g.expr(initialiser(d), 2))
	default:
		d.vals[g.IntN(len(d.vals))] = g.expr(initialiser(d), 2)
	}
	g.note("initialiser", d)
	return true
}

func fields(g *program) bool {
	d := g.some(structure)
	if d == nil {
		return false
	}
	if d.life++; g.chance(2) {
		d.fields++
	} else if list := g.usable(d, structure); len(list) > 0 {
		d.embed, d.embedPtr = pick(g, list), g.chance(3)
	}
	g.note("fields", d)
	return true
}

func interfaces(g *program) bool {
	d := g.some(behaviour)
	if d == nil {
		return false
	}
	d.extra = !d.extra
	g.note("interface", d)
	return true
}

func tags(g *program) bool {
	d := g.some(structure)
	if d == nil {
		return false
	}
	d.tag = d.tag + "t"
	g.note("tag", d)
	return true
}

// recapture makes a maker's closure another one.
func recapture(g *program) bool {
	d := g.some(maker)
	if d == nil {
		return false
	}
	d.form = pick(g, []string{"value", "count", "nested"})
	d.life++
	g.note("captures", d)
	return true
}

// move moves a declaration within its file, or to the other one.
func move(g *program) bool {
	p := pick(g, g.pkgs)
	if len(p.decls) == 0 {
		return false
	}
	i := g.IntN(len(p.decls))
	d := p.decls[i]
	if d.gone {
		return false
	}
	p.decls = slices.Delete(p.decls, i, i+1)
	p.decls = slices.Insert(p.decls, g.IntN(len(p.decls)+1), d)
	if g.chance(2) {
		d.file = 1 - d.file
	}
	g.note("move", d)
	return true
}
