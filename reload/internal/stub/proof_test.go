package stub

import (
	"fmt"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// A proof is the outcome for one function.
type proof struct {
	fn     *types.Func
	err    error
	code   string // how the code differs
	tables string // how the tables differ, where the code does not
	facts  string // how what the compiler says of the function differs
	cpu    time.Duration
	build  time.Duration
}

// prove builds and compiles the stub of one function, and compares it with the full compile.
func (c *checked) prove(t testing.TB, fn *types.Func, flags ...string) proof {
	return c.proveTogether(t, []*types.Func{fn}, flags...)[0]
}

// proveTogether builds and compiles one stub of several functions, and compares each.
func (c *checked) proveTogether(t testing.TB, funcs []*types.Func, flags ...string) []proof {
	in := c.input()
	in.Keep = funcs
	if c.facts != nil {
		in.Facts = c.fact
	}
	start := time.Now()
	s, err := Build(in)
	took := time.Since(start)
	var archive string
	var cpu time.Duration
	if err == nil {
		archive, cpu, err = c.compileStub(t, s, flags...)
	}
	list := make([]proof, len(funcs))
	for i, fn := range funcs {
		list[i] = proof{fn: fn, err: err, build: took, cpu: cpu}
	}
	if err != nil {
		return list
	}
	got := c.read(t, archive)
	facts := c.parseFacts(t, c.src, c.messages(archive))
	os.Remove(archive)
	for i := range list {
		p := &list[i]
		c.compare(p, got)
		if name := linkFunc(p.fn); slices.Contains(flags, build.FactFlags[0]) && c.facts != nil {
			if f, g := c.facts[name], facts[name]; f.CanInline != g.CanInline || !sameWays(f.Params, g.Params) {
				p.facts = fmt.Sprintf("%v, not %v", *g, *f)
			}
		}
	}
	return list
}

// compare compares the code of a function with that of the full compile.
func (c *checked) compare(p *proof, stub *object.Package) {
	name := linkFunc(p.fn)
	stubCode := codeOf(stub, name)
	for full, sym := range codeOf(c.full, name) {
		s, ok := stubCode[full]
		if !ok {
			if !isGeneric(p.fn) { // its instances are made for callers
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

// proveAll proves functions one by one, two at a time.
func (c *checked) proveAll(t testing.TB, funcs []*types.Func, flags ...string) []proof {
	c.prepare(t)
	list := make([]proof, len(funcs))
	var wg sync.WaitGroup
	slots := make(chan bool, 2)
	for i, fn := range funcs {
		slots <- true
		wg.Go(func() {
			list[i] = c.prove(t, fn, flags...)
			<-slots
		})
	}
	wg.Wait()
	return list
}

// sample takes n functions, evenly spread.
func sample(funcs []*types.Func, n int) []*types.Func {
	if n >= len(funcs) {
		return funcs
	}
	var list []*types.Func
	for i := range n {
		list = append(list, funcs[i*len(funcs)/n])
	}
	return list
}

// shares counts what came out the same.
type shares struct{ total, code, tables, facts int }

func (s *shares) add(t testing.TB, list []proof) {
	for _, p := range list {
		s.total++
		if p.err != nil {
			t.Errorf("%s: %v", linkFunc(p.fn), p.err)
			continue
		}
		if p.facts == "" {
			s.facts++
		} else {
			t.Logf("facts differ: %s: %s", linkFunc(p.fn), p.facts)
		}
		switch {
		case p.code != "":
			t.Logf("code differs: %s", p.code)
		case p.tables != "":
			s.code++
			t.Logf("tables differ: %s", p.tables)
		default:
			s.code++
			s.tables++
		}
	}
}

func (s shares) String() string {
	share := func(n int) float64 { return 100 * float64(n) / float64(s.total) }
	return fmt.Sprintf("%d functions: same code %.1f%%, and tables %.1f%%, same facts %.1f%%",
		s.total, share(s.code), share(s.tables), share(s.facts))
}

// proven are packages of the standard library, and of a module, with much in them.
var proven = []string{"strings", "net/url", "text/template", "encoding/json", "net/http", "regexp", "fmt", "math/big",
	"os/user", "go/constant", "golang.org/x/tools/go/ast/astutil"}

// TestProof compiles stubs of single functions of real packages. Every one must compile; nearly all must come
// out as in a build of the whole, to the byte. What differs today comes from recursion: the inliner takes
// functions that call each other in an order that depends on all of them.
func TestProof(t *testing.T) {
	tc := newToolchain(t, "")
	tc.list(t, "", proven...)
	var packages []*checked
	for _, path := range proven {
		c := tc.check(t, path)
		c.compileFull(t, build.FactFlags...)
		packages = append(packages, c)
	}
	for _, tt := range []struct {
		name   string
		facts  bool
		sample int
		want   float64 // share of identical code
	}{
		{"facts", true, 20, 0.98},
		{"no facts", false, 6, 0.85},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all shares
			for _, c := range packages {
				facts := c.facts
				if !tt.facts {
					c.facts = nil
				}
				defer func() { c.facts = facts }()
				all.add(t, c.proveAll(t, sample(c.funcs(), tt.sample), build.FactFlags...))
			}
			t.Log(all)
			if float64(all.code) < tt.want*float64(all.total) {
				t.Errorf("%v", all)
			}
		})
	}
}

// TestVersions compiles stubs with the compilers of other releases.
func TestVersions(t *testing.T) {
	for _, version := range []string{"go1.25.14", "go1.27.3"} {
		t.Run(version, func(t *testing.T) {
			tc := newToolchain(t, version)
			tc.list(t, t.TempDir(), "net/url", "text/template/parse", "bufio")
			var all shares
			for _, path := range []string{"net/url", "text/template/parse", "bufio"} {
				c := tc.check(t, path)
				c.compileFull(t, build.FactFlags...)
				all.add(t, c.proveAll(t, sample(c.funcs(), 20), build.FactFlags...))
			}
			t.Log(all)
			if all.code < all.total*98/100 {
				t.Errorf("%v", all)
			}
			names, archives, dir := loadTraps(t, tc)
			for _, name := range names {
				c := trap(t, tc, dir, name, archives[name])
				c.compileFull(t, append(embedFlags(t, c), build.FactFlags...)...)
				for _, p := range append(c.proveAll(t, sample(c.funcs(), 8)), c.proveTogether(t, c.funcs())...) {
					p.want(t)
				}
			}
		})
	}
}

// TestFlags compiles stubs with the flags of unusual builds.
func TestFlags(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	for _, flags := range [][]string{{"-N", "-l"}, {"-race"}, {"-shared"}, {"-d=checkptr"}, {"-trimpath"}} {
		t.Run(flags[0], func(t *testing.T) {
			for _, name := range []string{"control", "interfaces", "lines", "shapes"} {
				c := trap(t, tc, dir, name, archives[name])
				flags := flags
				if flags[0] == "-trimpath" {
					flags = nil
					c.trim = filepath.Dir(c.Dir) + "=>" + trapModule
				}
				c.compileFull(t, slices.Concat(build.FactFlags, flags)...)
				for _, p := range c.proveTogether(t, c.funcs(), flags...) {
					p.want(t)
				}
			}
		})
	}
}

// TestDeterministic builds a stub from two loads of a package.
func TestDeterministic(t *testing.T) {
	tc := newToolchain(t, "")
	tc.list(t, "", "text/template")
	var first *Stub
	for range 3 {
		c := tc.check(t, "text/template")
		in := c.input()
		in.Keep = c.funcs()[10:60]
		in.ImportFirst = []string{"text/template/parse", "fmt"}
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s
			continue
		}
		if fmt.Sprint(s.Imports, s.Shaped, s.Needs) != fmt.Sprint(first.Imports, first.Shaped, first.Needs) {
			t.Error("the second stub has other imports, shapes or needs")
		}
		for i, f := range s.Files {
			if f.Name != first.Files[i].Name || string(f.Content) != string(first.Files[i].Content) {
				t.Errorf("%s differs", f.Name)
			}
		}
	}
}

// BenchmarkStub compiles stubs of single functions of a package of 30,000 lines, and compares with the
// compiler's time for the whole.
func BenchmarkStub(b *testing.B) {
	tc := newToolchain(b, "")
	tc.list(b, "", "net/http")
	c := tc.check(b, "net/http")
	c.compileFull(b, build.FactFlags...)
	funcs := c.funcs()
	var cpu, took []time.Duration
	for i := 0; b.Loop(); i++ {
		p := c.prove(b, funcs[i*31%len(funcs)])
		if p.err != nil {
			b.Fatal(p.err)
		}
		cpu = append(cpu, p.cpu)
		took = append(took, p.build)
	}
	at := func(list []time.Duration, percent int) time.Duration {
		slices.Sort(list)
		return list[(len(list)-1)*percent/100]
	}
	b.ReportMetric(float64(c.fullTime)/float64(at(cpu, 50)), "full/median")
	b.ReportMetric(float64(c.fullTime)/float64(at(cpu, 90)), "full/p90")
	b.ReportMetric(float64(at(cpu, 50).Microseconds())/1e3, "compile-ms")
	b.ReportMetric(float64(at(took, 50).Microseconds())/1e3, "build-ms")
}
