package link

import (
	"cmp"
	"maps"
	"slices"
)

// A Key names a symbol: two symbols are the same one when their keys are equal.
type Key struct {
	Name string
	ABI  uint16 // of a function: 0 or 1; of data: 0
}

// A State is what the linker must know of one process beyond its image: what earlier patches put
// there. A State is not changed once made: [Link] returns a new one that shares what it can.
// Addresses are of the running process.
type State struct {
	Bias       uint64 // load address minus link-time address
	Generation uint32
	ArenaNext  uint64 // where the next patch goes, page aligned
	ArenaHi    uint64 // end of the room for patches

	Born         map[Key]Symbol      // symbols that patches brought, or that they moved away from the image's
	Was          map[string][]string // by function: the names that it got later, and under which it goes on
	Layouts      map[string]Layout   // by type that is not the build's, or no longer: what code takes for granted of it
	Signatures   map[string]string   // by function that a patch brought: its parameters and results
	Renewed      map[string]bool     // declarations that are not those of the build: nothing of the image that mentions them counts
	Bodies       map[uint64]Body     // by first address: functions whose live body is not the image's
	Lines        map[uint64]Lines    // by address of a runtime._func: line tables that differ from the image's
	Dicts        map[string]string   // by name: fingerprints of the dictionaries that patches brought
	Calls        map[string][]string // by name: what any body of a function that a patch brought calls directly
	Puts         map[string]Puts     // by name: types of which functions that patches brought put values into interfaces
	Strays       map[string]bool     // names of functions of patches that closures may have the code of though the source has it no more
	Uses         *Uses               // what patches use beyond the build's own uses; nil at generation 0
	Memory       map[uint64][]byte   // bytes that patches wrote over older ones, by address
	Slots        map[uint64][]byte   // the part of Memory that a rollback leaves: revived method slots
	Chunks       []Chunk             // bytes that patches brought, by ascending address
	Extended     map[string]bool     // types that got or lost methods, by link name
	Caches       map[uint64]string   // type assertions and type switches of patches, by address: see emptyCaches
	Joined       map[string]bool     // packages that the build lacks and that are initialised, as in object files
	Widened      bool                // the image's line tables reach into the arena
	TypesWidened bool                // and so do its types
}

// A Symbol is one that a patch brought.
type Symbol struct {
	Addr   uint64
	Print  string // of a type or variable that is not the build's: what must be the same of it
	Stable bool   // the same in any version of the source that the build's objects were made from
}

// A Chunk is memory that a patch brought, as it was when loaded.
type Chunk struct {
	Addr uint64
	Data []byte
}

// A Body is the newest code of one function.
type Body struct {
	Name      string
	Lo, Hi    uint64 // [Lo, Hi) in text
	Func      uint64 // address of its runtime._func
	Tables    FileTables
	File      string // of its declaration
	StartLine int
	Wrapper   bool // the compiler made it up
	Stable    bool // it is the build's own
}

// A Lines is a function's line table as it stands now, and what is needed to move it again.
type Lines struct {
	StartLine int
	File      string
	Spans     []lineSpan
}

// NewState returns the state of a process at generation 0.
func NewState(bias, arenaNext, arenaHi uint64) *State {
	return &State{Bias: bias, ArenaNext: arenaNext, ArenaHi: arenaHi}
}

