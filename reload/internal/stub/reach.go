package stub

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
)

// A builder finds what the wanted declarations reach. Everything in it only grows.
type builder struct {
	in        Input
	files     []*file
	decls     map[types.Object]*decl
	methods   map[*types.TypeName][]*decl
	linknames map[string][]string     // local name → directives
	imports   map[*types.PkgName]bool // used
	hidden    map[string]bool         // predeclared types whose names mean something else here, at least in a file

	queue     []job // bodies to walk, in the order of their distance from Keep
	types     map[*types.TypeName]*typeState
	typeList  []*typeState // types, in the order of discovery
	shaping   bool         // structs may be shaped
	touched   map[*types.Var]bool
	fieldOf   map[*types.Var]field
	described map[*types.Named]bool
	whole     map[*types.Named]bool    // types with all that their descriptors describe
	thinned   map[*types.TypeName]bool // thin types; true if they have stand-ins
	nih       map[types.Type]bool

	seen       map[types.Type]bool
	equal      map[types.Type]bool
	interfaces []*types.Interface // that the bodies use, each with its methods
	hasIface   map[*types.Interface]bool
	values     []types.Type // types that the bodies have values of and that may have methods
	hasValue   map[types.Type]bool
	paired     [2]int // how many of values and interfaces have been matched
	anonymous  []*types.Struct
	names      map[types.Type]map[string]bool
	localTypes bool // a kept body declares types
	locals     *localCounter
	inits      int // init functions
	lastInit   int // the last of them that is kept
	work       int // counts what was found

	foreign  map[*types.Package]bool           // packages whose methods are called
	called   map[*types.TypeName][]*types.Func // methods of types of other packages that are called
	typeArgs []types.Type                      // of instances of functions

	needs    map[string]map[string]bool // import path → names, for the paths of ImportFirst
	added    map[types.Object]int       // numbers of Added, by the first variable
	nameless []*types.Initializer       // those of types that have no name here
}

// A job is a body to walk and its distance from the recompile set in calls.
type job struct {
	decl  *decl
	level int
}

func newBuilder(in Input) *builder {
	b := &builder{
		in:        in,
		hidden:    make(map[string]bool),
		methods:   make(map[*types.TypeName][]*decl),
		linknames: make(map[string][]string),
		imports:   make(map[*types.PkgName]bool),
		types:     make(map[*types.TypeName]*typeState),
		touched:   make(map[*types.Var]bool),
		fieldOf:   make(map[*types.Var]field),
		described: make(map[*types.Named]bool),
		whole:     make(map[*types.Named]bool),
		thinned:   make(map[*types.TypeName]bool),
		nih:       make(map[types.Type]bool),
		seen:      make(map[types.Type]bool),
		equal:     make(map[types.Type]bool),
		hasIface:  make(map[*types.Interface]bool),
		hasValue:  make(map[types.Type]bool),
		names:     make(map[types.Type]map[string]bool),
		foreign:   make(map[*types.Package]bool),
		called:    make(map[*types.TypeName][]*types.Func),
		needs:     make(map[string]map[string]bool),
		added:     make(map[types.Object]int),
	}
	for _, path := range in.ImportFirst {
		b.needs[path] = make(map[string]bool)
	}
	b.index()
	b.locals = &localCounter{}
	if in.Locals != nil {
		b.locals = b.countLocals()
	}
	b.shaping = len(in.Export) == 0 && len(b.hidden) == 0
	return b
}

// want marks what the input asks for.
func (b *builder) want() error {
	for _, fn := range b.in.Keep {
		d := b.decls[fn.Origin()]
		if d == nil || d.fn() == nil || d.fn().Body == nil {
			return fmt.Errorf("%s: no function body to compile", fn.FullName())
		}
		b.useBody(d, 0)
		b.use(d)
		b.lastInit = max(b.lastInit, d.init)
	}
	for _, w := range b.in.Wrappers {
		if err := b.wantWrapper(w); err != nil {
			return err
		}
	}
	for _, w := range b.in.Bound {
		if err := b.wantWrapper(w.Wrapper); err != nil {
			return err
		}
	}
	for _, v := range b.in.Init {
		d := b.decls[v]
		if d == nil {
			return fmt.Errorf("%s: no such variable to initialise", v.Name())
		}
		b.use(d)
		b.useInitialiser(d, 0)
	}
	for _, t := range b.in.Types {
		d := b.decls[t]
		if d == nil {
			return fmt.Errorf("%s: no such type", t.Name())
		}
		b.use(d)
		b.allFields(t.Type())
	}
	for i, init := range b.in.Added {
		b.added[init.Lhs[0]] = i
		for _, v := range init.Lhs {
			d := b.decls[v]
			if d == nil {
				return fmt.Errorf("%s: no such variable to initialise", v.Name())
			}
			b.use(d)
			if d.body && !slices.Contains(b.nameless, init) {
				b.nameless = append(b.nameless, init)
			}
		}
		b.walk(b.decls[init.Lhs[0]].file, init.Rhs, 0)
	}
	for v := range b.in.Defined {
		d := b.decls[v]
		if d == nil {
			return fmt.Errorf("%s: no such variable", v.Name())
		}
		b.use(d)
	}
	for _, t := range b.in.Methods {
		d := b.decls[t]
		named, ok := t.Type().(*types.Named)
		if d == nil || !ok {
			return fmt.Errorf("%s: no such type", t.Name())
		}
		b.use(d)
		b.described[named] = true
		b.wholeType(named)
	}
	for _, obj := range b.in.Export {
		if fn, ok := obj.(*types.Func); ok {
			obj = fn.Origin()
		}
		d := b.decls[obj]
		if d == nil {
			return fmt.Errorf("%s: no such declaration to export", obj.Name())
		}
		b.use(d)
		b.callee(d, 0)
	}
	return nil
}

