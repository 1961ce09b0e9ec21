package analysis

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// function classifies an edit of a function or method that there was before.
func (k *classifier) function(c decl.Change) {
	old, new := c.Old.Func(), c.New.Func()
	before, after := k.oldFacts(k.name(c.Old)), k.newFacts(k.name(c.New))
	switch {
	case c.New.Kind == decl.Func && c.New.Name == "init":
		if onlyLiterals(c) && before != nil && after != nil {
			k.literals(c, before, after)
		} else {
			k.edit(edit.Init, c.New, "")
		}
		return
	case c.New.Name == "_":
		k.edit(edit.Blank, c.New, "")
		return
	case (old.Body == nil) != (new.Body == nil):
		k.edit(edit.BodyPresence, c.New, "")
		return
	}
	var added []string // instantiations
	spelled := c.Parts&(decl.TypeParams|decl.Signature) != 0
	if before == nil || after == nil {
		if spelled {
			k.signature(c)
			return
		}
	} else {
		if (spelled || c.Requalified) && before.Type != after.Type {
			k.signature(c)
			return
		}
		if c.Parts&decl.Body != 0 {
			if k.refusedBody(c.New, before, after) {
				return
			}
			var err error
			if added, err = k.newInstances(before, after); err != nil {
				k.err = err
				return
			}
		}
	}
	switch kind := k.bodyKind(c, before); {
	case len(added) > 0 && edit.Instantiation.Verdict() >= kind.Verdict():
		k.edit(edit.Instantiation, c.New, strings.Join(added, ", "))
	case c.Parts&decl.Names != 0:
		k.edit(edit.ParameterNames, c.New, "")
	case c.Parts&decl.Body != 0:
		k.edit(kind, c.New, "")
	case c.Parts&decl.Pragma != 0:
		k.edit(edit.Pragma, c.New, "")
	default:
		k.edit(edit.Respelled, c.New, "")
	}
}

// bodyKind returns the kind of an edit of a body that can be made live.
func (k *classifier) bodyKind(c decl.Change, before *facts.Decl) edit.Kind {
	switch {
	case c.New.Kind == decl.Func && c.New.Name == "main" && k.p.new.Package.Name == "main":
		return edit.Main
	case before != nil && before.Flags&facts.Endless != 0:
		return edit.Endless
	case c.Literals:
		return edit.ClosureBody
	case before != nil && before.Flags&facts.Generic != 0:
		return edit.GenericBody
	case c.New.Kind == decl.Method:
		return edit.MethodBody
	}
	return edit.FuncBody
}

// signature reports that callers would have to call in another way.
func (k *classifier) signature(c decl.Change) {
	old, new := c.Old.Func().Type, c.New.Func().Type
	switch {
	case c.Parts&decl.TypeParams != 0 && c.New.Kind == decl.Func:
		k.edit(edit.FuncTypeParams, c.New, "")
	case c.New.Kind == decl.Method:
		k.edit(edit.MethodType, c.New, "")
	case old.Params.NumFields() != new.Params.NumFields() || old.Results.NumFields() != new.Results.NumFields() || variadic(old) != variadic(new):
		k.edit(edit.Arity, c.New, "")
	default:
		k.edit(edit.Parameters, c.New, "")
	}
}

func variadic(t *ast.FuncType) bool {
	n := len(t.Params.List)
	if n == 0 {
		return false
	}
	_, ok := t.Params.List[n-1].Type.(*ast.Ellipsis)
	return ok
}

// refusedBody reports what in a changed body cannot be made live, and whether there is any such thing.
func (k *classifier) refusedBody(d *decl.Decl, before, after *facts.Decl) bool {
	refused := false
	if l, ok := k.locals[after.Name]; ok {
		k.edit(l.kind, d, l.name)
		delete(k.locals, after.Name)
		refused = true
	}
	if kind, detail := compareClosures(before.Closures, after.Closures); kind != edit.ClosureBody {
		k.edit(kind, d, detail)
		refused = true
	}
	return refused
}

// newInstances returns the instantiations that a new body makes and the program did not.
func (k *classifier) newInstances(before, after *facts.Decl) ([]string, error) {
	var fresh []string
	for _, n := range after.Instances {
		name := k.p.newFacts.Names[n]
		if m, ok := k.p.oldFacts.Number(name); ok && slices.ContainsFunc(k.p.oldFacts.Decls, func(d facts.Decl) bool { return slices.Contains(d.Instances, m) }) {
			continue
		}
		fresh = append(fresh, name)
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	// What depends on type parameters carries the name of its declaration, and nobody else can have made it.
	all, err := k.before.factsOf(k.ctx, importOrder(k.old, k.old.Packages()))
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		fresh = slices.DeleteFunc(fresh, func(name string) bool {
			n, ok := f.Number(name)
			return ok && slices.ContainsFunc(f.Decls, func(d facts.Decl) bool { return slices.Contains(d.Instances, n) })
		})
	}
	for i, name := range fresh {
		fresh[i] = name[strings.LastIndexByte(name, ' ')+1:]
	}
	return fresh, nil
}

// lasting leaves out the closures that nobody can keep.
func lasting(list []*facts.Closure) []*facts.Closure {
	return slices.DeleteFunc(slices.Clone(list), func(c *facts.Closure) bool { return c.Kind == facts.RangeBody })
}

