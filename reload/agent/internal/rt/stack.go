//go:build linux && amd64 && go1.25

package rt

import "sort"

// goroutines returns the number of goroutines there are or were, and the address of an array of pointers to them. None is
// ever freed. The length is read first, as in runtime.atomicAllG (runtime/proc.go).
//
//go:norace
//go:nocheckptr
func (r *Runtime) goroutines() (n, list uintptr) {
	n = load(uintptr(r.AllGLen))
	return n, load(uintptr(r.AllGPtr))
}

// status is the goroutine's state without the scan bit.
//
//go:norace
//go:nocheckptr
func (r *Runtime) status(g uintptr) uint32 {
	return load32(g+uintptr(r.GAtomicStatusOffset)) &^ uint32(r.Gscan)
}

// A place is where code was left: its pc, its stack pointer, and the frame pointer of the innermost frame that has one.
type place struct{ pc, sp, bp uintptr }

// frame reads the frame record at bp: the caller's frame pointer and the return address. ok is false if there is none
// within the stack.
//
//go:norace
//go:nocheckptr
func (r *Runtime) frame(g, bp uintptr) (caller, ret uintptr, ok bool) {
	lo, hi := load(g+uintptr(r.GStackLoOffset)), load(g+uintptr(r.GStackHiOffset))
	if bp < lo || bp%8 != 0 || bp >= hi || hi-bp < 16 {
		return 0, 0, false
	}
	return load(bp), load(bp + 8), true
}

// interruptedAt finds where a goroutine that the runtime has marked with asyncSafePoint was interrupted. A signal made
// it call asyncPreempt, which has a frame of its own and called asyncPreempt2, which gave up the processor through
// mcall; the return address in asyncPreempt's frame is the interrupted pc (runtime/preempt.go, preempt_amd64.s). ok is
// false if the stack does not look like that.
//
//go:norace
//go:nocheckptr
func (r *Runtime) interruptedAt(g uintptr) (place, bool) {
	if !r.inAsyncPreempt2(load(g + uintptr(r.GSchedPCOffset))) {
		return place{}, false
	}
	outer, ret, ok := r.frame(g, load(g+uintptr(r.GSchedBPOffset)))
	if !ok || !r.inAsyncPreempt(ret) {
		return place{}, false
	}
	bp, pc, ok := r.frame(g, outer)
	if !ok {
		return place{}, false
	}
	return place{pc: pc, sp: outer + 16, bp: bp}, true
}

//go:norace
func (r *Runtime) inAsyncPreempt(pc uintptr) bool {
	return uintptr(r.AsyncPreemptLo) < pc && pc <= uintptr(r.AsyncPreemptHi)
}

//go:norace
func (r *Runtime) inAsyncPreempt2(pc uintptr) bool {
	return uintptr(r.AsyncPreempt2Lo) < pc && pc <= uintptr(r.AsyncPreempt2Hi)
}

// spDelta returns how far the stack pointer is below the return address of the frame when execution is at pc, from the
// function's pcsp table (runtime/symtab.go, pcvalue).
//
//go:norace
//go:nocheckptr
func (r *Runtime) spDelta(pc uintptr) (uintptr, bool) {
	f := findfunc(pc)
	if f.fn == nil {
		return 0, false
	}
	table := load(f.datap + uintptr(r.ModPctabOffset))
	size := load(f.datap + uintptr(r.ModPctabOffset) + 8)
	at := uintptr(load32(funcAddr(f.fn) + uintptr(r.FuncPcspOffset)))
	if at == 0 {
		return 0, false
	}
	end := f.fn.Entry()
	value := int32(-1)
	for first := true; ; first = false {
		var step [2]uint32 // value delta, zigzag; pc delta
		for i := range step {
			for shift := uint(0); ; shift += 7 {
				if at >= size || shift > 28 {
					return 0, false
				}
				b := load8(table + at)
				at++
				step[i] |= uint32(b&0x7f) << shift
				if b < 0x80 {
					break
				}
			}
			if i == 0 && step[0] == 0 && !first {
				return 0, false // the end of the table
			}
		}
		value += int32(step[0]>>1) ^ -int32(step[0]&1)
		end += uintptr(step[1])
		if pc < end {
			return uintptr(value), value >= 0
		}
	}
}

