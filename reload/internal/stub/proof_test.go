package stub

import (
	"flag"
	"fmt"
	"go/types"
	"os"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/object"
)

var every = flag.Bool("every", false, "prove every function, not a sample")

// A proof is the outcome for one function.
type proof struct {
	fn     *types.Func
	err    error
	code   string // how the code differs
	tables string // how the tables differ, where the code does not
	cpu    time.Duration
	build  time.Duration
	bytes  int
	worse  int
	tags   string
}

// prove builds and compiles the stub of one function, and compares it with the full compile.
func (c *checked) prove(t testing.TB, fn *types.Func, flags ...string) proof {
	return c.proveTogether(t, []*types.Func{fn}, flags...)[0]
}

// proveTogether builds and compiles one stub of several functions, and compares each.
func (c *checked) proveTogether(t testing.TB, funcs []*types.Func, flags ...string) []proof {
	list := make([]proof, len(funcs))
	in := c.input()
	in.Keep = funcs
	in.Facts = c.facts
	start := time.Now()
	s, err := Build(in)
	build := time.Since(start)
	var archive string
	var cpu time.Duration
	if err == nil {
		archive, cpu, err = c.compileStub(t, s, flags...)
	}
	for i, fn := range funcs {
		list[i] = proof{fn: fn, err: err, build: build, cpu: cpu}
	}
	if err != nil {
		return list
	}
	got := c.read(t, archive)
	messages := c.messages(archive)
	os.Remove(archive)
	for i := range list {
		for _, f := range s.Files {
			list[i].bytes += len(f.Content)
		}
		c.compare(&list[i], got)
		_ = messages
	}
	return list
}

// compare compares the code of a function with that of the full compile.
func (c *checked) compare(p *proof, stub *object.Package) {
	name := symbolName(p.fn)
	stubCode := codeOf(stub, name)
	for full, sym := range codeOf(c.full, name) {
		s, ok := stubCode[full]
		if !ok {
			if !isGeneric(p.fn) {
				p.code = "missing " + full
			}
			continue
		}
		code, tables := compareCode(sym, s)
		if code != "" {
			p.code = full + ": " + code
		} else if tables != "" {
			p.tables = full + ": " + tables
		}
	}
}

// proveAll proves functions side by side.
func (c *checked) proveAll(t testing.TB, funcs []*types.Func, flags ...string) []proof {
	c.prepare(t)
	list := make([]proof, len(funcs))
	var wg sync.WaitGroup
	slots := make(chan bool, 2)
	for i, fn := range funcs {
		wg.Add(1)
		slots <- true
		go func() {
			list[i] = c.prove(t, fn, flags...)
			<-slots
			wg.Done()
		}()
	}
	wg.Wait()
	return list
}

// sample takes n functions, evenly spread; all if n is 0.
func sample(funcs []*types.Func, n int) []*types.Func {
	if n == 0 || n >= len(funcs) || *every {
		return funcs
	}
	var list []*types.Func
	for i := range n {
		list = append(list, funcs[i*len(funcs)/n])
	}
	return list
}

func percentile(list []time.Duration, p int) time.Duration {
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list[min(len(list)-1, len(list)*p/100)]
}

type summary struct{ total, compiled, code, tables int }

func (c *checked) summarize(t testing.TB, list []proof) summary {
	var s summary
	var cpu, build []time.Duration
	bytes, worse := 0, 0
	for _, p := range list {
		s.total++
		if p.err != nil {
			t.Errorf("%s: %v", symbolName(p.fn), p.err)
			continue
		}
		s.compiled++
		bytes += p.bytes
		cpu = append(cpu, p.cpu)
		if p.cpu > 100*time.Millisecond {
			t.Logf("SLOW %v %s %d", p.cpu, symbolName(p.fn), p.bytes)
		}
		build = append(build, p.build)
		if p.worse > 0 {
			worse++
			t.Logf("TAGS %s %s", symbolName(p.fn), p.tags)
		}
		if p.code != "" {
			t.Logf("%s", p.code)
			continue
		}
		s.code++
		if p.tables != "" {
			t.Logf("%s", p.tables)
			continue
		}
		s.tables++
	}
	t.Logf("%s: %d functions, %d compiled, %d same code (%.1f%%), %d with tables; full %v; stub cpu median %v p90 %v max %v; build median %v max %v; %d bytes; worse tags %d",
		c.ImportPath, s.total, s.compiled, s.code, 100*float64(s.code)/float64(s.total), s.tables, c.fullTime,
		percentile(cpu, 50), percentile(cpu, 90), percentile(cpu, 100), percentile(build, 50), percentile(build, 100), bytes/max(1, s.compiled), worse)
	return s
}

func TestProof(t *testing.T) {
	tc := newToolchain(t, "")
	paths := strings.Fields(os.Getenv("PKGS"))
	tc.list(t, os.Getenv("PKGDIR"), paths...)
	var all summary
	n := 12
	fmt.Sscan(os.Getenv("N"), &n)
	for _, path := range paths {
		c := tc.check(t, path)
		c.compileFull(t, FactFlags...)
		s := c.summarize(t, c.proveAll(t, sample(c.funcs(), n), FactFlags...))
		all.total += s.total
		all.compiled += s.compiled
		all.code += s.code
		all.tables += s.tables
	}
	t.Logf("all: %+v", all)
}
