// Package analysis knows what an edit of Go source means to a program that runs: it compares two snapshots, gives each
// edit a verdict, finds type errors, and names every function whose machine code may differ from a fresh build. It must
// never know a process, the language server protocol, or how code is compiled and swapped.
package analysis

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Env is what analysis has to be told about the running build.
type Env struct {
	// Toolchain is the Go version that the program was built with, as "go1.26.8".
	Toolchain string
	// Export opens the archive, or export data alone, of a package of the program as the build left it; errors that
	// wrap fs.ErrNotExist say that there is none.
	Export func(path string) (io.ReadCloser, error)
	// Built is the source that the export data tell of; nil stands for what the first comparison takes for old.
	Built *snapshot.Snapshot
	// Inlining says what the compiler decided about the code of a function that runs now, by link name. It may be nil,
	// and it may not know yet. Of functions that were compiled anew since the build it must not say what was true
	// before: callers that have them inlined now would be missed.
	Inlining func(decl string) Inlining
	// Compiled says that the recompile set is going to be compiled, and that [Report.Inlined] will be told which of its
	// functions can be inlined: until then they are taken to be as little inlinable as the code that runs now.
	Compiled bool
	// Reserved reports whether edits of a package are refused because limeade's agent relies on it. It may be nil.
	Reserved func(path string) bool
	// Missing says why the go command would find no package with an import path that the program lacks; "" if it would,
	// or if that is not known. It may be nil.
	Missing func(path string) string
	// Cgo returns what cgo makes of a package with files that import "C". Without it, edits of these are refused.
	Cgo func(ctx context.Context, p *snapshot.Package) (*Translation, error)
	// Stray returns a function, by link name, of which the source that the program runs has code no more that puts a value of
	// one of some types into an interface, or has put one there; "" if there is none. users are the functions that have values
	// of them by the source. It may be nil.
	Stray func(types, users []string) string
	// NoMethods reports whether the program has a type, by link name, of which values of pointers may be alive that have no
	// methods, and whose description has no room for any. It may be nil.
	NoMethods func(typ string) bool
	// Altered returns a package of the program that the go command would take from another directory now that the files which
	// choose module versions are these; "" if there is none. An error says why it would take nothing at all. It may be nil:
	// then nobody knows.
	Altered func(modules []snapshot.OtherFile) (path string, err error)
	// Written reports whether a variable, by link name, was one of Report.Written in an earlier edit of this process. It may
	// be nil: then none was.
	Written func(name string) bool
	// Locals returns the numbers of the types that are declared in functions of a package, by path, as the process has them;
	// nil if they are those of the build. It may be nil: then all are.
	Locals func(path string) *LocalNumbers
	// TypeNames returns the types that go on under other names in the process. It may be nil: then none do.
	TypeNames func() TypeNames
	// Profiled says that the program is built with a profile, under which the compiler inlines larger functions.
	Profiled bool
}

// Inlining is what the compiler said about inlining one function (compile -m=2).
type Inlining struct {
	State InlineState
	// Cost is what the compiler charges for the body, which is inlined up to 80; 0 if that is not known. It says of a
	// function that is too complex how far it is from being inlined when what it calls becomes cheaper: without it, the
	// recompile set has to take in the callers of many more functions.
	Cost int
}

// InlineState says whether a function may be inlined.
type InlineState uint8

// The states of inlining.
const (
	InlineUnknown InlineState = iota
	Inlinable
	NotInlinable
)