// clone returns a state whose maps can be added to without changing s.
func (s *State) clone() *State {
	c := *s
	c.Born = orNew(maps.Clone(s.Born))
	c.Renewed = orNew(maps.Clone(s.Renewed))
	c.Layouts = orNew(maps.Clone(s.Layouts))
	c.Signatures = orNew(maps.Clone(s.Signatures))
	c.Was = orNew(maps.Clone(s.Was))
	c.Bodies = orNew(maps.Clone(s.Bodies))
	c.Lines = orNew(maps.Clone(s.Lines))
	c.Dicts = orNew(maps.Clone(s.Dicts))
	c.Calls = orNew(maps.Clone(s.Calls))
	c.Puts = orNew(maps.Clone(s.Puts))
	c.Strays = orNew(maps.Clone(s.Strays))
	c.Memory = orNew(maps.Clone(s.Memory))
	c.Slots = orNew(maps.Clone(s.Slots))
	c.Joined = orNew(maps.Clone(s.Joined))
	c.Extended = orNew(maps.Clone(s.Extended))
	c.Caches = orNew(maps.Clone(s.Caches))
	c.Chunks = slices.Clone(s.Chunks)
	return &c
}

// Signature returns the parameters and results with which the process has a function; "" if that is not known. built is
// Request.Built.
func (s *State) Signature(name string, built func(name string) (string, error)) (string, error) {
	if was, ok := s.Signatures[name]; ok || built == nil || s.hidden(name) {
		return was, nil
	}
	return built(name)
}

func orNew[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// chunk returns n bytes of what a patch brought.
func (s *State) chunk(addr uint64, n int) ([]byte, bool) {
	i, exact := slices.BinarySearchFunc(s.Chunks, addr, func(c Chunk, addr uint64) int { return cmp.Compare(c.Addr, addr) })
	if !exact {
		i--
	}
	if i < 0 || addr-s.Chunks[i].Addr+uint64(n) > uint64(len(s.Chunks[i].Data)) {
		return nil, false
	}
	return s.Chunks[i].Data[addr-s.Chunks[i].Addr:][:n], true
}

// Undone returns the state after the refresh that led from s to after was taken back: the code of s,
// beside all that stays in memory. Types must stay known, since values of them may live on; so must
// what pruned method slots now point to, and what the bodies call that goroutines may still be inside of.
// The moves say where code of the source of after stands in that of s.
func (s *State) Undone(after *State, moves []LineMove) *State {
	u := s.clone()
	u.Generation = after.Generation + 1
	u.ArenaNext, u.Chunks, u.Uses = after.ArenaNext, after.Chunks, after.Uses
	u.TypesWidened, u.Joined, u.Caches, u.Was = after.TypesWidened, after.Joined, after.Caches, after.Was
	u.Calls, u.Puts = after.Calls, undonePuts(s.Puts, after.Puts)
	maps.Copy(u.Strays, after.Strays)
	for entry, b := range after.Bodies {
		if s.Bodies[entry].Lo != b.Lo {
			u.Strays[b.Name] = true
			// Functions that stay make closures of theirs, which have no name of their own from Go 1.27 on.
			if b.Stable && isLiteral(b.Name) && (!after.hidden(b.Name) || s.hidden(b.Name)) {
				u.keepBody(after, entry, moves)
			}
		}
	}
	for key, sym := range after.Born {
		if _, ok := s.Born[key]; !ok && sym.Stable && (!after.hidden(key.Name) || s.hidden(key.Name)) {
			u.Born[key] = sym
			u.keepBody(after, sym.Addr, moves)
		}
	}
	for addr, b := range after.Slots {
		u.Memory[addr] = b
	}
	u.Slots = after.Slots
	return u
}

// keepBody has s know of code that a refresh brought which is taken back, at its place in the source of s.
func (s *State) keepBody(after *State, entry uint64, moves []LineMove) {
	b, ok := after.Bodies[entry]
	if !ok || b.Lo != entry {
		return
	}
	b.File, b.StartLine = moveLine(moves, b.File, b.StartLine)
	s.Bodies[entry] = b
	if lines, ok := after.Lines[b.Func]; ok {
		s.Lines[b.Func] = lines.moved(moves)
	}
}

// At returns s with the room for the next patch beginning at an address: refused patches use up room, too.
func (s *State) At(arenaNext uint64) *State {
	u := *s
	u.ArenaNext = max(s.ArenaNext, arenaNext)
	return &u
}
