// Command target is patched by the agent's tests. Its first argument says how it runs; "serve" reads commands from
// standard input, one a line, and answers each with one line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// answer is replaced by hand-made code: it must be a leaf of at least 16 bytes.
//
//go:noinline
//go:nosplit
func answer() int {
	if never != 0 {
		return never + 1
	}
	return 1
}

var never int

// caller calls answer all the time.
func caller(stop *int32) {
	n := int64(0)
	for atomic.LoadInt32(stop) == 0 {
		if a := answer(); a != 1 && a != 42 {
			panic("answer is " + strconv.Itoa(a))
		}
		n++
		if n%1000 == 0 {
			garbageOf(int(n))
		}
	}
	atomic.AddInt64(&called, n)
}

var called int64

//go:noinline
func garbageOf(n int) *square { return &square{n} }

// spin has its loop head near its entry.
//
//go:noinline
func spin(stop, beat *int32) {
	for *stop == 0 {
		*beat = 1
	}
}

var stopSpin int32

// inside starts n goroutines and waits until each has set its beat.
func inside(n int, start func(beat *int32)) {
	atomic.StoreInt32(&stopSpin, 0)
	for i := 0; i < n; i++ {
		beat := new(int32)
		go start(beat)
		for atomic.LoadInt32(beat) == 0 {
			runtime.Gosched()
		}
	}
}

// park keeps a frame of its own while it waits.
//
//go:noinline
func park(ready *sync.WaitGroup, c chan int) int {
	ready.Done()
	return <-c + 1
}

// deep waits at the end of a recursion.
//
//go:noinline
func deep(n int, ready *sync.WaitGroup, c chan int) int {
	if n == 0 {
		ready.Done()
		return <-c
	}
	return deep(n-1, ready, c) + 1
}

// readIn keeps a frame of its own in a system call.
//
//go:noinline
func readIn(fd int) (n int) {
	var b [1]byte
	n, _ = syscall.Read(fd, b[:])
	return n + 1
}

// grow is interrupted again and again in its prologue and in those of what it calls.
//
//go:noinline
func grow(stop, beat *int32) int {
	sum := 0
	for atomic.LoadInt32(stop) == 0 {
		atomic.StoreInt32(beat, 1)
		sum += leaf(sum)
	}
	return sum
}

//go:noinline
func leaf(n int) int {
	var big [64]int
	for i := range big {
		big[i] = n + i
	}
	return big[n&63]
}

// hook is called by patches.
//
//go:noinline
func hook() {
	runtime.GC()
	atomic.AddInt32(&hooks, 1)
}

var hooks int32

//go:noinline
func boom() { panic("boom in target") }

//go:noinline
func block() { select {} }

type shaper interface{ Shape() string }

type square struct{ side int }

func (s *square) Shape() string { return "square" + strconv.Itoa(s.side) }

// slot is where a patch leaves a pointer.
var slot uintptr

// secret is a type whose slice type the program lacks until a patch brings it.
type secret struct{ a, b int }

//go:noinline
func keep(v interface{}) reflect.Type { return reflect.TypeOf(v) }

func main() {
	switch os.Args[1] {
	case "serve":
		serve()
	case "deadlock":
		select {}
	case "mutex":
		var mu sync.Mutex
		mu.Lock()
		mu.Lock()
	case "goexit":
		runtime.Goexit()
	case "late": // blocks for ever only when a line has come
		b := make([]byte, 1)
		os.Stdin.Read(b)
		select {}
	case "busy": // has nothing to wait for and is no deadlock
		b := make([]byte, 1)
		os.Stdin.Read(b)
		fmt.Println("done")
	case "panic":
		panic("target panics")
	case "dump":
		b := make([]byte, 1<<16)
		fmt.Printf("%d\n%s", runtime.NumGoroutine(), b[:runtime.Stack(b, true)])
	case "signals":
		fmt.Println(signal.Ignored(syscall.SIGHUP), signal.Ignored(syscall.SIGINT), signal.Ignored(syscall.SIGIO))
		status, _ := os.ReadFile("/proc/self/status")
		for _, line := range strings.Split(string(status), "\n") {
			if strings.HasPrefix(line, "Sig") || strings.HasPrefix(line, "Shd") {
				fmt.Println(line)
			}
		}
	case "exec":
		panic(syscall.Exec(os.Args[0], []string{os.Args[0], "serve"}, os.Environ()))
	case "child":
		cmd := exec.Command(os.Args[0], "serve")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Println(cmd.Process.Pid)
		cmd.Wait()
	}
}