// Report is what the difference of two snapshots means.
type Report struct {
	// Edits is sorted by position. Packages with errors have none.
	Edits []edit.Edit
	// Errors are the syntax and type errors of changed packages, and of those that rely on what changed in them.
	Errors []SourceError
	// Recompile has each package with functions to compile anew, dependencies first. It is empty if there are errors
	// or an edit needs a restart: then nothing can be applied. Between them stand the packages that they import and
	// that are not as they were built, because of this edit or of earlier ones: see PackageSet.Context.
	Recompile []PackageSet
	// New has the link names of functions, variables and types that are not what the process may have under the same
	// name: those that were added, and functions that are called in another way now. It is sorted.
	New []string
	// Anew are the types among them that the process has otherwise, and of which it has no value.
	Anew Anew
	// Renamed has the link names of functions and variables that go on under another name: the old ones by the new ones.
	Renamed map[string]string
	// Deleted has the functions and variables that are gone, or begin anew, as the program runs them: what they made goes on.
	Deleted []*decl.Decl
	// Embedded are the embedded files, by path, of which the program gets the content that they have now.
	Embedded []string
	// Written are variables that code which changed writes to or lets out, before the edit or after it.
	Written []string
	// Locals has the numbers that types in functions get, by the paths of the packages in which they may not be those of the
	// build.
	Locals map[string]*LocalNumbers
	// TypeNames are the types that go on under other names. TypesRenamed says that these are not those of the process.
	TypeNames    TypeNames
	TypesRenamed bool
	// Before and After are the source that was compared, with the names that the process has for types.
	Before, After *snapshot.Snapshot
	// Lines says where unchanged code stands now, so that line tables can follow.
	Lines []decl.LineMove

	comparison *comparison
	set        *set
}

// Applicable reports whether all that changed can be made live.
func (r *Report) Applicable() bool {
	return len(r.Errors) == 0 && edit.Worst(r.Edits) != edit.Restart
}

// SourceError is an error of syntax or types at its place.
type SourceError struct {
	File         string // relative to the main module's directory, with slashes
	Line, Column int    // from 1; 0 if the file as a whole is meant
	Message      string
}

