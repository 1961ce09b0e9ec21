package facts

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/limeade-go/limeade/analysis/decl"
)

// Whether a package variable can change after it was initialised, or anybody can have a part of it, follows from all the
// places where it is named. Each is one of three: it reads the variable; it exposes it, because something is written there,
// or an address or a pointer goes where it is not followed; or it gives a part of it to a local variable, to be followed there.

// A use is the outcome of following one mention of a variable up to where its value goes.
type use struct {
	of      *types.Var
	exposes bool
	to      []*types.Var // that hold a part of it from now on
}

// variables collects what a declaration does with package variables, and whether it can be run again.
func (c *collector) variables(root ast.Node) {
	f := follower{collector: c, results: make(map[*types.Var]bool)}
	var stack []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		switch n := n.(type) {
		case *ast.FuncType:
			f.noteResults(n)
		case *ast.Ident:
			if v, ok := c.Info.Uses[n].(*types.Var); ok && !v.IsField() {
				f.uses = append(f.uses, f.follow(v, stack))
			}
		}
		if !c.repeats(n) {
			c.d.Flags |= Unrepeatable
		}
		return true
	})
	f.spread()
}

// A follower follows variables through one declaration.
type follower struct {
	*collector
	uses    []use
	results map[*types.Var]bool // named results: what they hold is returned
}

func (f *follower) noteResults(t *ast.FuncType) {
	if t.Results == nil {
		return
	}
	for _, field := range t.Results.List {
		for _, name := range field.Names {
			if v, ok := f.Info.Defs[name].(*types.Var); ok {
				f.results[v] = true
			}
		}
	}
}

// spread notes the package variables that are exposed, be it through a local variable, and those whose parts the
// declared variable holds.
func (f *follower) spread() {
	exposed := make(map[*types.Var]bool)
	for again := true; again; {
		again = false
		for _, u := range f.uses {
			exposes := u.exposes
			for _, to := range u.to {
				exposes = exposes || exposed[to] || f.results[to]
			}
			if exposes && !exposed[u.of] {
				exposed[u.of], again = true, true
			}
		}
	}
	for v := range exposed {
		if name, ok := f.packageVar(v); ok {
			f.lists[6][f.number(name)] = true
		}
	}
	// What is given to a local variable may come to a package variable through it.
	from := make(map[*types.Var]bool) // that hold parts of the package variable at hand
	for _, u := range f.uses {
		name, ok := f.packageVar(u.of)
		if !ok || len(u.to) == 0 {
			continue
		}
		clear(from)
		from[u.of] = true
		for again := true; again; {
			again = false
			for _, u := range f.uses {
				for _, to := range u.to {
					if from[u.of] && !from[to] {
						from[to], again = true, true
					}
				}
			}
		}
		for to := range from {
			if _, isPackage := f.packageVar(to); isPackage && to != u.of {
				f.lists[7][f.number(name)] = true
			}
		}
	}
}

// packageVar returns the link name of a package variable that references are kept of.
func (f *follower) packageVar(v *types.Var) (string, bool) {
	if v.Pkg() == nil || !f.Keep(v.Pkg().Path()) {
		return "", false
	}
	return LinkName(v)
}