// wantWrapper keeps what makes the compiler emit a wrapper: it does so for every method of every
// type that the package declares (internal/noder/reader.go, MakeWrappers, Go 1.26).
func (b *builder) wantWrapper(w Wrapper) error {
	d := b.decls[w.Type]
	named, ok := w.Type.Type().(*types.Named)
	if d == nil || !ok || named.TypeParams().Len() > 0 {
		return fmt.Errorf("%s.%s: no wrapper can be made for this type", w.Type.Name(), w.Method.Name())
	}
	obj, path, _ := types.LookupFieldOrMethod(types.NewPointer(named), true, w.Method.Pkg(), w.Method.Name())
	if fn, ok := obj.(*types.Func); !ok || fn.Origin() != w.Method.Origin() {
		return fmt.Errorf("%s.%s: the type has no such method", w.Type.Name(), w.Method.Name())
	}
	b.use(d)
	b.touchPath(named, path[:len(path)-1])
	b.useMethod(w.Method, 0)
	return nil
}

// use puts a declaration into the stub and walks its type. It stays to be decided whether a function
// keeps its body.
func (b *builder) use(d *decl) {
	if d.used {
		return
	}
	d.used = true
	b.work++
	switch node := d.node.(type) {
	case *ast.FuncDecl:
		if node.Recv != nil {
			b.walk(d.file, node.Recv, declared)
		}
		b.walk(d.file, node.Type, declared)
		if isGeneric(d.obj.(*types.Func)) || node.Recv != nil && node.Name.Name == "init" {
			b.useBody(d, 1) // the compiler asks for a body, of a method named init by mistake (noder/writer.go, funcExt, Go 1.26)
		}
	case *ast.TypeSpec:
		b.useType(d, node)
	case *ast.ValueSpec:
		b.useValue(d, node)
	}
}

func (b *builder) useValue(d *decl, spec *ast.ValueSpec) {
	if _, ok := d.obj.(*types.Const); ok {
		if b.spellable(d.obj.Type()) {
			b.see(d.obj.Type())
			return
		}
		d.body = true
		_, values := constSource(d)
		b.walk(d.file, values, declared)
		return
	}
	switch {
	case spec.Type != nil:
		b.walk(d.file, spec.Type, declared)
	case b.spellable(d.obj.Type()):
		b.see(d.obj.Type())
	default:
		b.useInitialiser(d, declared)
	}
}

// useInitialiser keeps a variable declaration as it is, with all the names in it.
func (b *builder) useInitialiser(d *decl, level int) {
	if d.body {
		return
	}
	spec := d.node.(*ast.ValueSpec)
	for _, name := range spec.Names {
		if other := b.decls[b.in.Info.Defs[name]]; other != nil {
			other.used, other.body = true, true
			b.work++
		}
	}
	if spec.Type != nil {
		b.walk(d.file, spec.Type, declared)
	}
	for _, v := range spec.Values {
		b.walk(d.file, v, level)
	}
}

// useBody has a function's body compiled along.
func (b *builder) useBody(d *decl, level int) {
	if d.body || d.fn().Body == nil {
		return
	}
	d.body = true
	b.work++
	b.queue = append(b.queue, job{d, level})
}

// reach walks bodies until nothing is new.
func (b *builder) reach() {
	for before := -1; before != b.work; {
		before = b.work
		for i := 0; i < len(b.queue); i++ {
			b.walk(b.queue[i].decl.file, b.queue[i].decl.fn().Body, b.queue[i].level)
		}
		b.queue = b.queue[:0]
		b.matchInterfaces()
		b.matchStructs()
	}
}

// object notes the mention of an object in a body or type that is walked.
func (b *builder) object(obj types.Object, level int) {
	switch o := obj.(type) {
	case *types.Var:
		if o.IsField() {
			b.touch(o)
			return
		}
	case *types.Func:
		if o.Signature().Recv() != nil {
			b.useMethod(o, level)
			return
		}
		obj = o.Origin()
	}
	if obj.Pkg() != b.in.Pkg {
		b.need(obj, obj.Name())
		return
	}
	if d := b.decls[obj]; d != nil {
		b.use(d)
		b.callee(d, level)
	}
}

// useMethod notes the use of a method, which may be one of an interface or of another package.
func (b *builder) useMethod(fn *types.Func, level int) {
	fn = fn.Origin()
	if recv := receiver(fn); recv != nil && recv.Pkg() != b.in.Pkg {
		b.foreign[recv.Pkg()] = true
		if !slices.Contains(b.called[recv], fn) {
			b.called[recv] = append(b.called[recv], fn)
		}
		b.need(recv, recv.Name())
		b.need(recv, recv.Name()+"."+fn.Name())
		return
	}
	if d := b.decls[fn]; d != nil {
		b.use(d)
		b.callee(d, level)
	}
}

// need notes that a package which is itself a stub must have a name.
func (b *builder) need(obj types.Object, name string) {
	if obj.Pkg() == nil {
		return
	}
	if names := b.needs[obj.Pkg().Path()]; names != nil && obj.Parent() == obj.Pkg().Scope() {
		names[name] = true
	}
}

// isGeneric reports whether a function or method has type parameters.
func isGeneric(fn *types.Func) bool {
	sig := fn.Signature()
	return sig.TypeParams().Len() > 0 || sig.RecvTypeParams().Len() > 0
}
