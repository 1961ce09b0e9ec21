// Package work is what a program starts with before the real work is swapped in; folder real has that.
package work

// A Record is something to sort.
type Record struct {
	Key  uint64
	Name string
}

// Digest is a hash of 32 bytes.
func Digest(p []byte) [32]byte { return [32]byte{} }

// Sort orders a list in place.
func Sort(list []Record, less func(a, b *Record) bool) {}

// Parse counts the values of a text in JSON.
func Parse(text []byte) (int, error) { return 0, nil }