// follow follows a mention of v, the last of stack, up the tree: each step is to an expression that is a part of v, refers
// to one, or holds one.
func (f *follower) follow(v *types.Var, stack []ast.Node) use {
	u := use{of: v}
	_, isPackage := LinkName(v)
	e := stack[len(stack)-1].(ast.Expr)
	var (
		deref    bool // a pointer was followed: what is written there is not v itself
		asserted bool // the value was in an interface
		later    bool // e is an iterator over it
	)
	t := f.Info.TypeOf(e)
	value := func() use { // it goes where it is not followed
		u.exposes = !f.bare(t)
		return u
	}
	written := func() use {
		u.exposes = isPackage || deref
		return u
	}
	exposed := func() use { u.exposes = true; return u }
	for i := len(stack) - 2; i >= 0; i-- {
		switch p := stack[i].(type) {
		case *ast.ParenExpr:
			e = p
			continue
		case *ast.SelectorExpr:
			sel := f.Info.Selections[p]
			switch {
			case p.Sel == e: // of a package
			case sel == nil:
				return exposed()
			case sel.Kind() == types.FieldVal:
				deref = deref || sel.Indirect()
			default:
				fn := sel.Obj().(*types.Func)
				if onlyReads(fn) {
					return u
				}
				recv := fn.Signature().Recv()
				u.exposes = recv == nil || types.IsInterface(recv.Type()) || !f.bare(recv.Type())
				return u
			}
			e = p
		case *ast.IndexExpr:
			if p.X != e {
				return value()
			}
			switch t.Underlying().(type) {
			case *types.Map, *types.Slice, *types.Pointer:
				deref = true
			case *types.Array, *types.Basic:
			default:
				return exposed()
			}
			e = p
		case *ast.SliceExpr:
			if p.X != e {
				return u
			}
			deref = true
			e = p
		case *ast.StarExpr:
			deref = true
			e = p
		case *ast.UnaryExpr:
			_, isLit := ast.Unparen(e).(*ast.CompositeLit)
			switch {
			case p.Op == token.AND && isLit:
				e = p
			case p.Op == token.AND, p.Op == token.ARROW:
				return exposed()
			default:
				return u
			}
		case *ast.BinaryExpr:
			return u
		case *ast.KeyValueExpr:
			if f.bare(t) {
				return u
			}
			e = nil // the literal is next
			continue
		case *ast.CompositeLit:
			if f.bare(t) {
				return u
			}
			e, deref, later = p, true, false
		case *ast.TypeAssertExpr:
			if p.Type == nil {
				return value()
			}
			asserted = true
			e = p
		case *ast.CallExpr:
			if ast.Unparen(p.Fun) == ast.Unparen(e) {
				u.exposes = asserted // nobody knows where that function is from
				return u
			}
			switch f.argument(p, e, t, later) {
			case argRead:
				return u
			case argExposed:
				return exposed()
			case argLater:
				later = true
			}
			e = p
		case *ast.AssignStmt:
			return f.assigned(u, p, e, t, written, value)
		case *ast.ValueSpec:
			for k, x := range p.Values {
				if x == e && !f.bare(t) {
					u.to = f.holder(&u, p.Names[min(k, len(p.Names)-1)])
				}
			}
			return u
		case *ast.IncDecStmt:
			return written()
		case *ast.RangeStmt:
			switch {
			case p.X != e:
				return written()
			case later:
			default:
				switch f.rangesOver(t).(type) {
				case *types.Map, *types.Slice, *types.Array, *types.Basic:
				default:
					return exposed()
				}
			}
			for _, x := range []ast.Expr{p.Key, p.Value} {
				if x != nil && !f.bare(f.Info.TypeOf(x)) {
					u.to = append(u.to, f.holder(&u, x)...)
				}
			}
			return u
		case *ast.ReturnStmt:
			return value()
		case *ast.SendStmt:
			if p.Chan == e {
				return exposed()
			}
			return value()
		case *ast.SwitchStmt, *ast.CaseClause, *ast.IfStmt, *ast.ForStmt:
			return u
		default:
			return exposed()
		}
		if x := f.Info.TypeOf(e); x != nil {
			t = x
		}
		if tuple, ok := t.(*types.Tuple); ok && tuple.Len() > 0 { // v, ok := m[k]
			t = tuple.At(0).Type()
		}
	}
	return u // the value of a package variable: ValueSpec is not part of the tree that is walked
}

// rangesOver returns what a range statement over a value of type t goes through.
func (f *follower) rangesOver(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem().Underlying()
	}
	return t.Underlying()
}

// assigned follows e to the other side of an assignment.
func (f *follower) assigned(u use, s *ast.AssignStmt, e ast.Expr, t types.Type, written, value func() use) use {
	for _, x := range s.Lhs {
		if x == e {
			return written()
		}
	}
	if f.bare(t) || s.Tok != token.ASSIGN && s.Tok != token.DEFINE {
		return u
	}
	for k, x := range s.Rhs {
		if x == e && k < len(s.Lhs) {
			u.to = f.holder(&u, s.Lhs[k])
			return u
		}
	}
	return value()
}

// holder returns the local variable that x stands for. If it stands for anything else, what it is given is exposed.
func (f *follower) holder(u *use, x ast.Expr) []*types.Var {
	id, ok := ast.Unparen(x).(*ast.Ident)
	if ok && id.Name == "_" {
		return nil
	}
	if ok {
		obj := f.Info.Defs[id]
		if obj == nil {
			obj = f.Info.Uses[id]
		}
		if v, ok := obj.(*types.Var); ok && !v.IsField() {
			if _, isPackage := LinkName(v); !isPackage || f.Info.Defs[id] != nil {
				return []*types.Var{v}
			}
		}
	}
	u.exposes = true
	return nil
}

// What becomes of an argument.
type argument uint8

const (
	argRead    argument = iota
	argExposed          // it may be written to or kept
	argPart             // it is part of the result
	argLater            // the result is an iterator that reads it
)

