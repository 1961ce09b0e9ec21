// Package store keeps values.
package store

const limit = 3

// A Store keeps values by name.
type Store struct {
	values map[string]int
	hits   int
}

// Default is the one store.
var Default = &Store{values: map[string]int{"a": 1}}

// Get returns a value.
func (s *Store) Get(name string) int {
	s.hits++
	return s.values[name]
}

// Len returns the number of values.
func (s *Store) Len() int { return min(len(s.values), limit) }

// Sized has a size.
type Sized interface{ Len() int }

// Twice is twice the size.
func Twice(s Sized) int { return 2 * s.Len() }
