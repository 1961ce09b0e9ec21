package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"limeade.test/stress/mark"
	"limeade.test/stress/work"
)

// A count tells how many answers, or frames, were of each version.
type count struct{ Old, New int }

// by counts one answer.
func by(v mark.Version) count {
	switch v {
	case mark.Old:
		return count{Old: 1}
	case mark.New:
		return count{New: 1}
	}
	return count{}
}

// A kind is one sort of work. once does it a single time and checks it; an error is a violation.
type kind struct {
	name string
	once func(r *rand.Rand) (count, error)
}

// either settles which version gave an answer that must be exactly old's or new's.
func either[T comparable](got, old, new T) (count, error) {
	switch got {
	case old:
		return count{Old: 1}, nil
	case new:
		return count{New: 1}, nil
	}
	return count{}, fmt.Errorf("got %v, want %v or %v", got, old, new)
}

// exact checks an answer that came with its version.
func exact(v mark.Version, got, a, b uint64) (count, error) {
	if v != mark.Old && v != mark.New || got != mark.Sum(v, a, b) {
		return count{}, fmt.Errorf("version %d: got %#x, want %#x", v, got, mark.Sum(v, a, b))
	}
	return by(v), nil
}

// frames checks a sum of frames, each of either version.
func frames(sum uint64, want int) (count, error) {
	old, new, ok := mark.Frames(sum)
	if !ok || old+new != want {
		return count{}, fmt.Errorf("%d old and %d new frames of %d, memory intact: %t", old, new, want, ok)
	}
	return count{old, new}, nil
}

// kinds are all that is worked on all the time.
var kinds = []kind{
	{"leaf loop", leaf},
	{"loop head at entry", trap},
	{"recursion", recursion},
	{"panic", failing},
	{"kept closure", keptClosure},
	{"closure with state", counter},
	{"channel", channel},
	{"tree", tree},
	{"map", table},
	{"text", text},
	{"defer", deferred},
	{"interface", shapes},
	{"generic", generic},
	{"iterator", iterator},
	{"pipe", pipe},
	{"system call", nap},
	{"timer", timer},
	{"call chain", where},
}

const leafSteps = 100_000

// leafWant has both answers of Leaf for a few seeds, computed once.
var leafWant = func() (want [8][2]uint64) {
	for seed := range want {
		old, new := uint64(seed+1), uint64(seed+1)
		for range leafSteps {
			old = old*6364136223846793005 + 1442695040888963407
			new ^= new << 13
			new ^= new >> 7
			new ^= new << 17
		}
		want[seed] = [2]uint64{old, new}
	}
	return want
}()

func leaf(r *rand.Rand) (count, error) {
	seed := r.IntN(len(leafWant))
	return either(work.Leaf(leafSteps, uint64(seed+1)), leafWant[seed][0], leafWant[seed][1])
}

func trap(r *rand.Rand) (count, error) {
	n := uint64(15*(1000+r.IntN(1000)) + 1)
	var at uint64
	work.Trap(&at, n)
	return either(at, n+2, n+4)
}

// recursion runs on a goroutine of its own, so that the stack grows anew each time.
func recursion(r *rand.Rand) (count, error) {
	depth := 200 + r.IntN(2000)
	var sum uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		var top mark.Frame
		sum = work.Deep(depth, &top)
	}()
	<-done
	return frames(sum, depth+1)
}

func failing(r *rand.Rand) (count, error) {
	depth, mode := 1+r.IntN(40), r.IntN(mark.Modes+1)
	sum := new(uint64)
	caught, v := mode, mark.Version(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		caught, v = work.Guard(depth, mode, sum) // does not return when the mode is Goexit
	}()
	<-done
	c, err := frames(*sum, depth+1)
	if caught != mode || mode < mark.Modes && by(v) == (count{}) {
		return c, fmt.Errorf("mode %d: caught %d in version %d", mode, caught, v)
	}
	return c, err
}

