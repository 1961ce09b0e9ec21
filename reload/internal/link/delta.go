package link

import (
	"bytes"
	"maps"
	"slices"
)

// A Delta is what one refresh changes in a [State]: how states are kept on disk, generation by
// generation. Its form is gob's.
type Delta struct {
	Generation uint32
	ArenaNext  uint64
	Widened    bool
	Types      bool // widened
	Born       mapDelta[Key, Symbol]
	Renewed    mapDelta[string, bool]
	Layouts    mapDelta[string, Layout]
	Signatures mapDelta[string, string]
	Was        mapDelta[string, []string]
	Bodies     mapDelta[uint64, Body]
	Lines      mapDelta[uint64, Lines]
	Dicts      mapDelta[string, string]
	Calls      mapDelta[string, []string]
	Puts       mapDelta[string, Puts]
	Strays     mapDelta[string, bool]
	Memory     mapDelta[uint64, []byte]
	Slots      mapDelta[uint64, []byte]
	Methods    mapDelta[signature, bool]
	Names      mapDelta[string, bool]
	InIface    mapDelta[string, bool]
	Reflect    bool
	Joined     mapDelta[string, bool]
	Extended   mapDelta[string, bool]
	Caches     mapDelta[uint64, string]
	Chunks     []Chunk // that old has not
}

type mapDelta[K comparable, V any] struct {
	Set  map[K]V
	Drop []K
}

func diffMap[K comparable, V any](old, new map[K]V, same func(a, b V) bool) mapDelta[K, V] {
	d := mapDelta[K, V]{}
	for k, v := range new {
		if o, ok := old[k]; !ok || !same(o, v) {
			if d.Set == nil {
				d.Set = map[K]V{}
			}
			d.Set[k] = v
		}
	}
	for k := range old {
		if _, ok := new[k]; !ok {
			d.Drop = append(d.Drop, k)
		}
	}
	return d
}

func (d mapDelta[K, V]) apply(m map[K]V) map[K]V {
	if len(d.Set) == 0 && len(d.Drop) == 0 {
		return m
	}
	m = orNew(maps.Clone(m))
	for k, v := range d.Set {
		m[k] = v
	}
	for _, k := range d.Drop {
		delete(m, k)
	}
	return m
}

func equal[V comparable](a, b V) bool { return a == b }

func sameLines(a, b Lines) bool {
	return a.StartLine == b.StartLine && a.File == b.File && slices.Equal(a.Spans, b.Spans)
}

func sameLayout(a, b Layout) bool {
	return a.Type == b.Type && a.Size == b.Size && a.Kind == b.Kind && a.Partial == b.Partial && slices.Equal(a.Fields, b.Fields) && slices.Equal(a.Methods, b.Methods)
}

// Since returns what leads from an older state to s.
func (s *State) Since(old *State) *Delta {
	a, b := old.uses(), s.uses()
	return &Delta{
		Generation: s.Generation,
		ArenaNext:  s.ArenaNext,
		Widened:    s.Widened,
		Types:      s.TypesWidened,
		Born:       diffMap(old.Born, s.Born, equal),
		Renewed:    diffMap(old.Renewed, s.Renewed, equal),
		Layouts:    diffMap(old.Layouts, s.Layouts, sameLayout),
		Signatures: diffMap(old.Signatures, s.Signatures, equal),
		Was:        diffMap(old.Was, s.Was, slices.Equal),
		Bodies:     diffMap(old.Bodies, s.Bodies, equal),
		Lines:      diffMap(old.Lines, s.Lines, sameLines),
		Dicts:      diffMap(old.Dicts, s.Dicts, equal),
		Calls:      diffMap(old.Calls, s.Calls, slices.Equal),
		Puts:       diffMap(old.Puts, s.Puts, samePuts),
		Strays:     diffMap(old.Strays, s.Strays, equal),
		Memory:     diffMap(old.Memory, s.Memory, bytes.Equal),
		Slots:      diffMap(old.Slots, s.Slots, bytes.Equal),
		Methods:    diffMap(a.Methods, b.Methods, equal),
		Names:      diffMap(a.Names, b.Names, equal),
		InIface:    diffMap(a.InIface, b.InIface, equal),
		Reflect:    b.Reflect,
		Joined:     diffMap(old.Joined, s.Joined, equal),
		Extended:   diffMap(old.Extended, s.Extended, equal),
		Caches:     diffMap(old.Caches, s.Caches, equal),
		Chunks:     slices.Clone(s.Chunks[len(old.Chunks):]),
	}
}

func (s *State) uses() *Uses {
	if s.Uses == nil {
		return &Uses{}
	}
	return s.Uses
}

// With returns s changed by a delta that was made against it.
func (s *State) With(d *Delta) *State {
	u := s.uses()
	c := *s
	c.Generation, c.ArenaNext, c.Widened, c.TypesWidened = d.Generation, d.ArenaNext, d.Widened, d.Types
	c.Born = d.Born.apply(s.Born)
	c.Renewed = d.Renewed.apply(s.Renewed)
	c.Layouts = d.Layouts.apply(s.Layouts)
	c.Signatures = d.Signatures.apply(s.Signatures)
	c.Was = d.Was.apply(s.Was)
	c.Bodies = d.Bodies.apply(s.Bodies)
	c.Lines = d.Lines.apply(s.Lines)
	c.Dicts = d.Dicts.apply(s.Dicts)
	c.Calls = d.Calls.apply(s.Calls)
	c.Puts = d.Puts.apply(s.Puts)
	c.Strays = d.Strays.apply(s.Strays)
	c.Memory = d.Memory.apply(s.Memory)
	c.Slots = d.Slots.apply(s.Slots)
	c.Joined = d.Joined.apply(s.Joined)
	c.Extended = d.Extended.apply(s.Extended)
	c.Caches = d.Caches.apply(s.Caches)
	c.Chunks = append(slices.Clip(s.Chunks), d.Chunks...)
	c.Uses = &Uses{
		Methods: d.Methods.apply(u.Methods),
		Names:   d.Names.apply(u.Names),
		InIface: d.InIface.apply(u.InIface),
		Reflect: d.Reflect,
	}
	return &c
}
