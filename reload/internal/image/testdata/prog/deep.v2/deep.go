// Package deep has a dot in the last element of its path.
package deep

//go:noinline
func Twice(x int) int { return 2 * x }
