// Package link is the thin linker: it knows how to turn the objects of compiled stubs into one
// position-fixed patch for one running process, and must never know how the objects were made, how
// the patch travels, or what an editor is.
//
// Link reads as its list of passes:
//
//	layouts   what the objects take for granted of types is so in the process
//	anew      no variable and no interface holds what begins anew
//	select    the functions of the objects that replace live ones, and where their callers call them
//	join      the init functions of packages that the program lacks
//	extend    the method tables of types that got or lost methods
//	resolve   every symbol they reach: in the process, else in the patch
//	revive    methods that the build's linker pruned and that the new code can call
//	place     an address for every symbol of the patch; beyond this no symbol is added
//	tables    pclntab, findfunctab, typelinks, GC masks and the moduledata
//	relocate  the bytes of every symbol
//	writes    detours, revived method slots, moved lines
//	verify    the finished patch against its own tables
//
// All addresses are uint64 and final: a link-time address plus the process's bias.
package link

import (
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// A Host is what is known of a build: its image, the objects it was linked from, and where each of
// their symbols lies. It is shared by all processes of the build and safe for concurrent use.
type Host struct {
	Image   *image.Image
	Index   *image.Index
	Library *object.Library
	Layout  *layout.Layout
	Uses    *Uses             // which methods the build's linker kept, and why
	Joined  []*object.Package // that the build lacks, imported ones first; Library is an overlay if there are any
	Locals  []string          // packages whose source may change, as the library has them

	onceItabs     sync.Once
	itabTables    itabTables
	onceFiles     sync.Once
	onceInstances sync.Once
	onceHolders   sync.Once
	byInlined     map[string][]object.Sym // functions that have a declaration inlined
	onceLiterals  sync.Once
	onceHashed    sync.Once
	hashedText    map[uint64]object.Sym // function literals without a name of their own, by link-time address
	onceCaches    sync.Once
	cacheList     []hostCache
	literals      map[uint64]image.Func   // by address of their runtime._func
	byGeneric     map[string][]string     // names of instantiations
	byFile        map[string][]image.Func // functions with code from a file
}

// localText yields the functions that the build compiled in packages whose source may change.
func (h *Host) localText() iter.Seq[object.Sym] {
	return func(yield func(object.Sym) bool) {
		for _, path := range h.Locals {
			pkg := h.Library.Package(path)
			if pkg == nil {
				continue
			}
			for _, o := range pkg.Objects {
				for i := range o.NumDefs() {
					if s := o.Sym(i); s.Kind() == object.Text && !yield(s) {
						return
					}
				}
			}
		}
	}
}

// A Joining is a package that the build lacks.
type Joining struct{ Path, Archive string } // the path as in object files

// With returns a host that has further packages, imported ones first, to link from.
func (h *Host) With(pkgs []Joining) (*Host, error) {
	joined := &Host{Image: h.Image, Index: h.Index, Library: h.Library.Overlay(), Layout: h.Layout, Uses: h.Uses}
	for _, p := range pkgs {
		pkg, err := joined.Library.Add(p.Path, p.Archive)
		if err != nil {
			return nil, err
		}
		joined.Joined = append(joined.Joined, pkg)
	}
	return joined, nil
}

// A Request is one refresh of one process.
type Request struct {
	Host   *Host
	State  *State          // of the process; not modified
	Stubs  []Stub          // in import order
	Funcs  []string        // declarations whose code is replaced, by link name
	Leaky  map[string]bool // of these, the ones that let more of their parameters escape than older callers know
	Fresh  map[string]bool // and the ones that get an address of their own, which older callers never call
	Makers map[string]bool // and the ones with function literals that let more escape
	Tight  Tight
	New    map[string]bool // functions, variables and types that are not what the process may have under the same name
	Anew   Anew            // types among them that the process has otherwise
	// Renamed are functions and variables that go on under another name: the old names by the new ones.
	Renamed map[string]string
	Renames bool // the source has other names: there is a patch even if it changes nothing
	Moves   []LineMove
	// Since returns where code stands in the new source that is as it was built: what is linked in from the build's
	// objects has the lines that it had then. It is called often. Nil: nothing has moved since.
	Since func() []LineMove
	Pairs []ClosurePair
	// Literals are all of the files of the old source that those of the pairs are in, but for files that import "C".
	Literals []Literal
	// Brief reports whether closures of a function literal, by the name that it has in its own function, never outlive the
	// code that makes them.
	Brief func(name string) bool
	// Gone reports whether the build's source has a function that the new source has not. It may be nil.
	Gone  func(decl string) bool
	Stale func(name string) bool // whether the build's object of this declaration is out of date
	// Built returns the parameters and results of a function as the build has it, by link name; "" for what it does not
	// know. It may be nil.
	Built   func(name string) (string, error)
	Methods []string // types that got or lost methods, by link name; the stubs have them whole
	Source  string   // digest of what the process runs afterwards
}

// Anew are types that begin anew under their names because the process can have no value of them.
type Anew struct {
	Types  []string // link names
	Vacant []string // functions that may have values of them: no goroutine may be in one
	Passed []string // of these, the ones that put such values into interfaces for the time of a call
}

// A Stub is one compiled stub.
type Stub struct {
	Package string          // import path
	Archive string          // path of the archive file
	Shaped  map[string]bool // types, by link name, whose descriptors are not the real ones
	Hollow  map[string]bool // functions, by link name, whose bodies are not the real ones
	Layouts []Layout        // of the types that its code may meet
	// Signatures are the parameters and results of the functions that are compiled in it, by link name.
	Signatures map[string]string
	Inits      []string // functions, by link name, that are run before the swap, in order: they initialise new variables
}

// A LineMove says that lines [From, To] of a file stand Delta lines further down in NewFile of the new
// source. Lines count from 1; files are as the compiler recorded them.
type LineMove struct {
	File, NewFile string
	From, To      int
	Delta         int
}

// A ClosurePair says that a function literal of the old source goes on as one of the new source, with the same captured
// variables. One that came, or that does not go on, has no other. There is a pair for each literal of the functions that
// are compiled again.
type ClosurePair struct {
	Old, New Literal
	Told     bool // the compiler says whether closures may outlive the code that makes them
	Called   bool // closures of the old one are called where they are made: nobody can keep them
	Apart    bool // closures that exist keep their code all the same: they do not outlive the code that made them
}

// A Literal is a function literal of the source; the zero one is none.
type Literal struct {
	File string
	Line int    // where it begins
	Name string // its link name in the function that it stands in; "" for what initialises variables, and for dead code
	Nth  int    // its number among the literals that begin in the line, from 0
	Of   int    // how many these are
}

// A Result is a patch and what the process holds once it is applied.
type Result struct {
	Patch *patch.Patch
	State *State
	Stats Stats
	Reliance
	// Orphans are the functions, by link name, that function literals call which do not go on: their closures may live.
	Orphans []string
}

// Stats counts what a patch holds.
type Stats struct {
	Replaced int // functions whose entry is detoured
	Linked   int // symbols that the process lacked
	Bytes    int // of the patch's segments
}

// ErrNothing says that a request makes no code: only declarations that the process does not use, such as
// generic functions without instantiation.
var ErrNothing = errors.New("nothing to link")

// A NeedWhole error says that the patch must hold descriptors of types that a stub has only shaped:
// the stub must be made again with these types whole.
type NeedWhole struct{ Types []string }

func (e *NeedWhole) Error() string {
	return fmt.Sprintf("types must be compiled whole: %v", e.Types)
}

// A NeedBody error says that the patch must hold functions whose recorded object is out of date: the
// stubs must be made again with these in the recompile set.
type NeedBody struct{ Decls []string }

func (e *NeedBody) Error() string {
	return fmt.Sprintf("functions must be recompiled: %v", e.Decls)
}

// A Refusal is an edit that can't be linked into the process. Its text names the symbol first.
type Refusal struct {
	Symbol string
	Reason string
}

func (e *Refusal) Error() string { return e.Symbol + ": " + e.Reason }

func refuse(symbol, format string, args ...any) error {
	return &Refusal{Symbol: symbol, Reason: fmt.Sprintf(format, args...)}
}

// ErrThin says that the name of something that a patch would need tells of a thin type: see stub.Thin.
var ErrThin = errors.New("a thin type shows in a name")

// Link makes the patch of a request. It fails with a *Refusal, a *NeedWhole, a *NeedBody, or an error
// about an unreadable object. The same request gives the same patch, byte for byte.
func Link(req *Request) (*Result, error) {
	l, err := newLinker(req)
	if err != nil {
		return nil, err
	}
	passes := []struct {
		name string
		run  func() error
	}{
		{"references", l.checkReferences},
		{"layouts", l.checkLayouts},
		{"anew", l.checkAnew},
		{"select", l.selectRoots},
		{"join", l.join},
		{"extend", l.extend},
		{"resolve", l.resolve},
		{"place", l.place},
		{"tables", l.tables},
		{"relocate", l.relocate},
		{"writes", l.writes},
		{"verify", l.verify},
	}
	for _, pass := range passes {
		if err := pass.run(); err != nil {
			return nil, fmt.Errorf("link: %s: %w", pass.name, err)
		}
	}
	return l.result(), nil
}
