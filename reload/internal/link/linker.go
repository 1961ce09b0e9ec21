package link

import (
	"fmt"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// A segment is the part of the patch that a symbol goes to.
type segment uint8

const (
	segText segment = iota
	segROData
	segData   // pointers: a GC root
	segNoPtr  // initialised, no pointers
	segNoPtrZ // zeroed, no pointers
	numSegments
)

// A node is a symbol that the patch holds.
type node struct {
	sym   object.Sym
	key   Key
	seg   segment
	addr  uint64
	base  bool // comes from the build's library, not from a stub
	early bool // runs before the swap only
	// shadow says that the process has the symbol, and nothing refers to this one by its name.
	shadow bool
}

// A target is what a reference resolves to: an address in the process, a symbol of the patch, or a
// slot that the agent fills with an itab.
type target struct {
	addr uint64
	node *node
	itab *itab
}

func (t target) found() bool { return t.addr != 0 || t.node != nil || t.itab != nil }

// address of a target, once it is placed.
func (t target) address() uint64 {
	switch {
	case t.node != nil:
		return t.node.addr
	case t.itab != nil:
		return t.itab.slot
	}
	return t.addr
}

// An itab is one that the process lacks: the runtime makes it when the patch is loaded, so that there
// is only ever one for its pair of types.
type itab struct {
	inter, typ target
	slot       uint64 // address of the word that code loads its address from
}

// An itabRef is a word of data that holds an itab's address.
type itabRef struct {
	itab *itab
	at   uint64
}

type linker struct {
	req   *Request
	host  *Host
	state *State // as it will be
	lib   *object.Library

	funcs    map[string]bool // declarations that are replaced
	leaky    map[string]bool // as in the request, with the names that they had before
	makers   map[string]bool // as well
	stubObjs map[*object.Object]*Stub

	nodes  []*node
	bySym  map[object.Sym]*node
	byKey  map[Key]*node        // symbols of the patch that are found by name
	byHash map[contentKey]*node // content-addressed symbols
	memo   map[object.Sym]target
	fresh  map[Key]bool // symbols of the stubs that take over a name: references go to them

	roots  []*root
	itabs  []*itab
	itabAt []itabRef
	byItab map[string]*itab
	uses   *useSet
	calls  []target        // functions to run when the patch is loaded
	inits  []*node         // that initialise new variables: the last of them
	early  map[*node]*node // what these call in place of functions of the patch
	// joining are the packages that this patch initialises.
	joining map[*object.Package]bool

	extends       map[string]bool // types of which methods come or go
	extendedTypes []extended

	reliance Reliance
	orphans  map[string]bool     // see Result.Orphans
	own      map[object.Sym]bool // see isOwn
	live     map[string][]form   // see liveLiterals

	needWhole map[string]bool
	needBody  map[string]bool

	work []*node
	layoutState
}

// A root is a function whose code the patch replaces.
type root struct {
	node    *node
	entry   uint64 // where callers call it; 0 when the process has no such function yet
	old     Body   // the code that was live until now
	adopted bool   // a form of a function literal that goes on with the code of another
}

// name returns the name under which the live code knows the function.
func (r *root) name() string {
	if r.adopted {
		return r.old.Name
	}
	return r.node.key.Name
}

func newLinker(req *Request) (*linker, error) {
	l := &linker{
		req:       req,
		host:      req.Host,
		state:     req.State.clone(),
		lib:       req.Host.Library.Overlay(),
		funcs:     map[string]bool{},
		stubObjs:  map[*object.Object]*Stub{},
		bySym:     map[object.Sym]*node{},
		byKey:     map[Key]*node{},
		byHash:    map[contentKey]*node{},
		memo:      map[object.Sym]target{},
		fresh:     map[Key]bool{},
		byItab:    map[string]*itab{},
		needWhole: map[string]bool{},
		needBody:  map[string]bool{},
		orphans:   map[string]bool{},
		live:      map[string][]form{},
		joining:   map[*object.Package]bool{},
		extends:   map[string]bool{},
	}
	for _, f := range req.Funcs {
		l.funcs[f] = true
	}
	for i := range req.Stubs {
		s := &req.Stubs[i]
		pkg, err := l.lib.Add(s.Package, s.Archive)
		if err != nil {
			return nil, fmt.Errorf("link: stub of %s: %w", s.Package, err)
		}
		for _, o := range pkg.Objects {
			l.stubObjs[o] = s
		}
	}
	l.uses = newUseSet(l)
	for _, name := range req.Methods {
		l.extends[name] = true
	}
	l.renew()
	l.leaky, l.makers = l.everName(req.Leaky), l.everName(req.Makers)
	return l, nil
}
