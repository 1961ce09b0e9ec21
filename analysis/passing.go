package analysis

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"

	"github.com/limeade-go/limeade/analysis/facts"
)

// A handed value is what a function is given in an interface, as that parameter.
type handed struct {
	fn    string
	param int
}

// isPassed reports whether an interface value is nothing but an argument of functions that keep nothing, or compared.
func (s *search) isPassed(v ssa.Value) bool {
	return all(v.Referrers(), func(r ssa.Instruction) bool {
		switch r := r.(type) {
		case *ssa.Store:
			return r.Val == v && s.isVariadic(r.Addr)
		case *ssa.BinOp:
			return r.Op == token.EQL || r.Op == token.NEQ
		case *ssa.ChangeInterface:
			return s.isPassed(r)
		}
		return s.isGiven(r, v)
	})
}

// isVariadic reports whether an element is one of the variable arguments of a function that keeps nothing.
func (s *search) isVariadic(elem ssa.Value) bool {
	at, ok := elem.(*ssa.IndexAddr)
	if !ok {
		return false
	}
	list, ok := at.X.(*ssa.Alloc)
	return ok && all(list.Referrers(), func(r ssa.Instruction) bool {
		if slice, ok := r.(*ssa.Slice); ok {
			return all(slice.Referrers(), func(r ssa.Instruction) bool { return s.isGiven(r, slice) })
		}
		at, ok := r.(*ssa.IndexAddr)
		return ok && all(at.Referrers(), func(r ssa.Instruction) bool {
			store, ok := r.(*ssa.Store)
			return ok && store.Addr == at
		})
	})
}

// isGiven reports whether an instruction calls a function with a value that it does not keep.
func (s *search) isGiven(in ssa.Instruction, v ssa.Value) bool {
	if isArgument(in, v, keepsNothing) {
		return true
	}
	return isArgument(in, v, func(fn *ssa.Function) bool {
		call := in.(ssa.CallInstruction).Common()
		for i, arg := range call.Args {
			if arg == v && (call.Value != fn || !s.passesOn(fn, i, len(call.Args))) {
				return false
			}
		}
		return true
	})
}

// passesOn reports whether a function of the workspace does nothing with one of its parameters but to pass it to functions that
// keep nothing, and not to itself.
func (s *search) passesOn(fn *ssa.Function, param, params int) bool {
	obj, ok := fn.Object().(*types.Func)
	if !ok || s.body == nil || fn.Signature.TypeParams().Len() > 0 || len(fn.TypeArgs()) > 0 {
		return false
	}
	name, ok := facts.LinkName(obj)
	if !ok {
		return false
	}
	key := handed{name, param}
	if passes, ok := s.passing[key]; ok {
		return passes
	}
	s.passing[key] = false
	body := s.body(obj.Pkg().Path(), name)
	s.passing[key] = body != nil && len(body.Params) == params && s.isPassed(body.Params[param])
	return s.passing[key]
}

// bodyOf returns a function of the program that runs, nil if it cannot be looked into.
func (c *comparison) bodyOf(path, name string) *ssa.Function {
	p := c.old.Package(path)
	if p == nil || !p.Local || usesC(p) {
		return nil
	}
	checked, list, err := c.before.check(p, map[string]bool{name: true}, false)
	if err != nil || len(list) > 0 {
		return nil
	}
	pkg, err := build(checked)
	if err != nil {
		return nil
	}
	for _, fn := range functions(pkg) {
		if obj := fn.Object(); obj != nil && len(fn.Blocks) > 0 {
			if link, ok := facts.LinkName(obj); ok && link == name {
				return fn
			}
		}
	}
	return nil
}
