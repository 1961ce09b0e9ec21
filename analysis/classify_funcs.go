package analysis

import (
	"go/ast"
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
	said := false
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
			said = k.bodyEdits(c, before, after)
			var err error
			if added, err = k.newInstances(before, after); err != nil {
				k.err = err
				return
			}
		}
	}
	switch kind := k.bodyKind(c, before); {
	case said && kind.Verdict() == edit.Hot:
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

// bodyEdits reports what there is to know of a changed body beyond that it changed, and whether there is any such thing.
func (k *classifier) bodyEdits(c decl.Change, before, after *facts.Decl) bool {
	said := len(k.report.Edits)
	alignClosures(before.Closures, after.Closures).edits(c.Old, c.New, func(kind edit.Kind, detail string) { k.edit(kind, c.New, detail) })
	return len(k.report.Edits) > said
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
	all, err := k.before.factsOf(k.ctx, k.old.InOrder())
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
