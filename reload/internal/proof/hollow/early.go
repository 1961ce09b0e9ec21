package hollow

import (
	"go/ast"
	"go/token"
	"go/types"
)

// early finds the functions that may run before main.main: whatever the package-level initialisers and the init
// functions may call, directly or not. It errs on the side of too many.
//
// A function that is only mentioned there, as in a table of functions, counts as called only when something in what
// runs early calls a function value, or takes the mention as an argument. That is tried first without looking into
// function literals that are only stored; a call of a function value makes it start again, with every mention counted.
func (p *loaded) early() map[*types.Func]bool {
	r := &reach{p: p, seen: map[*types.Func]bool{}}
	r.run()
	if r.dynamic {
		r = &reach{p: p, seen: map[*types.Func]bool{}, mentions: true}
		r.run()
	}
	return r.seen
}

// reach is one walk over what runs early.
type reach struct {
	p        *loaded
	seen     map[*types.Func]bool
	queue    []*ast.FuncDecl
	mentions bool // a mention counts as a call
	dynamic  bool // a function value was called
}

func (r *reach) run() {
	for _, file := range r.p.files {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" && d.Body != nil {
					r.walk(d.Body, r.mentions)
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, s := range d.Specs {
					for _, v := range s.(*ast.ValueSpec).Values {
						r.walk(v, r.mentions)
					}
				}
			}
		}
	}
	for len(r.queue) > 0 {
		d := r.queue[0]
		r.queue = r.queue[1:]
		if d.Body != nil {
			r.walk(d.Body, r.mentions)
		}
	}
}

// add puts a function of this package into the set.
func (r *reach) add(fn *types.Func) {
	fn = fn.Origin()
	if fn.Pkg() != r.p.pkg || r.seen[fn] {
		return
	}
	if sig := fn.Signature(); sig.Recv() != nil && types.IsInterface(sig.Recv().Type()) {
		r.addByName(fn.Name())
		return
	}
	r.seen[fn] = true
	if d := r.p.byObj[fn]; d != nil {
		r.queue = append(r.queue, d)
	}
}

// addByName adds every method of that name: what an interface's method may stand for.
func (r *reach) addByName(name string) {
	for fn, d := range r.p.byObj {
		if d.Recv != nil && fn.Name() == name {
			r.add(fn)
		}
	}
}

// walk follows the calls in n. With all set, a mention of a function is as good as a call of it.
func (r *reach) walk(n ast.Node, all bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			r.call(n, all)
			return false
		case *ast.RangeStmt:
			if tv, ok := r.p.info.Types[n.X]; ok {
				if _, ok := tv.Type.Underlying().(*types.Signature); ok {
					r.dynamic = true
				}
			}
		case *ast.FuncLit:
			if !all {
				return false
			}
		case *ast.Ident:
			if fn, ok := r.p.info.Uses[n].(*types.Func); ok && all {
				r.mention(fn)
			}
		}
		return true
	})
}

// mention adds a function that is named but perhaps not called.
func (r *reach) mention(fn *types.Func) {
	if fn.Pkg() == r.p.pkg {
		r.add(fn)
	} else if sig := fn.Signature(); sig.Recv() != nil && types.IsInterface(sig.Recv().Type()) {
		r.addByName(fn.Name())
	}
}

// call follows one call and what its operands call.
func (r *reach) call(c *ast.CallExpr, all bool) {
	info := r.p.info
	fun := ast.Unparen(c.Fun)
	for {
		switch x := fun.(type) {
		case *ast.IndexExpr:
			if tv := info.Types[x.X]; tv.IsValue() && isFunc(tv.Type) {
				fun = ast.Unparen(x.X) // an instance
				continue
			}
		case *ast.IndexListExpr:
			fun = ast.Unparen(x.X)
			continue
		}
		break
	}
	operands := all
	switch tv := info.Types[fun]; {
	case tv.IsType(), tv.IsBuiltin():
	default:
		var fn *types.Func
		switch x := fun.(type) {
		case *ast.Ident:
			fn, _ = info.Uses[x].(*types.Func)
		case *ast.SelectorExpr:
			fn, _ = info.Uses[x.Sel].(*types.Func)
			r.walk(x.X, all)
		case *ast.FuncLit:
			r.walk(x.Body, all)
		default:
			r.walk(x, all)
		}
		switch {
		case fn != nil:
			r.mention(fn)
			if fn.Pkg() != r.p.pkg {
				r.foreign(c, fun)
			}
		default:
			if _, ok := fun.(*ast.FuncLit); !ok {
				r.dynamic = true
			}
		}
		operands = true // what is handed over may be called
	}
	for _, a := range c.Args {
		r.walk(a, operands)
	}
}

// foreign follows what a function of another package may call: the methods of what it is given.
func (r *reach) foreign(c *ast.CallExpr, fun ast.Expr) {
	operands := c.Args
	if sel, ok := fun.(*ast.SelectorExpr); ok {
		operands = append([]ast.Expr{sel.X}, operands...)
	}
	for _, a := range operands {
		if tv := r.p.info.Types[a]; tv.IsValue() {
			r.methodsWithin(tv.Type, map[types.Type]bool{})
		}
	}
}

// methodsWithin adds the methods of every type that t is made of; behind an interface there may be any type of the
// package.
func (r *reach) methodsWithin(t types.Type, seen map[types.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		for i := range t.NumMethods() {
			r.add(t.Method(i))
		}
		r.methodsWithin(t.Underlying(), seen)
	case *types.Pointer:
		r.methodsWithin(t.Elem(), seen)
	case *types.Slice:
		r.methodsWithin(t.Elem(), seen)
	case *types.Array:
		r.methodsWithin(t.Elem(), seen)
	case *types.Chan:
		r.methodsWithin(t.Elem(), seen)
	case *types.Map:
		r.methodsWithin(t.Key(), seen)
		r.methodsWithin(t.Elem(), seen)
	case *types.Struct:
		for i := range t.NumFields() {
			r.methodsWithin(t.Field(i).Type(), seen)
		}
	case *types.Interface, *types.TypeParam:
		for fn, d := range r.p.byObj {
			if d.Recv != nil {
				r.add(fn)
			}
		}
	}
}

// isFunc reports whether t is a function type.
func isFunc(t types.Type) bool {
	_, ok := t.Underlying().(*types.Signature)
	return ok
}
