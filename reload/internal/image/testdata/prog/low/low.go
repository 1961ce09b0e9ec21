// Package low is partly written in assembly.
package low

// Add is in assembly, Table's content too.
func Add(a, b int) int

var Table [4]int64

func helper(x int) int { return x + 1 }