// argument says what a call does with its argument e, of type t; later says that e is an iterator.
func (f *follower) argument(call *ast.CallExpr, e ast.Expr, t types.Type, later bool) argument {
	whether := func(read bool, otherwise argument) argument {
		if read {
			return argRead
		}
		return otherwise
	}
	if f.Info.Types[call.Fun].IsType() {
		return whether(f.bare(t) || f.bare(f.Info.TypeOf(call)), argPart)
	}
	at := -1
	for i, a := range call.Args {
		if a == e {
			at = i
		}
	}
	fun := ast.Unparen(call.Fun)
	if x, ok := fun.(*ast.IndexExpr); ok {
		fun = ast.Unparen(x.X)
	}
	id, _ := fun.(*ast.Ident)
	if sel, ok := fun.(*ast.SelectorExpr); ok {
		id = sel.Sel
	}
	if id == nil {
		return whether(f.bare(t), argExposed)
	}
	switch obj := f.Info.Uses[id].(type) {
	case *types.Builtin:
		switch obj.Name() {
		case "len", "cap", "print", "println":
			return argRead
		case "copy":
			return whether(f.bare(t) || at == 1 && f.flat(t), argExposed)
		case "append":
			return whether(f.bare(t) || call.Ellipsis.IsValid() && at == 1 && f.flat(t), map[bool]argument{true: argExposed, false: argPart}[at == 0])
		case "delete":
			return whether(at == 1, argExposed)
		case "new":
			return whether(f.bare(t), argPart)
		}
	case *types.Func:
		if obj.Pkg() == nil || f.Keep(obj.Pkg().Path()) {
			break
		}
		switch readers[obj.Pkg().Path()][obj.Name()] {
		case readsFlat:
			return whether(f.bare(t) || later || f.flat(t), argExposed)
		case readsLater:
			if f.flat(t) {
				return argLater
			}
			return argPart // not followed further than to where it is called
		case readsDeep:
			return whether(f.bare(t) || f.plain(t), argExposed)
		case readsAll:
			return argRead
		}
	}
	return whether(f.bare(t), argExposed)
}

// bare reports whether a value of type t is no more than its content: nobody can write through it to what others see.
func (c *collector) bare(t types.Type) bool {
	if t == nil {
		return false
	}
	if is, ok := c.bareTypes[t]; ok {
		return is
	}
	c.bareTypes[t] = false
	is := false
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil && sealed[named.Obj().Pkg().Path()+"."+named.Obj().Name()] {
		is = true
	} else if _, ok := types.Unalias(t).(*types.TypeParam); !ok {
		switch u := t.Underlying().(type) {
		case *types.Basic:
			is = u.Kind() != types.UnsafePointer
		case *types.Array:
			is = c.bare(u.Elem())
		case *types.Struct:
			is = true
			for v := range u.Fields() {
				is = is && c.bare(v.Type())
			}
		}
	}
	c.bareTypes[t] = is
	return is
}

// flat reports whether the elements of t are bare.
func (c *collector) flat(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Slice:
		return c.bare(u.Elem())
	case *types.Array:
		return c.bare(u.Elem())
	case *types.Map:
		return c.bare(u.Key()) && c.bare(u.Elem())
	}
	return false
}

// plain reports whether nothing that can be reached from a value of type t has methods.
func (c *collector) plain(t types.Type) bool {
	return c.madeOf(t, nil, func(t types.Type) bool {
		named, ok := types.Unalias(t).(*types.Named)
		_, isPointer := t.Underlying().(*types.Pointer)
		return !isPointer && (!ok || named.NumMethods() == 0) && !embeds(t.Underlying())
	})
}

// madeOf reports whether a value of type t is made of data alone, through slices, arrays, maps, pointers and structs, all of
// types that are bare or fit. within are the types around t.
func (c *collector) madeOf(t types.Type, within []types.Type, fits func(types.Type) bool) bool {
	if c.bare(t) {
		return true
	}
	for _, w := range within {
		if types.Identical(w, t) {
			return true
		}
	}
	if !fits(t) {
		return false
	}
	within = append(within, t)
	switch u := t.Underlying().(type) {
	case *types.Slice:
		return c.madeOf(u.Elem(), within, fits)
	case *types.Array:
		return c.madeOf(u.Elem(), within, fits)
	case *types.Pointer:
		return c.madeOf(u.Elem(), within, fits)
	case *types.Map:
		return c.madeOf(u.Key(), within, fits) && c.madeOf(u.Elem(), within, fits)
	case *types.Struct:
		for v := range u.Fields() {
			if !c.madeOf(v.Type(), within, fits) {
				return false
			}
		}
		return true
	}
	return false
}

