package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"limeade.test/stress/mark"
	"limeade.test/stress/work"
)

// members is how many goroutines wait within a swapped function all the time.
const members = 10_000

// A crowd is goroutines that wait within work.Park; a few at a time are woken, check what they got, and wait again.
type crowd struct {
	wake     []chan uint64
	wait     sync.WaitGroup
	old, new atomic.Int64
}

// token is what a member is woken with in a round.
func token(id, round int) uint64 { return uint64(id)*1_000_003 + uint64(round) }

func gather() *crowd {
	c := &crowd{wake: make([]chan uint64, members)}
	for id := range c.wake {
		c.wake[id] = make(chan uint64)
		c.wait.Add(1)
		go c.member(id)
	}
	return c
}

func (c *crowd) member(id int) {
	defer c.wait.Done()
	for round := 0; ; round++ {
		v, got := work.Park(c.wake[id], uint64(id))
		if stopping.Load() {
			return
		}
		n, err := exact(v, got, uint64(id), token(id, round))
		if err != nil {
			violation("parked goroutine", fmt.Errorf("member %d, round %d: %w", id, round, err))
		}
		c.old.Add(int64(n.Old))
		c.new.Add(int64(n.New))
	}
}

// stir wakes members in turn, a bounded number each tick, until the program stops.
func (c *crowd) stir() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	id, round := 0, 0
	for !stopping.Load() {
		<-tick.C
		for range 40 {
			c.wake[id] <- token(id, round)
			if id++; id == members {
				id, round = 0, round+1
			}
		}
	}
	for _, ch := range c.wake {
		close(ch)
	}
}

// Resources that were handed to finalizers, and those that came back.
var made, freed, freedBroken atomic.Int64

// litter makes garbage with finalizers until the program stops.
func litter() {
	release := work.Release
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for seed := uint64(1); !stopping.Load(); seed++ {
		<-tick.C
		r := &mark.Resource{Tail: &mark.Node{Mark: seed}}
		for i := range r.Fill {
			r.Fill[i] = seed + uint64(i)
		}
		made.Add(1)
		runtime.SetFinalizer(r, func(r *mark.Resource) {
			if !release(r, seed) {
				freedBroken.Add(1)
			}
			freed.Add(1)
		})
	}
}

// sweep collects until every finalizer but a few has run; what a register or a dead slot still names may live on.
func sweep() error {
	deadline := time.Now().Add(30 * time.Second)
	for freed.Load() < made.Load()-2 {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d finalizers ran", freed.Load(), made.Load())
		}
		runtime.GC()
	}
	if n := freedBroken.Load(); n > 0 {
		return fmt.Errorf("%d objects were changed before their finalizers ran", n)
	}
	return nil
}

// profile samples the program at 500 Hz, in runs of a second each, so that what was sampled in swapped functions is
// looked up as well. StartCPUProfile keeps the rate that it finds and says so on standard error.
func profile() {
	for !stopping.Load() {
		runtime.SetCPUProfileRate(500)
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			violation("profile", err)
		}
		<-time.After(time.Second)
		pprof.StopCPUProfile()
	}
}

// collect stops the world for its own ends, beside what the refreshes do.
func collect() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var m runtime.MemStats
	for !stopping.Load() {
		<-tick.C
		runtime.GC()
		runtime.ReadMemStats(&m)
	}
}