// A Body is the code of a function that is looked for. Name is an index into the caller's list of names. Entered says that
// a goroutine at its first byte is inside, as there is no detour ahead of it.
type Body struct {
	Range
	Name    int
	Entered bool
}

// A Census counts goroutines with a frame in one of a set of bodies. It works in slices, each in a stop of the world.
type Census struct {
	// Counts holds the number of goroutines for each name; Partial the number of those of which not all could be read.
	Counts  []uint32
	Partial uint32
	// Pause is the longest stop so far, in nanoseconds.
	Pause int64

	r      *Runtime
	bodies []Body // by address
	hit    []bool // names found in the goroutine at hand
	index  uintptr
	total  uintptr
	resume resumption
	delta  struct { // the last result of spDelta: most goroutines wait in the same place
		pc, delta uintptr
		ok        bool
	}
}

// A resumption is where reading a deep stack goes on in the next slice: a frame pointer, as the distance from the
// stack's high end, which a copied stack keeps. It is used if the goroutine is the same, still as deep, and the frame has
// the same return address.
type resumption struct {
	goid, depth, ret uintptr
	restarts         int
}

// maxRestarts bounds how often a stack is read anew because it changed.
const maxRestarts = 8

// NewCensus prepares a census over names names.
func NewCensus(r *Runtime, bodies []Body, names int) *Census {
	sort.Slice(bodies, func(i, j int) bool { return bodies[i].Lo < bodies[j].Lo })
	return &Census{r: r, bodies: bodies, Counts: make([]uint32, names), hit: make([]bool, names)}
}

// Found returns the first name that a goroutine was found in, the number of names if only a goroutine whose stack could
// not be read in full may be in one, and -1 if there is none.
//
//go:norace
func (c *Census) Found() int {
	for i, n := range c.Counts {
		if n > 0 {
			return i
		}
	}
	if c.Partial > 0 {
		return len(c.Counts)
	}
	return -1
}

// Slice reads stacks for about budget nanoseconds and reports whether all have been read. Nothing in it allocates or blocks.
//
//go:norace
func (c *Census) Slice(budget int64) (done bool) {
	w := c.r.stop(uint8(c.r.StopReason))
	begin := nanotime()
	done = c.inStop(begin + budget)
	c.Pause = max(c.Pause, nanotime()-begin)
	c.r.start(w)
	return done
}

//go:norace
//go:nocheckptr
func (c *Census) inStop(deadline int64) (done bool) {
	n, list := c.r.goroutines()
	if c.total == 0 {
		c.total = n
	}
	for ; c.index < c.total; c.index++ {
		if c.index%16 == 0 && nanotime() > deadline {
			return false
		}
		g := load(list + 8*c.index)
		start, ok := c.start(g)
		if !ok {
			c.finish(false)
			continue
		}
		complete, ended := c.walk(g, start, deadline)
		if !ended {
			return false
		}
		c.finish(!complete)
	}
	return true
}

// finish adds what was found in one goroutine to the counts.
//
//go:norace
func (c *Census) finish(partial bool) {
	for i, hit := range c.hit {
		if hit {
			c.Counts[i]++
			c.hit[i] = false
		}
	}
	if partial {
		c.Partial++
	}
	c.resume = resumption{}
}

