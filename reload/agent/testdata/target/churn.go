package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// churn makes threads come and go: locked ones that wait for each other, system calls that block, timers, collections,
// processors taken away and given back.
func churn(stop *int32) {
	a, b := make(chan int), make(chan int)
	for _, c := range [][2]chan int{{a, b}, {b, a}} {
		go func(in, out chan int) {
			runtime.LockOSThread()
			for atomic.LoadInt32(stop) == 0 {
				select {
				case n := <-in:
					select {
					case out <- n:
					case <-time.After(10 * time.Millisecond):
					}
				case <-time.After(10 * time.Millisecond):
				}
			}
		}(c[0], c[1])
	}
	go func() { a <- 1 }()
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		panic(err)
	}
	go func() {
		for atomic.LoadInt32(stop) == 0 {
			var b [1]byte
			syscall.Read(p[0], b[:])
		}
	}()
	go func() {
		for atomic.LoadInt32(stop) == 0 {
			syscall.Write(p[1], []byte("x"))
			time.Sleep(50 * time.Microsecond)
		}
		syscall.Write(p[1], []byte("x"))
	}()
	go func() {
		for n := 1; atomic.LoadInt32(stop) == 0; n++ {
			runtime.GC()
			runtime.GOMAXPROCS(1 + n%3)
			go runtime.LockOSThread() // the thread ends with its goroutine
		}
	}()
}
