// Package reload makes a running process run changed source. It knows builds, objects, processes and
// agents; it must never know where the source came from, what an edit is called, or any front end.
//
// A [Program] is a build, a [Process] a running instance of it, a [Generation] what a process runs.
// [Program.Prepare] makes a patch from type-checked source, [Prepared.Commit] makes it live. DESIGN.md
// beside this file says how.
package reload

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"time"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/stub"
)

// Types of the parts that are part of this package's own surface.
type (
	// A Build is the record of how a program was built, and from what.
	Build = build.Baseline
	// A BuildPackage is one package of a build.
	BuildPackage = build.Package
	// A ForeignPackage is one whose source nobody is expected to edit.
	ForeignPackage = build.ForeignPackage
	// A BuildFile is one file of it.
	BuildFile = build.File
	// A CompileError holds everything that the compiler had against the source.
	CompileError = build.CompileError
	// A SourceError is one of its errors.
	SourceError = build.SourceError
	// A LineMove says that lines of a file stand elsewhere in the new source.
	LineMove = link.LineMove
	// A ClosurePair says that two function literals are the same one.
	ClosurePair = link.ClosurePair
	// A Literal is a function literal of the source.
	Literal = link.Literal
	// A Wrapper is a method that the compiler makes of another.
	Wrapper = stub.Wrapper
	// An Embed says what //go:embed directives embed.
	Embed = build.Embed
	// A Binding is a function that the compiler makes of a method value.
	Binding = stub.Binding
)

// A Request says what a process should run.
type Request struct {
	// Packages are those with functions to compile, in import order.
	Packages []Package
	Moves    []LineMove
	Since    func() []LineMove // where code stands that is as it was built
	Pairs    []ClosurePair
	Literals []Literal // all of the files of the old source that those of the pairs are in

	// New has the link names of functions, variables and types that are not what the process may have under the same
	// name: added ones, and functions with other parameters or results.
	New []string

	// Anew are types among them that the process has otherwise.
	Anew Anew

	// Renamed has the link names of functions and variables that go on under another name: the old ones by the new ones.
	Renamed map[string]string

	// Renames says that the source has other names for what the process runs: it becomes the next generation even where
	// nothing is compiled.
	Renames bool

	// Stale reports whether a declaration, by link name, is not what the build compiled: its source, or
	// that of code inlined into it, changed in this or an earlier refresh.
	Stale func(decl string) bool

	// Gone reports whether a function or method, by link name, is in the source of the build and not in the new one. It may be
	// nil.
	Gone func(decl string) bool

	// Inlined extends a request by the functions in which the given ones may be inlined, which the compiler found it
	// can do with their new code; nil if it has all of them. It may be nil.
	Inlined func(decls []string) (*Request, error)

	// Extend adds to a request the functions that call the given declarations, and by the given
	// ones themselves where they are not in it yet.
	Extend func(decls []string, callers bool) (*Request, error)

	// Manifest returns what the front end wants to know later of the source that the process will run. It is called when
	// the patch is made. It may be nil.
	Manifest func() ([]byte, error)

	// Changed names the edited declarations, as the program's own hooks are told them.
	Changed []string

	fresh map[string]bool // declarations that get addresses of their own
}

// Anew are types that begin anew under their names because the process can have no value of them.
type Anew struct {
	Types  []string // link names
	Vacant []string // functions that may have values of them: no goroutine may be in one
	Passed []string // of these, the ones that put such values into interfaces for the time of a call
}

// A Package is one type-checked package of a request.
type Package struct {
	Path  string
	Fset  *token.FileSet
	Files []*ast.File
	Src   func(filename string) []byte
	Pkg   *types.Package
	Info  *types.Info

	Keep     []*types.Func // functions to compile; of init functions, only the closures that they made get new code
	Wrappers []Wrapper
	Bound    []Binding
	Init     []*types.Var         // variables whose initialisers made closures or instances that are compiled again
	Methods  []*types.TypeName    // types that got or lost methods
	Types    []*types.TypeName    // types that are made of instances that are compiled again
	Added    []*types.Initializer // what initialises variables that the process lacks, in order
	// Rerun has the link names of init functions, among Keep, that are run once after the variables are initialised.
	Rerun []string
	// Defined are variables that begin anew without an initialiser, with their //go:embed directives.
	Defined map[*types.Var][]string
	// Embed says what these embed; nil if they embed nothing.
	Embed *Embed
	Made  []string // link names of wrappers that the compiler makes without being asked
	// Locals are the numbers of types that are declared in functions; nil: they are numbered in the order of the source.
	Locals map[*types.TypeName]int

	// Context is set of a package of which nothing is compiled anew, but which is not as it was built. Then all but
	// Path is empty.
	Context *Context
}

// A Context is what the packages of a request may have to know of one that they import.
type Context struct {
	Looks bool                    // importers see other declarations than in the build
	Load  func() (Package, error) // called where they do have to know it
}

// An Outcome is what a refresh did.
type Outcome struct {
	Generation uint32
	Replaced   int           // functions with new code
	Compile    time.Duration // of new code, and of that of the build where it is not known what the compiler made of it
	Link       time.Duration
	Hooks      time.Duration // of the program
	Failures   []string      // what went wrong in them
	Inject     time.Duration // from sending the patch to the agent's answer, without Hooks
	Pause      time.Duration // the world stood still
	Bytes      int           // that the patch takes in the process
}

// ErrC says that an edit needs other C code than the program has.
var ErrC = build.ErrC

// CgoTypes is the name of the file with what Go knows of a package's C.
const CgoTypes = build.CgoTypes

// CgoName is the name of what cgo makes of a file.
func CgoName(file string) string { return build.CgoName(file) }

// A RefusedError is an edit that only a restart can bring into the process.
type RefusedError struct {
	Symbol string // link name
	Reason string
}

func (e *RefusedError) Error() string { return e.Symbol + ": " + e.Reason }

// A VetoError is a refresh that a hook of the program did not want; Error is its reason.
type VetoError struct{ Reason string }

func (e *VetoError) Error() string { return e.Reason }

// ErrUnknownBuild is wrapped by errors about a process whose build, or the record of what it runs, is
// not in the store.
var ErrUnknownBuild = errors.New("it cannot be refreshed any more; restart it")
