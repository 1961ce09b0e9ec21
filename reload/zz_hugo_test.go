package reload_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload"
)

func TestHugoZZ(t *testing.T) {
	if os.Getenv("HUGOZZ") == "" {
		t.SkipNow()
	}
	t.Setenv("XDG_CACHE_HOME", "/tmp/scratch/lead/cache")
	t.Setenv("GOCACHE", "/root/.cache/go-build")
	self, _ := os.Executable()
	start := time.Now()
	os.Setenv("CGO_ENABLED", "0")
	prog, err := reload.NewBuild(context.Background(), self, reload.BuildOptions{Dir: "/tmp/scratch/hugosrc", Target: []string{"."}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("build", time.Since(start), len(prog.Packages), len(prog.Locals()))
	for range 2 {
		start = time.Now()
		p2, err := reload.Open(prog.BuildID)
		if err != nil {
			t.Fatal(err)
		}
		t.Log("open", time.Since(start))
		start = time.Now()
		h, err := p2.Host()
		if err != nil {
			t.Fatal(err)
		}
		t.Log("host", time.Since(start), len(h.Uses.Methods), len(h.Uses.InIface))
	}
}
