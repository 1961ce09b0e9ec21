package facts

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"go/version"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
)

// ClosureKind says what a closure is made for.
type ClosureKind uint8

// The kinds of closures. There are two more that nobody has to know of: the compiler wraps the calls of go and defer
// statements, but those wrappers have numbers of their own, and live no longer than their statement.
const (
	Literal   ClosureKind = iota // a function literal
	RangeBody                    // the body of a range-over-func loop; it lives no longer than the loop
	Synthetic                    // a method or function value that the compiler makes a literal of
)

var closureKindNames = [...]string{"function literal", "range-over-func body", "method value"}

func (k ClosureKind) String() string { return closureKindNames[k] }

// Closure is a function that the compiler makes inside of a declared one.
type Closure struct {
	Name     string // link name after that of the declared function, as ".func1.2"
	Kind     ClosureKind
	Literal  int       // its number among the function literals of the source, dead code and all, from 1; 0 for others
	Sig      string    // parameters and results
	Captures []Capture // in the order in which they lie in the closure
	Body     decl.Hash // with what its names of constants and types stand for
	Brief    bool      // only called, see briefLiterals: nobody can keep it
	Deep     bool      // in another one, or in the body of a range-over-func loop
	Words    []uint32  // some of what is written in Body, as hashes: how alike two bodies are
}

// maxWords bounds Closure.Words: those with the smallest hashes stand for all.
const maxWords = 32

// Parent returns the name of the closure that one of a name stands in; "" for that of the declared function.
func Parent(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '.' || name[i] == '-' {
			return name[:i]
		}
	}
	return ""
}

// Alike says how much of two bodies is the same: from 0, nothing, to 1.
func (c *Closure) Alike(d *Closure) float64 {
	both := 0
	for _, w := range c.Words {
		if slices.Contains(d.Words, w) {
			both++
		}
	}
	if all := len(c.Words) + len(d.Words) - both; all > 0 {
		return float64(both) / float64(all)
	}
	return 1
}

// Capture is one captured variable.
type Capture struct {
	Name string // of a local; receiver, parameters and results have their place instead, as "#1"
	Type string
	Mode Mode
}

// Mode says how a variable is captured.
type Mode uint8

// The modes of capture. cmd/compile/internal/escape (escape.go, flowClosure; Go 1.25 to 1.27) captures by value what is
// at most 128 bytes, never has its address taken, and is not assigned to after its first capture.
const (
	ByValue Mode = iota
	ByReference
	Unproven // depends on which closures are inlined
)

var modeNames = [...]string{"by value", "by reference", "by value or by reference"}

func (m Mode) String() string { return modeNames[m] }

// A walker follows one function in the order in which cmd/compile writes it (noder/writer.go): the order in which
// closures are numbered and variables are captured. Code that the writer leaves out is left out.
type walker struct {
	info     *types.Info
	sizes    types.Sizes
	release  int  // minor version of the toolchain: 26 for Go 1.26
	perLoop  bool // loop variables are made anew in each iteration: the file's language is Go 1.22 or newer
	fn       *context
	clock    int // numbers events
	closures []*Closure
	captured [][]*types.Var // by closure
	literals map[*ast.FuncLit]int
	brief    map[*ast.FuncLit]bool // see briefLiterals
	vars     map[*types.Var]*variable
}

// A context is one function body being walked.
type context struct {
	outer    *context
	closure  int // index in walker.closures; -1 in the declared function
	kind     ClosureKind
	name     string // link name so far, after that of the declared function
	sig      *types.Signature
	captured []*types.Var
	loop     int // depth of loops, from 1, as escape analysis counts them
	inReturn bool
	backward map[string]bool // labels that a later goto jumps back to

	literals, ranges int // counters of names
}

// A variable collects what decides how it is captured.
type variable struct {
	home      *context
	place     string // "#n" for receiver, parameters and results of the declared function
	depth     int    // of loops where it is declared
	loopVar   loopKind
	addressed bool
	assigns   []event
	captures  []event
}

type loopKind uint8

const (
	noLoopVar loopKind = iota
	rangeVar           // depth is that of the loop's body: each iteration makes it anew
	forVar             // of a three-clause loop, likewise
)

type event struct {
	at       int
	in       *context // for an assignment: where it stands
	depth    int      // 0: not known
	lives    bool     // of a capture: the closure is never inlined
	inReturn bool     // of a capture: in a return statement
}