// compareClosures decides whether the closures of a function's old body can go on with those of the new one. The names
// that the compiler gives them are matched: a closure that exists runs the new code of its name. So what has the same
// name must capture the same variables in the same way, and must not be another closure that changed its place. The
// kind is edit.ClosureBody if all is well.
//
// Bodies of range-over-func loops, and the calls of go and defer statements, are closures that live no longer than their
// statement: those that exist keep the code they began with.
func compareClosures(old, new []*facts.Closure) (edit.Kind, string) {
	old, new = lasting(old), lasting(new)
	byName := make(map[string]*facts.Closure, len(old))
	for _, o := range old {
		byName[o.Name] = o
	}
	common := 0
	for _, n := range new {
		if byName[n.Name] != nil {
			common++
		}
	}
	sameNumber := len(old) == len(new) && common == len(new)
	if kind, detail := moved(old, new, byName, sameNumber); kind != edit.ClosureBody {
		return kind, detail
	}
	for _, n := range new {
		o := byName[n.Name]
		if o == nil {
			continue
		}
		if kind, detail := compareClosure(o, n); kind != edit.ClosureBody {
			return kind, detail
		}
	}
	return edit.ClosureBody, ""
}

// moved finds closures that stand where another one stood. Where their number changed, each that has an old name must
// have the old text too: it cannot be told otherwise which one is new.
func moved(old, new []*facts.Closure, byName map[string]*facts.Closure, sameNumber bool) (edit.Kind, string) {
	type text struct {
		kind facts.ClosureKind
		sig  string
		body decl.Hash
	}
	textOf := func(c *facts.Closure) text { return text{c.Kind, c.Sig, c.Body} }
	differs := func(o, n *facts.Closure) bool { return o == nil || n == nil || textOf(o) != textOf(n) }
	was, is := make(map[text]bool), make(map[text]bool) // of those that are not what their name was
	isByName := make(map[string]*facts.Closure, len(new))
	for _, n := range new {
		isByName[n.Name] = n
		if differs(byName[n.Name], n) {
			is[textOf(n)] = true
		}
	}
	for _, o := range old {
		if differs(o, isByName[o.Name]) {
			was[textOf(o)] = true
		}
	}
	for _, n := range new {
		o := byName[n.Name]
		if o == nil || !differs(o, n) {
			continue
		}
		if was[textOf(n)] || is[textOf(o)] {
			return edit.ClosureSet, fmt.Sprintf("a %s stands in place of another one", n.Kind)
		}
		if !sameNumber && !sameSide(o, old, new) {
			return edit.ClosureSet, ""
		}
	}
	return edit.ClosureBody, ""
}

// sameSide reports whether as many closures are numbered with c as before: those of the same function, that have their
// numbers from the same counter.
func sameSide(c *facts.Closure, old, new []*facts.Closure) bool {
	count := func(list []*facts.Closure) int {
		n := 0
		for _, o := range list {
			if counter(o.Name) == counter(c.Name) {
				n++
			}
		}
		return n
	}
	return count(old) == count(new)
}

// counter returns a closure's name without its number.
func counter(name string) string { return strings.TrimRight(name, "0123456789") }

// captureName names a captured variable for people.
func captureName(c facts.Capture) string {
	switch n, isPlace := strings.CutPrefix(c.Name, "#"); {
	case !isPlace:
		return c.Name
	case n == "0":
		return "the receiver"
	default:
		return "parameter or result " + n
	}
}

// compareClosure compares two closures with the same name.
func compareClosure(old, new *facts.Closure) (edit.Kind, string) {
	if old.Kind != new.Kind || old.Kind == facts.Synthetic && old.Sig != new.Sig {
		return edit.ClosureSet, fmt.Sprintf("a %s stands in place of a %s", new.Kind, old.Kind)
	}
	if old.Sig != new.Sig {
		return edit.ClosureSignature, ""
	}
	for i := range max(len(old.Captures), len(new.Captures)) {
		switch {
		case i >= len(new.Captures):
			return edit.Captures, captureName(old.Captures[i]) + " is not captured any more"
		case i >= len(old.Captures):
			return edit.Captures, captureName(new.Captures[i]) + " is captured"
		}
		o, n := old.Captures[i], new.Captures[i]
		switch {
		case o.Name != n.Name || o.Type != n.Type:
			return edit.Captures, fmt.Sprintf("%s %s in place of %s %s", captureName(n), n.Type, captureName(o), o.Type)
		case o.Mode == facts.Unproven || n.Mode == facts.Unproven || strings.Contains(n.Type, types.Typ[types.Invalid].String()): // of C
			return edit.CapturesUnproven, captureName(n)
		case o.Mode != n.Mode:
			return edit.Captures, fmt.Sprintf("%s %s, it was %s", captureName(n), n.Mode, o.Mode)
		}
	}
	return edit.ClosureBody, ""
}

// A localEdit is what became of a type that is declared in a function.
type localEdit struct {
	kind edit.Kind
	name string
}

// localTypes finds types in functions that are not what the same number stood for before, by their functions.
func (k *classifier) localTypes() {
	k.locals = make(map[string]localEdit)
	if k.p.newFacts == nil || k.p.oldFacts == nil {
		return
	}
	old, new := k.p.oldFacts.Locals, k.p.newFacts.Locals
	for i := range min(len(old), len(new)) {
		switch {
		case old[i] == new[i]:
		case old[i].Owner == new[i].Owner && old[i].Name == new[i].Name:
			k.locals[new[i].Owner] = localEdit{edit.LocalType, new[i].Name}
		default:
			k.locals[new[i].Owner] = localEdit{edit.LocalTypeNumber, new[i].Name}
			return // all after it have other numbers too
		}
	}
}

// otherLocals reports those whose functions did not change.
func (k *classifier) otherLocals() {
	for _, d := range k.p.new.Decls() {
		if l, ok := k.locals[k.name(d)]; ok {
			k.edit(l.kind, d, l.name)
			delete(k.locals, k.name(d))
		}
	}
}
