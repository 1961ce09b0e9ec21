// Package facts knows what one type-checked package says about itself, in a form that is small, can be kept, and does
// not hold on to syntax or types: what each declaration refers to, which closures it makes, whether it may be inlined. It
// must never know two versions of a package, or what an edit does.
package facts

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
)

// Package is what there is to know of one package.
type Package struct {
	Path       string
	API        Fingerprint
	Names      []string // what the numbers below stand for
	Decls      []Decl   // in package order
	Locals     []LocalType
	Promotions []Promotion
	Linked     []string // what //go:linkname directives name: link names

	byName map[string]int32 // into Decls
	number map[string]uint32
	users  [][]int32 // by number: which of Decls refer to it
}

// Decl is what there is to know of one declaration. Lists of numbers are sorted and refer to Package.Names.
type Decl struct {
	Name  string // link name
	Kind  decl.Kind
	Flags Flags
	Type  Fingerprint // what others can know of it: its type, a constant's value, what a type is made of
	Value Fingerprint // of a variable's initialiser, however the names in it are imported; 0 if function literals are in it
	Call  uint32      // how Dynamic names it: of a method, and with a profile of a function; 0 for others, Names[0] is ""

	Size      int // syntax nodes of a function's body, at most MaxSize
	Refs      []Ref
	Dynamic   []uint32 // methods of interfaces that it calls or takes: "Name signature"; with a profile, of func values " signature"
	Holds     []uint32 // types with methods that expressions in it have: link names
	Values    []uint32 // methods that it takes as values, by their receiver: "pkg.T.M" or "pkg.(*T).M"
	Instances []uint32 // generic functions and types with the type arguments that they are used with
	Imports   []uint32 // packages that it names: paths
	Unnamed   []uint32 // methods that unnamed struct types of expressions in it have through embedding: link names
	Exposes   []uint32 // package variables that it writes to, or lets out to where they could be written to: link names
	Parts     []uint32 // of a variable: others of which its initialiser puts parts into it
	Taken     []uint32 // functions and methods that it names without calling them: link names
	Made      []uint32 // declared types that its own type, or what a type is made of, is written with: link names
	Closures  []*Closure
}

// MaxSize is how far Decl.Size counts.
const MaxSize = 200

// Flags are properties of a declaration.
type Flags uint16

// The flags.
const (
	Generic      Flags = 1 << iota // has type parameters, or is a method of a type that has
	NeverInlined                   // is certainly not inlined anywhere
	Endless                        // has a loop that may run for as long as the process does
	Inert                          // a blank variable whose initialiser does nothing
	UsesCgo                        // names something of C
	Unrepeatable                   // what it does cannot be done again: somebody would see it, or it need not give the same
	Calls                          // of a variable: its initialiser calls something
	RunsLiteral                    // of a variable: its initialiser calls a function literal, or has it called
	HandsLiteral                   // of a variable: its initialiser has a function literal called that it passes on
	CallsBack                      // it calls functions that may call methods of what they are given
)

// Ref is a reference to a declaration: from the low bits up, whether one of its places is a call, or the use of a value, that
// runs whenever the declaration does, whether one is in a function literal that does not run at once and to its end, how many places there are up to
// MaxCount, and the number of the target in Package.Names. Functions that are only put into a composite literal are
// referred to, but at no place: they are not called there, and so not inlined.
type Ref uint64

// MaxCount is the number of places that a Ref counts up to.
const MaxCount = 1<<6 - 1

func newRef(target uint32, runs, literal bool, count int) Ref {
	r := Ref(target)<<8 | Ref(min(count, MaxCount))<<2
	if runs {
		r |= 1
	}
	if literal {
		r |= 2
	}
	return r
}

// Target returns the number of what is referred to.
func (r Ref) Target() uint32 { return uint32(r >> 8) }

// Runs reports whether a place is a call that runs with the declaration, or the use of a value.
func (r Ref) Runs() bool { return r&1 != 0 }

// InLiteral reports whether a place is in a function literal that is not called where it stands, or in a goroutine.
func (r Ref) InLiteral() bool { return r&2 != 0 }

// Count returns the number of places where the compiler may see a call, at most MaxCount.
func (r Ref) Count() int { return int(r>>2) & MaxCount }

// LocalType is a type that is declared in a function. The compiler numbers them through the package: in a build the first one
// is number 1 (cmd/compile/internal/noder/writer.go, declCollector).
type LocalType struct {
	Owner string // link name of the declaration that it is in
	Name  string
	Shape Fingerprint // of what it is made of
}

// Promotion is a method that a type has through embedding: the compiler makes wrappers of it.
type Promotion struct {
	Type   string // link name of the type; a local one has its place in Package.Locals, from 1, after "·"
	Method string
	Target string // link name of the method
}

// Decl returns the declaration with that link name, nil if the package has none.
func (p *Package) Decl(name string) *Decl {
	if i, ok := p.byName[name]; ok {
		return &p.Decls[i]
	}
	return nil
}

// Users calls f with each declaration that refers to name.
func (p *Package) Users(name string, f func(d *Decl, r Ref)) {
	n, ok := p.number[name]
	if !ok {
		return
	}
	for _, i := range p.users[n] {
		d := &p.Decls[i]
		at := sort.Search(len(d.Refs), func(k int) bool { return d.Refs[k].Target() >= n })
		f(d, d.Refs[at])
	}
}

// Number returns the number of a name in Names, false if it is not there.
func (p *Package) Number(name string) (uint32, bool) {
	n, ok := p.number[name]
	return n, ok
}

func (p *Package) index() {
	p.byName = make(map[string]int32, len(p.Decls))
	p.users = make([][]int32, len(p.Names))
	p.number = make(map[string]uint32, len(p.Names))
	for i, name := range p.Names {
		p.number[name] = uint32(i)
	}
	for i := range p.Decls {
		p.byName[p.Decls[i].Name] = int32(i)
		for _, r := range p.Decls[i].Refs {
			p.users[r.Target()] = append(p.users[r.Target()], int32(i))
		}
	}
}

// MadeOf returns the link name of a type of a set that d is written with, "" if there is none.
func (p *Package) MadeOf(d *Decl, set map[string]bool) string {
	for _, n := range d.Made {
		if set[p.Names[n]] {
			return p.Names[n]
		}
	}
	return ""
}

// IsMadeOf reports whether there is one.
func (p *Package) IsMadeOf(d *Decl, set map[string]bool) bool { return p.MadeOf(d, set) != "" }

// Local returns the place in Locals, from 0, of a type that is declared in a function, by its name in Promotions; -1 for any
// other type.
func (p *Package) Local(name string) int {
	_, number, _ := strings.Cut(name, "·")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(p.Locals) {
		return -1
	}
	return n - 1
}

// Method returns the name of a method without its receiver, given the link name of a method or function.
func Method(link string) string { return link[strings.LastIndexByte(link, '.')+1:] }

// Calls reports whether d, of package p, calls a method of an interface with that call name; for one of generic code
// the name alone must fit.
func (d *Decl) Calls(p *Package, call string, generic bool) bool {
	return slices.ContainsFunc(d.Dynamic, func(n uint32) bool {
		return p.Names[n] == call || generic && calledName(p.Names[n]) == calledName(call)
	})
}

// calledName is the method's name in what Dynamic has of a call.
func calledName(call string) string {
	name, _, _ := strings.Cut(call, " ")
	return name
}