// adder is made when the program starts: whatever is swapped later must reach it.
var adder = work.Adder(17)

func keptClosure(r *rand.Rand) (count, error) {
	x := uint64(r.IntN(1 << 20))
	c, err := frames(adder(x)-17*x, 1)
	if err != nil {
		return c, err
	}
	k := uint64(r.IntN(100))
	young, err := frames(work.Adder(k)(x)-k*x, 1)
	return count{c.Old + young.Old, c.New + young.New}, err
}

func counter(r *rand.Rand) (count, error) {
	next := work.Counter()
	var sum uint64
	n := 1 + r.IntN(100)
	for range n {
		sum = next()
	}
	return frames(sum, n)
}

func channel(r *rand.Rand) (count, error) {
	n, seed := 1+r.IntN(200), r.Uint64()
	ch := make(chan mark.Message, r.IntN(8))
	go func() {
		defer close(ch)
		work.Produce(ch, n, seed)
	}()
	var first mark.Version
	i := 0
	for m := range ch {
		if i == 0 {
			first = m.By
		}
		if m.By != first || m.Seq != i {
			return count{}, fmt.Errorf("message %d of version %d is number %d of version %d", i, first, m.Seq, m.By)
		}
		if _, err := exact(m.By, m.Sum, seed, uint64(i)); err != nil {
			return count{}, err
		}
		i++
	}
	if i != n {
		return count{}, fmt.Errorf("%d messages of %d", i, n)
	}
	return by(first), nil
}

// shelf keeps trees for a while, so that they are looked at again after collections.
var shelf struct {
	sync.Mutex
	trees [32]*mark.Node
	seeds [32]uint64
}

const treeDepth = 6

func tree(r *rand.Rand) (count, error) {
	seed, slot := r.Uint64(), r.IntN(len(shelf.trees))
	young := work.Tree(treeDepth, seed)
	shelf.Lock()
	old, oldSeed := shelf.trees[slot], shelf.seeds[slot]
	shelf.trees[slot], shelf.seeds[slot] = young, seed
	shelf.Unlock()
	if old != nil {
		if _, err := inspect(old, treeDepth, oldSeed); err != nil {
			return count{}, fmt.Errorf("kept tree: %w", err)
		}
	}
	return inspect(young, treeDepth, seed)
}

// inspect checks every node of a tree by the version that made it.
func inspect(n *mark.Node, depth int, seed uint64) (count, error) {
	if n == nil {
		return count{}, fmt.Errorf("depth %d: no node", depth)
	}
	c, err := exact(n.By, n.Mark, seed, uint64(depth))
	if err != nil {
		return c, fmt.Errorf("depth %d: %w", depth, err)
	}
	for i, v := range n.Fill {
		if n.By == mark.Old && v != n.Mark+uint64(i) || n.By == mark.New && v != n.Mark^uint64(i) {
			return c, fmt.Errorf("depth %d: word %d is %#x", depth, i, v)
		}
	}
	if depth == 0 {
		if n.Left != nil || n.Right != nil {
			return c, fmt.Errorf("leaf has children")
		}
		return c, nil
	}
	left, err := inspect(n.Left, depth-1, seed*2)
	if err != nil {
		return c, err
	}
	right, err := inspect(n.Right, depth-1, seed*2+1)
	return count{c.Old + left.Old + right.Old, c.New + left.New + right.New}, err
}

func table(r *rand.Rand) (count, error) {
	n, seed := uint64(2+r.IntN(60)), uint64(r.Uint32())
	v, got := work.Table(int(n), seed)
	sum := n*seed + n*(n-1)/2
	want := sum*3 + 11
	if v == mark.New {
		want = sum*5 ^ 0x5eed
	}
	if got != want {
		return count{}, fmt.Errorf("version %d: got %#x, want %#x", v, got, want)
	}
	return by(v), nil
}