// closuresOf returns the closures of a function in the order in which they are met.
func closuresOf(fn *ast.FuncDecl, info *types.Info, sizes types.Sizes, release int, goVersion string) []*Closure {
	if w := walkFunc(fn, info, sizes, release, goVersion); w != nil {
		return w.closures
	}
	return nil
}

// initializerClosures returns the closures that a package variable's initialiser makes, named as if there were no others.
func initializerClosures(x ast.Expr, info *types.Info, sizes types.Sizes, release int, goVersion string) []*Closure {
	if !mayHaveClosures(x, info) {
		return nil
	}
	w := newWalker(x, info, sizes, release, goVersion)
	w.fn = &context{closure: -1, loop: 1}
	w.stored(x)
	w.fillModes()
	return w.closures
}

func newWalker(root ast.Node, info *types.Info, sizes types.Sizes, release int, goVersion string) *walker {
	w := &walker{
		info: info, sizes: sizes, release: release, vars: make(map[*types.Var]*variable), literals: make(map[*ast.FuncLit]int), brief: make(map[*ast.FuncLit]bool),
		perLoop: goVersion == "" || version.Compare(goVersion, "go1.22") >= 0,
	}
	for i, lit := range decl.Literals(root) {
		w.literals[lit] = i + 1
	}
	w.briefLiterals(root)
	return w
}

// walkFunc returns nil if the function makes no closures.
func walkFunc(fn *ast.FuncDecl, info *types.Info, sizes types.Sizes, release int, goVersion string) *walker {
	if fn.Body == nil || !mayHaveClosures(fn.Body, info) {
		return nil
	}
	w := newWalker(fn, info, sizes, release, goVersion)
	obj, ok := info.Defs[fn.Name].(*types.Func)
	if !ok {
		return nil
	}
	w.fn = &context{closure: -1, sig: obj.Signature(), loop: 1, backward: backwardLabels(fn.Body)}
	n := 0
	declare := func(v *types.Var) {
		w.declare(v, noLoopVar)
		w.vars[v].place = fmt.Sprintf("#%d", n)
		n++
	}
	if recv := w.fn.sig.Recv(); recv != nil {
		declare(recv)
	} else {
		n++
	}
	for v := range w.fn.sig.Params().Variables() {
		declare(v)
	}
	for v := range w.fn.sig.Results().Variables() {
		declare(v)
	}
	w.stmts(fn.Body.List)
	w.fillModes()
	return w
}

// mayHaveClosures is a cheap test that most functions and initialisers fail.
func mayHaveClosures(root ast.Node, info *types.Info) bool {
	found := false
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			found = true
		case *ast.RangeStmt:
			_, isFunc := rangeFunc(info, n)
			found = found || isFunc
		case *ast.SelectorExpr:
			if sel := info.Selections[n]; sel != nil && sel.Kind() != types.FieldVal {
				found = true // perhaps a synthetic one
			}
		case *ast.IndexExpr, *ast.IndexListExpr:
			found = true
		case *ast.Ident:
			if _, ok := info.Instances[n]; ok {
				found = true
			}
		}
		return !found
	})
	return found
}

// backwardLabels returns the labels of a body that a goto after them jumps to.
func backwardLabels(body *ast.BlockStmt) map[string]bool {
	var seen, back map[string]bool
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.LabeledStmt:
			if seen == nil {
				seen = make(map[string]bool)
			}
			seen[n.Label.Name] = true
		case *ast.BranchStmt:
			if n.Tok == token.GOTO && seen[n.Label.Name] {
				if back == nil {
					back = make(map[string]bool)
				}
				back[n.Label.Name] = true
			}
		}
		return true
	})
	return back
}

func (w *walker) tick() int { w.clock++; return w.clock }

func (w *walker) declare(v *types.Var, loop loopKind) {
	if v == nil {
		return
	}
	s := &variable{home: w.fn, depth: w.fn.loop}
	if w.perLoop && loop != noLoopVar {
		s.loopVar = loop
		s.depth++
	}
	w.vars[v] = s
}

// use notes that the current function refers to v: it captures v, as all functions between do, unless v is its own.
func (w *walker) use(v *types.Var) {
	if s := w.vars[v]; s != nil {
		w.useIn(w.fn, v, s)
	}
}

