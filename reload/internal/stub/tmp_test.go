package stub

import (
	"github.com/limeade-go/limeade/reload/internal/build"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTmp(t *testing.T) {
	tc := newToolchain(t, "")
	paths := strings.Fields(os.Getenv("PKGS"))
	tc.list(t, os.Getenv("PKGDIR"), paths...)
	for _, path := range paths {
		c := tc.check(t, path)
		c.compileFull(t, build.FactFlags...)
		var s shares
		fs := c.funcs()
		if os.Getenv("S") != "" {
			fs = sample(fs, 120)
		}
		l := c.proveAll(t, fs, build.FactFlags...)
		s.add(t, l)
		var cpu, b []time.Duration
		for _, p := range l {
			cpu = append(cpu, p.cpu)
			b = append(b, p.build)
		}
		slices.Sort(cpu)
		slices.Sort(b)
		t.Logf("SUM %s %v full %v median %v p90 %v max %v build %v", path, s, c.fullTime, cpu[len(cpu)/2], cpu[len(cpu)*9/10], cpu[len(cpu)-1], b[len(b)/2])
	}
}