func serve() {
	fmt.Println("ready")
	parked := make(chan int)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word := strings.Fields(in.Text())
		n := 0
		if len(word) > 1 {
			n, _ = strconv.Atoi(word[1])
		}
		switch word[0] {
		case "answer":
			fmt.Println(answer())
		case "park", "deep":
			var ready sync.WaitGroup
			if word[0] == "deep" {
				ready.Add(1)
				go deep(n, &ready, parked)
			} else {
				ready.Add(n)
				for i := 0; i < n; i++ {
					go park(&ready, parked)
				}
			}
			ready.Wait()
			fmt.Println("ok")
		case "unpark":
			for i := 0; i < n; i++ {
				parked <- 1
			}
			fmt.Println("ok")
		case "read":
			var p [2]int
			if err := syscall.Pipe(p[:]); err != nil {
				panic(err)
			}
			go readIn(p[0])
			fmt.Println("ok")
		case "spin":
			inside(n, func(beat *int32) { spin(&stopSpin, beat) })
			fmt.Println("ok")
		case "churn":
			atomic.StoreInt32(&stopSpin, 0)
			churn(&stopSpin)
			fmt.Println("ok")
		case "call":
			atomic.StoreInt32(&stopSpin, 0)
			for i := 0; i < n; i++ {
				go caller(&stopSpin)
			}
			fmt.Println("ok")
		case "pulse":
			atomic.StoreInt32(&stopSpin, 0)
			for i := 0; i < n; i++ {
				go pulse(&stopSpin)
			}
			fmt.Println("ok")
		case "grow":
			inside(n, func(beat *int32) { grow(&stopSpin, beat) })
			fmt.Println("ok")
		case "stop":
			atomic.StoreInt32(&stopSpin, 1)
			fmt.Println("ok")
		case "hooks":
			fmt.Println(atomic.LoadInt32(&hooks))
		case "slot":
			fmt.Println(slot)
		case "heap": // leaves a pointer to the heap in a word of a patch, and nowhere else
			p := new(square)
			p.side = 7
			addr, _ := strconv.ParseUint(word[1], 10, 64)
			*(**square)(at(uintptr(addr))) = p
			fmt.Println("ok")
		case "side":
			addr, _ := strconv.ParseUint(word[1], 10, 64)
			for i := 0; i < 3; i++ {
				runtime.GC()
				fill()
			}
			fmt.Println((*(**square)(at(uintptr(addr)))).side)
		case "itab":
			addr, _ := strconv.ParseUint(word[1], 10, 64)
			var i shaper = &square{3}
			fmt.Println(*(*uintptr)(at(uintptr(addr))) == *(*uintptr)(pointerTo(&i)), i.Shape())
		case "sliceof":
			fmt.Printf("%#x\n", pointerOf(reflect.SliceOf(keep(secret{}))))
		case "types": // addresses of descriptors: the interface, *square, secret, []int
			fmt.Printf("%d %d %d %d\n", pointerOf(reflect.TypeOf((*shaper)(nil)).Elem()),
				pointerOf(keep(&square{})), pointerOf(keep(secret{})), pointerOf(keep([]int{})))
		case "never":
			hook()
			boom()
			block()
		case "goroutines":
			fmt.Println(runtime.NumGoroutine())
		case "trace":
			fmt.Println(trace())
		default:
			fmt.Println("unknown command")
		}
	}
}

// fill fills the free memory.
func fill() {
	for i := 0; i < 1000; i++ {
		garbage = append(garbage, &square{i + 1000})
	}
	garbage = nil
}

var garbage []*square

// trace calls the traced function and says which functions its stack named.
func trace() string {
	traced = ""
	through()
	return traced
}

var traced string

//go:noinline
func through() { note() }

//go:noinline
func note() {
	pc := make([]uintptr, 10)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	for {
		f, more := frames.Next()
		traced += f.Function + " "
		if !more || f.Function == "main.trace" {
			return
		}
	}
}
