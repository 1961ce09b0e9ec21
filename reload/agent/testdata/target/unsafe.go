package main

import (
	"reflect"
	"unsafe"
)

//go:nocheckptr
func at(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

func pointerTo(i *shaper) unsafe.Pointer { return unsafe.Pointer(i) }

func pointerOf(t reflect.Type) uintptr {
	return (*[2]uintptr)(unsafe.Pointer(&t))[1]
}
