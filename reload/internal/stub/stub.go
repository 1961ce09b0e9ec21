// Package stub writes, from a type-checked package, a smaller source of the same package in which
// the wanted functions compile as they do in the whole. It knows Go source, go/types and the rules
// by which cmd/compile names and lays things out; it must never know a process, an object file or
// how the compiler is run.
//
// # What stays
//
// A declaration stays if a kept body reaches it, and no more of it than the body needs:
//
//   - a function of the recompile set stays whole, copied as text;
//   - a function that they call or mention becomes a declaration without a body, which compiles to
//     a call of the function that the process has; its body stays only where the compiler would
//     inline it or learn from it what its parameters do (see inline.go);
//   - a generic function or method keeps its body, for it is compiled where it is used;
//   - a variable keeps its type and loses its initialiser, a constant becomes its value;
//   - a method stays if it is called, or if an interface that the bodies use asks for it;
//   - a struct keeps the fields that the bodies name; the others become stand-ins of the same size,
//     alignment, pointer words and registers (see shape.go).
//
// # What is exact
//
// Every declaration stands behind a //line directive, so that line tables, tracebacks and
// runtime.Caller say what they say in a build of the user's files; -trimpath applies as it does
// there. Types local to functions are counted package-wide by the compiler, see locals.go. So are init
// functions, for which empty ones stand in. Source order is kept, because inlining of mutually recursive
// functions follows it, but where the numbers of local types ask for another one.
package stub

import (
	"go/ast"
	"go/token"
	"go/types"
)

// Input is a type-checked package and what is wanted of it.
type Input struct {
	Fset  *token.FileSet
	Files []*ast.File                  // all Go files, parsed with comments, in the order of the compile command
	Src   func(filename string) []byte // the text that the files were parsed from, by the name that Fset knows
	Pkg   *types.Package
	Info  *types.Info // with Types, Defs, Uses, Selections, Instances and Implicits

	Keep     []*types.Func // the recompile set: functions and methods that are compiled for real
	Wrappers []Wrapper     // compiler-made methods that are compiled again
	Bound    []Binding     // method values whose functions are compiled again
	Init     []*types.Var  // package variables that keep their initialiser, for the sake of what it makes

	// Types are types that are kept whole, for the sake of the instantiations that they are made of.
	Types []*types.TypeName

	// Added is what initialises variables that the process does not have yet, in order: each is made a function.
	Added []*types.Initializer

	// Defined are variables that the process gets memory for and that no code initialises, with their //go:embed
	// directives.
	Defined map[*types.Var][]string

	// Methods are types whose descriptors are wanted, with all methods.
	Methods []*types.TypeName

	// Export lists package-level objects and methods that other stubs need from this stub's archive
	// (their [Stub.Needs]). If it is not empty, no type is shaped: an importer also inlines bodies
	// of third packages, which may use any field or method.
	Export []types.Object

	// ImportFirst lists import paths whose archives are themselves stubs. The first of the returned
	// files imports them: of several definitions of one object in the export data that it reads,
	// cmd/compile keeps the first (internal/noder/unified.go, readPackage, Go 1.26).
	ImportFirst []string

	// Facts returns what the compiler found out about a function of the code that is running, by link
	// name ("p.F", "p.T.M", "p.(*T).M"), and whether that is known. With it, functions get the bodies
	// that the compiler inlines, and the others count for their callers as what they are. Without it,
	// small bodies are kept on suspicion, and functions without body are taken to leak every parameter.
	Facts func(linkName string) (Fact, bool)

	// CanThin reports whether types of a package, by import path, may be thin: see Thin. Nil means that none may.
	CanThin func(path string) bool

	// Locals are the numbers of types that are declared in functions; nil: they are numbered in the order of the source.
	Locals map[*types.TypeName]int

	// HostHasType reports whether a type descriptor, by link name such as "type:example.com/p.T" or
	// "type:[4]example.com/p.T", can be had elsewhere than from this stub: from the process or
	// from the objects that it was built from. A type that it lacks stays whole, with all methods.
	// Nil means that it has every type.
	HostHasType func(linkName string) bool
}