func text(r *rand.Rand) (count, error) {
	i := r.IntN(1000)
	old := fmt.Sprintf("old %s %d", strings.Fields("nought one two three")[i%4], i)
	new := fmt.Sprintf("new {%s %d} %d", strings.Fields("zero uno due tre")[i%4], i, i)
	return either(work.Name(i), old, new)
}

func deferred(r *rand.Rand) (count, error) {
	n := 1 + r.IntN(50)
	sum, v := work.Defers(n)
	c, err := frames(sum, n)
	if err == nil && by(v) == (count{}) {
		err = fmt.Errorf("version %d", v)
	}
	return c, err
}

// values are made when the program starts; their itabs must lead to the newest methods.
var values = []work.Shape{work.Square{Side: 12}, &work.Square{Side: 7}, &work.Strip{Long: 9, Wide: 5}}

func shapes(r *rand.Rand) (count, error) {
	i := r.IntN(len(values))
	area := []uint64{144, 49, 45}[i]
	return either(values[i].Area(), area+1, area+2)
}

type small uint32

func generic(r *rand.Rand) (count, error) {
	list := []uint64{r.Uint64(), r.Uint64(), r.Uint64()}
	c, err := either(work.Fold(list), (list[0]*3+list[1])*3+list[2], (list[2]*5+list[1])*5+list[0])
	if err != nil {
		return c, err
	}
	narrow := []small{small(r.Uint32()), small(r.Uint32())}
	d, err := either(work.Fold(narrow), narrow[0]*3+narrow[1], narrow[1]*5+narrow[0])
	return count{c.Old + d.Old, c.New + d.New}, err
}

// iterator ranges over a function: all of one iteration is of one version.
func iterator(r *rand.Rand) (count, error) {
	n := 1 + r.IntN(100)
	var c count
	i := 0
	for v := range work.Count(n) {
		one, err := frames(v-uint64(i)<<1, 1)
		if err != nil {
			return c, err
		}
		if i > 0 && one != c {
			return c, fmt.Errorf("value %d is of another version than those before", i)
		}
		c = one
		i++
		if i == n/2+1 {
			break
		}
	}
	return c, nil
}

func pipe(r *rand.Rand) (count, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return count{}, err
	}
	defer from.Close()
	defer to.Close()
	b := byte(r.IntN(256))
	pause := time.Duration(r.IntN(2000)) * time.Microsecond
	time.AfterFunc(pause, func() { to.Write([]byte{b, 1}) })
	v, sum, err := work.Read(from)
	if err != nil {
		return count{}, err
	}
	c, err := either(sum, uint64(11+3*(int(b)+1)), uint64(0x5eed+5*(int(b)+1)))
	if err == nil && c != by(v) {
		err = fmt.Errorf("version %d gives the other's sum", v)
	}
	return c, err
}

func nap(r *rand.Rand) (count, error) {
	ns := int64(1 + r.IntN(1_000_000))
	v, got := work.Nap(ns)
	c, err := either(got, uint64(ns)*3, uint64(ns)*5)
	if err == nil && c != by(v) {
		err = fmt.Errorf("version %d gives the other's value", v)
	}
	return c, err
}

// fire is a func value that was taken when the program started.
var fire = work.Fire

func timer(r *rand.Rand) (count, error) {
	seed := r.Uint64()
	t := &mark.Tick{Mark: seed, Done: make(chan struct{})}
	time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, func() { fire(t) })
	<-t.Done
	want := seed*3 + 11
	if t.By == mark.New {
		want = seed*5 ^ 0x5eed
	}
	if t.Mark != want {
		return count{}, fmt.Errorf("version %d: got %#x, want %#x", t.By, t.Mark, want)
	}
	return by(t.By), nil
}

// where checks that a swapped frame bears its own name, file and a line; old asks for room for four callers, new for
// six.
func where(*rand.Rand) (count, error) {
	pcs := work.Where()
	if err := mark.Where(pcs, "stress/work.Where"); err != nil {
		return count{}, err
	}
	return either(cap(pcs) == 4, true, false)
}
