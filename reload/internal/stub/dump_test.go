package stub

import (
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestDump(t *testing.T) {
	tc := newToolchain(t, "")
	path := os.Getenv("PKG")
	tc.list(t, os.Getenv("PKGDIR"), path)
	c := tc.check(t, path)
	c.compileFull(t, FactFlags...)
	for _, fn := range c.funcs() {
		if symbolName(fn) != os.Getenv("FN") {
			continue
		}
		in := c.input()
		in.Keep = []*types.Func{fn}
		if os.Getenv("NOFACTS") == "" {
			in.Facts = c.facts
		}
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		out := "/tmp/scratch/stub/dump"
		os.RemoveAll(out)
		os.MkdirAll(out, 0o777)
		for _, f := range s.Files {
			os.WriteFile(filepath.Join(out, f.Name), f.Content, 0o666)
		}
		archive, cpu, err := c.compileStub(t, s)
		t.Log(cpu, err)
		exec.Command("cp", archive, out+"/stub.a").Run()
		exec.Command("cp", c.dir+"/1.a", out+"/full.a").Run()
		exec.Command("cp", c.importcfg, out+"/importcfg").Run()
		os.WriteFile(out+"/full.m", c.diags[c.dir+"/1.a"], 0o666)
	}
}