// A Wrapper is a method that the compiler makes: (*T).M for a method M of T, or T.M and (*T).M for a
// method promoted from an embedded field. Method may be of another package.
type Wrapper struct {
	Type   *types.TypeName
	Method *types.Func
}

// A Binding is what the compiler makes of a method value x.M where x is a T, or with Pointer a *T: the
// function T.M-fm.
type Binding struct {
	Wrapper
	Pointer bool
}

// LinkName is the function's name, with the package's part given.
func (b Binding) LinkName(pkg string) string {
	recv := b.Type.Name()
	if b.Pointer {
		recv = "(*" + recv + ")"
	}
	return pkg + "." + recv + "." + b.Method.Name() + "-fm"
}

// A Stub is the source to compile, without -complete, and what may be used of the object.
//
// The files belong into one directory. A -trimpath rewrite of that directory to the package's own makes
// positions of what has none in the source, and relative line directives as Go 1.27 understands them,
// come out as in a build of the whole.
type Stub struct {
	Files   []File   // in the order for the compile command
	Imports []string // import paths as written in the files, sorted: all that the import configuration must have

	// Shaped has the link names, such as "example.com/p.T", of the types whose descriptors, equality
	// functions and method wrappers are not those of the real type: fields are stand-ins or methods
	// are missing.
	Shaped map[string]bool

	// Bodies lists the functions outside Keep whose bodies are compiled along. The compiler may have
	// inlined them, whether or not it does so in a build of the whole package.
	Bodies []*types.Func

	// Hollow lists functions whose bodies in the object only imitate their effect on parameters. They
	// must never be linked.
	Hollow []*types.Func

	// Layouts are those of the package's types, and of those that the code may look into, with real fields in place of
	// stand-ins.
	Layouts []Layout

	// Inits are the names of the functions of Added.
	Inits []string

	// Needs has, for each path of ImportFirst, the sorted names that this stub uses of it: "F", "T",
	// "T.Method". The stub of that package must export them.
	Needs map[string][]string

	// Thin, if it is not nil, is what the stub is to be compiled against, besides its imports.
	Thin *Thin

	// Reinit lists variables that had to keep their initialiser although they are not in Init,
	// because their type has no spelling here. If it is not empty, the object's init function must
	// not be run.
	Reinit []*types.Var
}

// A File is one source file of a stub. Its name is that of the source file that it was made of,
// without directory.
type File struct {
	Name    string
	Content []byte
}

// Sources are the contents of the files, by name.
func (s *Stub) Sources() map[string][]byte {
	files := make(map[string][]byte, len(s.Files))
	for _, f := range s.Files {
		files[f.Name] = f.Content
	}
	return files
}

// An UnfitError says that something wanted is what no stub can have.
type UnfitError struct {
	Name   string // as declared
	Reason string
}

func (e *UnfitError) Error() string { return e.Name + ": " + e.Reason }

// Build returns the stub. The same input gives the same stub, byte for byte. It fails if something
// wanted has no declaration in the files, or no body to compile.
func Build(in Input) (*Stub, error) {
	b := newBuilder(in)
	if err := b.want(); err != nil {
		return nil, err
	}
	b.reach()
	if err := b.checkLayouts(); err != nil {
		return nil, err
	}
	if err := b.arrangeLocals(); err != nil {
		return nil, err
	}
	s := b.emit()
	// The package's init function initialises one, and must not initialise more.
	if len(b.nameless) > 0 && len(b.nameless)+len(in.Init)+len(s.Reinit) > 1 {
		return nil, &UnfitError{b.nameless[0].Lhs[0].Name(), "is a new variable of a type that has no name here, and not the only one that is to be initialised so"}
	}
	return s, nil
}