// start says where the goroutine was left; ok is false for one without a stack to read, and for the caller's own.
//
//go:norace
//go:nocheckptr
func (c *Census) start(g uintptr) (place, bool) {
	r := c.r
	switch status := r.status(g); uint64(status) {
	case r.Gidle, r.Gdead, r.GdeadExtra:
		return place{}, false
	case r.Grunning, r.Gsyscall:
		// In a system call the stack is that of the call. Since Go 1.26 a goroutine that comes back from one while the
		// world is stopped is already running, without a processor. Only the caller runs and is in no system call.
		at := place{
			load(g + uintptr(r.GSyscallPCOffset)),
			load(g + uintptr(r.GSyscallSPOffset)),
			load(g + uintptr(r.GSyscallBPOffset)),
		}
		return at, at.sp != 0
	}
	return place{
		load(g + uintptr(r.GSchedPCOffset)),
		load(g + uintptr(r.GSchedSPOffset)),
		load(g + uintptr(r.GSchedBPOffset)),
	}, true
}

// walk marks the bodies in which the goroutine has frames. complete is false if the chain of frames breaks off; ended is
// false if the time is over and the rest is left to the next slice.
//
//go:norace
//go:nocheckptr
func (c *Census) walk(g uintptr, at place, deadline int64) (complete, ended bool) {
	hi := load(g + uintptr(c.r.GStackHiOffset))
	goid := load(g + uintptr(c.r.GGoidOffset))
	bp := at.bp
	if c.resume.goid == goid && c.resume.depth != 0 {
		from := hi - c.resume.depth
		if _, ret, ok := c.r.frame(g, from); ok && ret == c.resume.ret && at.sp <= from {
			bp = from
		} else if c.resume.restarts++; c.resume.restarts > maxRestarts {
			return false, true
		}
	}
	if bp == at.bp {
		c.innermost(g, at)
	}
	for n := 1; bp != 0; n++ {
		caller, ret, ok := c.r.frame(g, bp)
		if !ok {
			return false, true
		}
		c.mark(ret)
		if c.r.inAsyncPreempt(ret) {
			// The frame above is asyncPreempt's, and what it returns to was interrupted anywhere.
			if inner, pc, ok := c.r.frame(g, caller); ok {
				c.innermost(g, place{pc: pc, sp: caller + 16, bp: inner})
			}
		}
		if caller != 0 && caller <= bp {
			return false, true
		}
		if n%512 == 0 && nanotime() > deadline {
			c.resume = resumption{goid, hi - bp, ret, c.resume.restarts}
			return false, false
		}
		bp = caller
	}
	return true, true
}

// innermost marks the function at a place that need not be a call, and its caller if the function has no frame record
// there: in a prologue, an epilogue, or a function without a frame.
//
//go:norace
//go:nocheckptr
func (c *Census) innermost(g uintptr, at place) {
	if i := c.find(at.pc); i >= 0 && (c.bodies[i].Entered || c.bodies[i].Lo != uint64(at.pc)) {
		c.hit[c.bodies[i].Name] = true
	}
	if at.pc != c.delta.pc {
		c.delta.pc = at.pc
		c.delta.delta, c.delta.ok = c.r.spDelta(at.pc)
	}
	slot := at.sp + c.delta.delta
	if !c.delta.ok || slot == at.bp+8 {
		return
	}
	if lo, hi := load(g+uintptr(c.r.GStackLoOffset)), load(g+uintptr(c.r.GStackHiOffset)); lo <= slot && slot <= hi-8 {
		c.mark(load(slot))
	}
}

// mark notes the body of the call that returns to ret. A call may be the last instruction of its function.
//
//go:norace
func (c *Census) mark(ret uintptr) {
	if i := c.find(ret - 1); i >= 0 {
		c.hit[c.bodies[i].Name] = true
	}
}

// find returns the index of the body that contains pc, or -1.
//
//go:norace
func (c *Census) find(pc uintptr) int {
	lo, hi := 0, len(c.bodies)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if c.bodies[mid].Hi <= uint64(pc) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.bodies) && c.bodies[lo].Lo <= uint64(pc) {
		return lo
	}
	return -1
}
