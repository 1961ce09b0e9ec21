package analysis

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// How much of two bodies must be the same for a function that came to be one that went, and how large they must be
// for this to say something: of smaller ones, all.
const (
	similarBodies = 0.75
	tellingBody   = 24 // tokens
)

// A rename is a declaration that went and one that came, which is the same but for its name.
type rename struct {
	old, new *decl.Decl
	alike    float64 // how much of them is: at most 1
}

// renames finds declarations that came and ones that went and are the same but for the name. Each is matched once,
// those that are most alike first; where two are equally alike to one, nothing can be told.
func (k *classifier) renames() {
	k.renamed = make(map[*decl.Decl]bool)
	var list []rename
	for _, came := range k.p.delta.Decls {
		if came.Old != nil || came.New.Name == "_" || came.New.Name == "init" {
			continue
		}
		for _, went := range k.p.delta.Decls {
			if went.New != nil || went.Old.Name == "_" || went.Old.Name == "init" {
				continue
			}
			if alike := k.alike(went.Old, came.New); alike >= similarBodies {
				list = append(list, rename{went.Old, came.New, alike})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b rename) int { return cmp.Compare(b.alike, a.alike) })
	matched := make(map[*decl.Decl]bool)
	for _, r := range list {
		if matched[r.old] || matched[r.new] {
			continue
		}
		matched[r.old], matched[r.new] = true, true
		if !slices.ContainsFunc(list, func(o rename) bool { return (o.old == r.old) != (o.new == r.new) && o.alike == r.alike }) {
			k.renamed[r.old], k.renamed[r.new] = true, true
			k.rename(r)
		}
	}
}

func (k *classifier) rename(r rename) {
	kind := edit.FuncRenamed
	switch {
	case r.new.Kind == decl.Type:
		kind = edit.TypeReplaced // see compare
		k.wentAs[k.name(r.new)] = k.name(r.old)
	case r.new.Kind == decl.Method:
		kind = edit.MethodRenamed
	case differInCase(r.old, r.new):
		kind = edit.Visibility
	}
	if kind.Verdict() != edit.Restart && r.new.Kind != decl.Const {
		k.names[k.name(r.new)] = k.name(r.old)
		k.sameCode[k.name(r.new)] = r.alike == 1
	}
	k.edit(kind, r.new, "it was "+r.old.Name)
}

// renamesOnly reports whether two initialisers differ in nothing but names of what was renamed.
func (k *classifier) renamesOnly(c decl.Change) bool {
	if len(k.names) == 0 || k.p.checked == nil {
		return false
	}
	name := func(x ast.Expr, now func(*ast.Ident) string) string {
		switch x := x.(type) {
		case *ast.Ident:
			return now(x)
		case *ast.SelectorExpr:
			if pkg, ok := x.X.(*ast.Ident); ok {
				return pkg.Name + "." + now(x.Sel)
			}
		}
		return ""
	}
	was := func(id *ast.Ident) string {
		obj := k.p.checked.Info.Uses[id]
		if obj == nil {
			return id.Name
		}
		if link, ok := facts.LinkName(obj); ok && k.names[link] != "" {
			old := k.names[link]
			return old[strings.LastIndexByte(old, '.')+1:]
		}
		return id.Name
	}
	before := c.Old.ValueMeaning(func(x ast.Expr) string { return name(x, func(id *ast.Ident) string { return id.Name }) })
	return before == c.New.ValueMeaning(func(x ast.Expr) string { return name(x, was) })
}

// differInCase reports whether a name was exported or unexported, and is the same otherwise.
func differInCase(old, new *decl.Decl) bool {
	return strings.EqualFold(new.Name, old.Name) && ast.IsExported(new.Name) != ast.IsExported(old.Name)
}

// alike says how much of two declarations is the same: 1 if all but the name is, 0 if they are different things.
func (k *classifier) alike(old, new *decl.Decl) float64 {
	if old.Kind != new.Kind || old.Recv != new.Recv || decl.Of(old.Parsed).ImportsC() || decl.Of(new.Parsed).ImportsC() {
		return 0
	}
	for _, p := range []decl.Part{decl.Receiver, decl.TypeParams, decl.Signature, decl.SpelledType, decl.Pragma} {
		if old.Part(p) != new.Part(p) && (old.Kind != decl.Type || p != decl.SpelledType) {
			return 0
		}
	}
	before, after := k.oldFacts(k.name(old)), k.newFacts(k.name(new))
	switch old.Kind {
	case decl.Var, decl.Const:
		// They are too alike to tell which one has become which, unless only the case of the name differs.
		if !differInCase(old, new) || old.Part(decl.Value) != new.Part(decl.Value) || before == nil || after == nil || before.Type != after.Type {
			return 0
		}
		return 1
	case decl.Type:
		return k.alikeTypes(old, new)
	}
	if old.IsGeneric() || old.Func().Body == nil || new.Func().Body == nil || before == nil || after == nil || before.Type != after.Type {
		return 0
	}
	if len(alignClosures(before.Closures, after.Closures).lost) > 0 {
		return 0
	}
	a, b := tokens(old.Func()), tokens(new.Func())
	if slices.Equal(a, b) {
		return 1
	}
	if min(len(a), len(b)) < tellingBody {
		return 0
	}
	return overlap(a, b)
}

// alikeTypes says how much of two types is the same. What they are declared as has to be: but that says little, as many are
// declared alike. So does what else knows them by name: their methods, and what else of the changed packages has the name in
// it, and differs in nothing but that.
func (k *classifier) alikeTypes(old, new *decl.Decl) float64 {
	renamed := func(name string) bool { return k.came(name) || k.went(name) }
	declared := func(d *decl.Decl) decl.Hash { return decl.HashNameless(d.Node.(*ast.TypeSpec).Type, false, renamed) }
	if old.IsAlias() || new.IsAlias() || declared(old) != declared(new) {
		return 0
	}
	same, all := 0.0, 0.0
	for _, p := range k.changed {
		if p.delta == nil {
			continue
		}
		now := make(map[decl.ID]*decl.Decl)
		for _, d := range p.new.Decls() {
			now[d.ID] = d
		}
		for _, was := range p.old.Decls() {
			id := was.ID
			own := p == k.p && id.Recv == old.Name
			if own {
				id.Recv = new.Name
			}
			is := now[id]
			if was == old || is == nil && !own || !mentions(was.Node, old.Name) || is != nil && decl.HashNode(was.Node) == decl.HashNode(is.Node) {
				continue
			}
			equal := func(nameless func(string) bool) bool {
				return is != nil && decl.HashNameless(was.Node, p != k.p, nameless) == decl.HashNameless(is.Node, p != k.p, nameless)
			}
			switch all++; {
			case equal(func(name string) bool { return name == old.Name || name == new.Name }):
				same++
			case equal(renamed):
				same += 0.5
			}
		}
	}
	switch {
	case all == 0:
		return similarBodies
	case same == 0:
		return 0
	}
	return similarBodies + (1-similarBodies)*same/all
}

// mentions reports whether a tree has a name in it.
func mentions(n ast.Node, name string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

// tokens returns the words of a function's body, with its own name taken out.
func tokens(fn *ast.FuncDecl) []string {
	var list []string
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			name := n.Name
			if name == fn.Name.Name {
				name = "·"
			}
			list = append(list, name)
		case *ast.BasicLit:
			list = append(list, n.Value)
		case *ast.BinaryExpr:
			list = append(list, n.Op.String())
		case *ast.UnaryExpr:
			list = append(list, n.Op.String())
		case *ast.AssignStmt:
			list = append(list, n.Tok.String())
		case *ast.IncDecStmt:
			list = append(list, n.Tok.String())
		case *ast.BranchStmt:
			list = append(list, n.Tok.String())
		case *ast.RangeStmt:
			list = append(list, token.RANGE.String(), n.Tok.String())
		case nil:
		default:
			list = append(list, fmt.Sprintf("%T", n))
		}
		return true
	})
	return list
}

// overlap returns how much of two texts is the same: the share of pairs of neighbours that both have.
func overlap(a, b []string) float64 {
	count := make(map[[2]string]int)
	for i := range len(a) - 1 {
		count[[2]string{a[i], a[i+1]}]++
	}
	both := 0
	for i := range len(b) - 1 {
		if p := [2]string{b[i], b[i+1]}; count[p] > 0 {
			count[p]--
			both++
		}
	}
	return 2 * float64(both) / float64(len(a)+len(b)-2)
}

// renamedFrom returns the old declaration that is the same as a new one but for its name.
func (c *comparison) renamedFrom(p *changedPackage, came *decl.Decl) *decl.Decl {
	old := c.names[facts.DeclName(p.new.Package, came)]
	for _, went := range p.delta.Decls {
		if went.New == nil && facts.DeclName(p.old.Package, went.Old) == old {
			return went.Old
		}
	}
	return nil
}