// holdsFuncs reports whether function values may be reached from a value of type t.
func (c *collector) holdsFuncs(t types.Type, seen map[types.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	if named, ok := types.Unalias(t).(*types.Named); ok && opaque(named) {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Signature:
		return true
	case *types.Slice:
		return c.holdsFuncs(u.Elem(), seen)
	case *types.Array:
		return c.holdsFuncs(u.Elem(), seen)
	case *types.Pointer:
		return c.holdsFuncs(u.Elem(), seen)
	case *types.Map:
		return c.holdsFuncs(u.Key(), seen) || c.holdsFuncs(u.Elem(), seen)
	case *types.Struct:
		for v := range u.Fields() {
			if c.holdsFuncs(v.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// calls reports whether anything is called when x is evaluated.
func (c *collector) calls(x ast.Expr) bool {
	found := false
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			found = found || !c.Info.Types[n.Fun].IsType() && !c.Info.Types[n.Fun].IsBuiltin()
		}
		return !found
	})
	return found
}

// repeats reports whether what n does by itself gives the same when it is done again, and does nothing that anybody sees but
// to package variables, which is looked at elsewhere.
func (c *collector) repeats(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt:
		return false
	case *ast.UnaryExpr:
		return n.Op != token.ARROW
	case *ast.RangeStmt:
		t := c.Info.TypeOf(n.X)
		if t == nil {
			return false
		}
		switch t.Underlying().(type) {
		case *types.Chan:
			return false
		case *types.Signature: // the function's own call is looked at
			_, isCall := ast.Unparen(n.X).(*ast.CallExpr)
			return isCall
		}
	case *ast.CallExpr:
		return c.callRepeats(n)
	case *ast.Ident:
		switch obj := c.Info.Uses[n].(type) {
		case *types.Func:
			if obj.Pkg() != nil && c.Keep(obj.Pkg().Path()) {
				break
			}
			if obj.Pkg() != nil && callers[obj.Pkg().Path()] {
				c.d.Flags |= CallsBack
			}
			return isRepeatable(obj)
		case *types.Var:
			return obj.IsField() || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() || c.Keep(obj.Pkg().Path()) || constantVars[obj.Pkg().Path()]
		case *types.PkgName:
			return obj.Imported().Path() != "unsafe" && obj.Imported().Path() != "C"
		case *types.Builtin:
			return obj.Name() != "print" && obj.Name() != "println" && obj.Name() != "close"
		}
	}
	return true
}

// callRepeats reports whether it is known which function a call calls.
func (c *collector) callRepeats(n *ast.CallExpr) bool {
	if tv := c.Info.Types[n.Fun]; tv.IsType() || tv.IsBuiltin() {
		return true
	}
	fun := ast.Unparen(n.Fun)
	switch x := fun.(type) {
	case *ast.IndexExpr:
		fun = ast.Unparen(x.X)
	case *ast.IndexListExpr:
		fun = ast.Unparen(x.X)
	}
	switch x := fun.(type) {
	case *ast.FuncLit:
		return true
	case *ast.Ident:
		_, ok := c.Info.Uses[x].(*types.Func)
		return ok
	case *ast.SelectorExpr:
		fn, ok := c.Info.Uses[x.Sel].(*types.Func)
		if !ok {
			return false
		}
		recv := fn.Signature().Recv()
		return recv == nil || !types.IsInterface(recv.Type())
	}
	return false
}

// taken notes the functions that x uses as values.
func (c *collector) taken(id *ast.Ident, called bool) {
	fn, ok := c.Info.Uses[id].(*types.Func)
	if !ok || called || fn.Pkg() == nil || !c.Keep(fn.Pkg().Path()) {
		return
	}
	if name, ok := LinkName(fn); ok {
		c.lists[8][c.number(name)] = true
	}
}

// again notes of a variable's initialiser what keeps it from being run again: besides what it does itself, that functions
// are made there which may have state of their own.
func (c *collector) again(d *decl.Decl, obj types.Object) {
	x := d.Value()
	if x == nil || !c.calls(x) {
		return
	}
	c.d.Flags |= Calls
	called, handed := c.runsLiteral(x, obj)
	if called || handed {
		c.d.Flags |= RunsLiteral
	}
	if handed {
		c.d.Flags |= HandsLiteral
	}
	if obj == nil || c.holdsFuncs(obj.Type(), make(map[types.Type]bool)) {
		c.d.Flags |= Unrepeatable
	}
}

// runsLiteral reports whether function literals are called when x is evaluated: where they stand, or because they are handed
// on and the variable cannot hold them.
func (c *collector) runsLiteral(x ast.Expr, obj types.Object) (called, handed bool) {
	has := false
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			has = true
			return false
		case *ast.CallExpr:
			_, isLit := ast.Unparen(n.Fun).(*ast.FuncLit)
			called = called || isLit
		}
		return true
	})
	return called, has && obj != nil && c.isData(obj.Type())
}

// isData reports whether nothing that can be reached from a value of type t can be called.
func (c *collector) isData(t types.Type) bool {
	return c.madeOf(t, nil, func(t types.Type) bool {
		named, ok := types.Unalias(t).(*types.Named)
		return !ok || !opaque(named)
	})
}