func (w *walker) useIn(c *context, v *types.Var, s *variable) {
	for ; c != nil && c != s.home; c = c.outer {
		if slices.Contains(c.captured, v) {
			return
		}
		c.captured = append(c.captured, v)
	}
}

func (w *walker) assign(x ast.Expr) {
	if v := w.base(x); v != nil {
		v.assigns = append(v.assigns, event{at: w.tick(), in: w.fn, depth: w.fn.loop})
	}
}

func (w *walker) address(x ast.Expr) {
	if v := w.base(x); v != nil {
		v.addressed = true
	}
}

// base returns the local variable of which x is a part: not through a pointer, slice or map.
func (w *walker) base(x ast.Expr) *variable {
	for {
		switch e := ast.Unparen(x).(type) {
		case *ast.Ident:
			v, _ := w.info.ObjectOf(e).(*types.Var)
			return w.vars[v]
		case *ast.SelectorExpr:
			sel := w.info.Selections[e]
			if sel == nil || sel.Kind() != types.FieldVal || sel.Indirect() {
				return nil
			}
			x = e.X
		case *ast.IndexExpr:
			t := w.info.TypeOf(e.X)
			if t == nil {
				return nil
			}
			if _, ok := t.Underlying().(*types.Array); !ok {
				return nil
			}
			x = e.X
		default:
			return nil
		}
	}
}

// enter begins a closure: it gets its name where it is met, before those inside of it.
func (w *walker) enter(kind ClosureKind, sig *types.Signature, body decl.Hash) *context {
	c := &context{outer: w.fn, closure: len(w.closures), kind: kind, sig: sig, loop: 1}
	c.name = w.name(kind)
	w.closures = append(w.closures, &Closure{Name: c.name, Kind: kind, Body: body})
	w.captured = append(w.captured, nil)
	if sig != nil {
		w.closures[c.closure].Sig = describeWhole(sig)
	}
	return c
}

// leave ends a closure: the function around it captures what the closure needs, in the same order.
func (w *walker) leave(c *context, at int, lives bool) {
	w.fn = c.outer
	clo := w.closures[c.closure]
	w.captured[c.closure] = c.captured
	for _, v := range c.captured {
		s := w.vars[v]
		name := s.place
		if name == "" {
			name = v.Name()
		}
		clo.Captures = append(clo.Captures, Capture{Name: name, Type: describeWhole(v.Type())})
		e := event{at: at, lives: lives, inReturn: w.fn.inReturn}
		if w.fn == s.home {
			e.depth = w.fn.loop
		}
		s.captures = append(s.captures, e)
		w.useIn(w.fn, v, s)
	}
}

// name numbers a closure of the current function (cmd/compile/internal/ir/func.go, closureName). Up to Go 1.26 the body
// of a range-over-func loop counts as part of the function around it; Go 1.27 counts it as a function of its own.
func (w *walker) name(kind ClosureKind) string {
	outer := w.fn
	if w.release <= 26 {
		for outer.kind == RangeBody {
			outer = outer.outer
		}
	}
	if kind == RangeBody {
		outer.ranges++
		return fmt.Sprintf("%s-range%d", outer.name, outer.ranges)
	}
	outer.literals++
	if outer.closure < 0 {
		return fmt.Sprintf("%s.func%d", outer.name, outer.literals)
	}
	return fmt.Sprintf("%s.%d", outer.name, outer.literals)
}

func (w *walker) literal(lit *ast.FuncLit, lives bool) {
	sig, ok := w.info.TypeOf(lit).(*types.Signature)
	if !ok {
		return
	}
	c := w.enter(Literal, sig, decl.HashMeaning(lit.Body, func(x ast.Expr) string { return w.localMeaning(x, lit) }))
	clo := w.closures[c.closure]
	clo.Literal, clo.Brief, clo.Deep, clo.Words = w.literals[lit], w.brief[lit], w.fn.closure >= 0, wordsOf(lit.Body)
	c.backward = backwardLabels(lit.Body)
	at := w.tick()
	w.fn = c
	for v := range sig.Params().Variables() {
		w.declare(v, noLoopVar)
	}
	for v := range sig.Results().Variables() {
		w.declare(v, noLoopVar)
	}
	w.stmts(lit.Body.List)
	w.leave(c, at, lives)
}