func (e SourceError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// PackageSet is what has to be compiled anew in one package.
type PackageSet struct {
	Path    string
	Checked *Checked
	// Context is set of a package of which what the build left no longer says what importers must know. Where nothing
	// of it is compiled anew, Checked is nil; Report.Check gives it.
	Context *Context
	Funcs   []Func // in the order of the source
	// Initializers are those of this package's variables of which the function literals are to be compiled anew. They
	// ran when the program started, as init functions among Funcs did: what lives on is the closures that they made.
	Initializers []Initializer
	// Added are the assignments that initialise the variables of this package that were added, in the order in which they
	// run.
	Added []*types.Initializer
	// Rerun has the link names of init functions, among Funcs, that are run once when the variables are initialised.
	Rerun []string
	// Defined are the variables of this package that begin anew without an assignment: they are zero, or have the content of
	// embedded files.
	Defined []Variable
	// Wrappers are functions that the compiler makes of methods of this package's types, and that may have a function of the
	// set inlined.
	Wrappers []Wrapper
	// Instances are variables and types of this package that make instantiations of generic code in the set.
	Instances []Instance
	// Methods are types of this package whose method tables change, by link name.
	Methods []string
}

// A Variable is one that has its value without that code runs.
type Variable struct {
	Object *types.Var
	Embeds []string               // its //go:embed directives
	Files  map[string][]EmbedFile // what they match, by pattern
}

// An EmbedFile is a file that a //go:embed pattern matches.
type EmbedFile struct {
	Name string // from the package's directory, with slashes
	snapshot.OtherFile
}

// Context says in what a package is not as it was built: some of its bodies, which the compiler may inline, differ, and
// more where Looks is set.
type Context struct {
	Looks bool // importers see other declarations
}

// Func is one function to compile anew, with all closures in it.
type Func struct {
	Decl     string // link name without instantiation, as "example.com/p.(*T).M" or "main.init.0"
	ID       decl.ID
	Reason   Reason
	Object   *types.Func
	Syntax   *ast.FuncDecl
	Closures []ClosureMatch
}

// Initializer is the initialiser of a package variable.
type Initializer struct {
	Decl   string // link name of the variable; a blank one has none that is a symbol's
	ID     decl.ID
	Syntax *ast.ValueSpec
	Value  ast.Expr // of Syntax
	// Closures have no names here: the compiler numbers them through the package.
	Closures []ClosureMatch
}

// Reason says why a function is compiled anew.
type Reason uint8

// The reasons, the strongest first.
const (
	Changed       Reason = iota // its source changed
	Refers                      // it refers to a declaration that is another one now, or has another type or value
	Inlines                     // it refers to a function of the set that may be inlined in it
	Instantiates                // it makes, or is, an instantiation of generic code of the set
	Devirtualizes               // it calls a method of the set through an interface, and the compiler may see through it
	Escapes                     // it was added by Include
	Initialises                 // an initialiser that runs before the swap calls it, and it calls what changed
)

var reasonNames = [...]string{"changed", "refers", "inlines", "instantiates", "devirtualizes", "escapes", "initialises"}

func (r Reason) String() string { return reasonNames[r] }

// ClosureMatch says which closure of the old function a closure of the new one continues. Names are link names; Old is
// "" for a closure that is new, New for one that does not go on. Closures that live no longer than a statement are left
// out: the bodies of range-over-func loops and the calls of go and defer statements.
type ClosureMatch struct {
	New, Old string
	// NewLiteral and OldLiteral are their numbers in decl.Literals of the function or value that makes them, from 1; 0 for
	// a closure that is no function literal.
	NewLiteral, OldLiteral int
	Told                   bool // the compiler says whether closures may outlive what makes them: no literal of which the code may be inlined
	Called                 bool // the old one is called where it stands: nobody can keep it
	// Apart is set of closures that hold or take a value of a type that begins anew: those that exist keep their code, in
	// the call that made them.
	Apart bool
}

// Wrapper is a compiler-made method of a type: with the receiver's pointer or value changed, promoted through embedding,
// or bound to its receiver.
type Wrapper struct {
	Symbol string // link name without instantiation, as "example.com/p.(*Outer).M" or "example.com/p.T.M-fm"
	Method string // link name of the declared method that it calls
}

// Instance is a use of generic code outside of functions.
type Instance struct {
	Decl    string // link name of the variable or type that uses it
	Generic string // link name of the generic function, method or type
}

// Checked is a type-checked package. Syntax trees and types are shared: nobody may change them. A function whose body
// nobody has to look at has none in Files, and Info says nothing of it; there are those of the functions in the set, of
// all that they refer to, and of what those refer to that may be inlined or are small, of generic functions, of init
// functions, and of those that declare types.
type Checked struct {
	Package *snapshot.Package
	Fset    *token.FileSet // has positions of Files, none of imported objects
	Files   []*ast.File    // as Package.Files
	Types   *types.Package
	Info    *types.Info // all maps filled; InitOrder only where all bodies are there

	source decl.Source     // keeps the syntax of Files alive
	bodies map[string]bool // link names of the functions that kept their bodies; nil: all
	draft  bool            // it lacks bodies of methods of generic types
}

// ToolchainError says that the source or the export data of a package is of a newer Go than this program was built
// with: go/types cannot read it.
type ToolchainError struct {
	Package string // import path
	Needs   string // as "go1.27"
	Built   string // the Go version of this program, as "go1.26.8"
	Err     error  // may be nil
}

func (e *ToolchainError) Error() string {
	return fmt.Sprintf("package %s: needs %s, and this limeade-lsp was built with %s: build limeade-lsp with %s", e.Package, e.Needs, e.Built, e.Needs)
}

func (e *ToolchainError) Unwrap() error { return e.Err }

// errNoExport says that a package has no export data.
var errNoExport = errors.New("no export data")

// Compare compares two snapshots of one program without keeping anything. Use a Session to compare again and again.
func Compare(ctx context.Context, old, new *snapshot.Snapshot, env Env) (*Report, error) {
	return NewSession(env, nil).Compare(ctx, old, new)
}
