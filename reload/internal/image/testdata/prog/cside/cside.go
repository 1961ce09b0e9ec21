//go:build withc

// Package cside calls C, and C calls it.
package cside

// static int half(int x) { return x / 2; }
// extern int goSquare(int);
// static int viaGo(int x) { return goSquare(x); }
import "C"

//export goSquare
func goSquare(x C.int) C.int { return x * x }

func Half(x int) int { return int(C.half(C.int(x))) + int(C.viaGo(3)) }