// localMeaning says what a name stands for that the function around a literal declares and that is no variable.
func (w *walker) localMeaning(x ast.Expr, lit *ast.FuncLit) string {
	id, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	obj := w.info.Uses[id]
	if obj == nil || obj.Pkg() == nil || obj.Parent() == obj.Pkg().Scope() || lit.Pos() <= obj.Pos() && obj.Pos() < lit.End() {
		return ""
	}
	switch obj := obj.(type) {
	case *types.Const:
		return obj.Name() + " " + describe(obj.Type()) + " " + obj.Val().ExactString()
	case *types.TypeName:
		return obj.Name() + " " + describeWhole(obj.Type())
	}
	return ""
}

// wordsOf returns the hashes of the names, literals and assignments in a body.
func wordsOf(body *ast.BlockStmt) []uint32 {
	var words []uint32
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident, *ast.BasicLit:
			words = append(words, uint32(decl.HashNode(n)))
		case *ast.AssignStmt:
			words = append(words, uint32(n.Tok))
		case *ast.IncDecStmt:
			words = append(words, uint32(n.Tok))
		}
		return true
	})
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), maxWords)]
}

// fillModes decides how each captured variable is captured, once all of the function is known.
func (w *walker) fillModes() {
	for i, vars := range w.captured {
		for j, v := range vars {
			w.closures[i].Captures[j].Mode = w.mode(v, w.vars[v])
		}
	}
}

// mode decides how v is captured. Escape analysis forgets assignments before the first capture if they are in
// straight-line code with the variable's declaration, so that closures that may have been inlined away by then leave it
// open which capture is the first: each of them is tried.
func (w *walker) mode(v *types.Var, s *variable) Mode {
	if s.addressed {
		return ByReference
	}
	if !hasTypeParam(v.Type()) && w.sizes.Sizeof(v.Type()) > 128 {
		return ByReference
	}
	depth, assigns := s.depth, s.assigns
	if s.loopVar != noLoopVar && !slices.ContainsFunc(s.captures, func(e event) bool { return !e.inReturn }) {
		// cmd/compile/internal/loopvar leaves loops alone whose variables are captured in return statements only.
		if s.loopVar == rangeVar {
			return ByReference // it is assigned to in each iteration
		}
		depth--
	}
	if len(assigns) == 0 {
		return ByValue
	}
	result, first := Unproven, true
	for _, c := range s.captures {
		m := ByValue
		for _, a := range assigns {
			switch {
			case a.at > c.at:
				m = ByReference
			case m == ByReference:
			case a.in != s.home:
				m = Unproven // in a closure that is not there any more: its code may stand after c now
			case c.depth == 0:
				m = Unproven
			case c.depth != depth:
				m = ByReference
			}
		}
		if !first && m != result {
			return Unproven
		}
		result, first = m, false
		if c.lives {
			break
		}
	}
	return result
}

func hasTypeParam(t types.Type) bool {
	found := false
	var visit func(t types.Type)
	seen := make(map[types.Type]bool)
	visit = func(t types.Type) {
		t = types.Unalias(t)
		if found || seen[t] {
			return
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.TypeParam:
			found = true
		case *types.Array:
			visit(t.Elem())
		case *types.Struct:
			for f := range t.Fields() {
				visit(f.Type())
			}
		case *types.Named:
			for a := range t.TypeArgs().Types() {
				visit(a)
			}
			visit(t.Underlying())
		}
	}
	visit(t)
	return found
}

// staticBool reports what the compiler knows of a condition: 1 true, -1 false, 0 nothing. It also returns the parts of
// it that are evaluated, in order (noder/writer.go, staticBool).
func (w *walker) staticBool(x ast.Expr) (int, []ast.Expr) {
	if tv := w.info.Types[x]; tv.Value != nil && tv.Value.Kind() == constant.Bool {
		if constant.BoolVal(tv.Value) {
			return 1, nil
		}
		return -1, nil
	}
	e, ok := x.(*ast.BinaryExpr)
	if !ok || e.Op != token.LAND && e.Op != token.LOR {
		return 0, []ast.Expr{x}
	}
	absorbing := -1
	if e.Op == token.LOR {
		absorbing = 1
	}
	a, left := w.staticBool(e.X)
	if a == absorbing {
		return a, left
	}
	b, right := w.staticBool(e.Y)
	if a == -absorbing || b == absorbing {
		return b, append(left, right...)
	}
	return 0, append(left, right...)
}
