package build
import ("testing";"os";"fmt";"time";"context";"runtime/pprof")
func TestDbg(t *testing.T) {
	o := testOptions(t, "/tmp/scratch/hugosrc")
	o.Agent = os.DirFS("../../")
	o.Target = []string{"."}
	mustBuild(t, o)
	f, _ := os.Create("/tmp/scratch/build/cpu.prof")
	for range 3 {
	s := time.Now()
	lap := func(n string) { fmt.Println(n, time.Since(s).Milliseconds()); s = time.Now() }
	p, err := newProbe(context.Background(), o)
	if err != nil { t.Fatal(err) }
	lap("probe")
	a, _ := readAgent(o.Agent)
	lap("agent")
	c := &capture{probe: p, options: o, agent: a}
	c.temp, _ = c.store.tempDir("x")
	c.load(context.Background())
	lap("load")
	c.joined, err = join(context.Background(), p, c.pkgs, c.main, c.module, a, c.temp)
	lap("join")
	inv := newInventory(p, c.pkgs, c.main.Dir)
	inv.take()
	lap("take")
	pprof.StartCPUProfile(f)
	b, err := c.build(context.Background())
	pprof.StopCPUProfile()
	lap("build")
	fmt.Println(b != nil, err)
	inv.take()
	lap("take")
	c.recordFiles(context.Background(), b, inv)
	lap("record")
	c.finish(b)
	lap("finish")
	os.RemoveAll(c.temp)
	}
}
