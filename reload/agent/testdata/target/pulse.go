package main

import "sync/atomic"

// pulse spends most of its time in work, which never yields, and comes out of it again and again. Neither work nor other may
// be nosplit: such functions are never interrupted.
func pulse(stop *int32) {
	for atomic.LoadInt32(stop) == 0 {
		rounds += work(20000)
		rounds += other(20000)
	}
}

var rounds int

//go:noinline
func work(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum ^= i
	}
	return sum
}

//go:noinline
func other(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum ^= i
	}
	return sum
}
