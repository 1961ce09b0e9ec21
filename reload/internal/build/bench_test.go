package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkBuild compares Build with the go build that it contains, both with
// all packages in the go command's cache. Another program than a small one is
// measured with LIMEADE_BENCH_DIR.
func BenchmarkBuild(b *testing.B) {
	dir := os.Getenv("LIMEADE_BENCH_DIR")
	if dir == "" {
		dir = unpack(b, plainProgram)
	}
	o := testOptions(b, dir)
	mustBuild(b, o)
	goBuild := func(args ...string) time.Duration {
		start := time.Now()
		cmd := exec.Command("go", append([]string{"build", "-o", filepath.Join(b.TempDir(), "out")}, args...)...)
		cmd.Dir, cmd.Env = dir, o.Env
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		return time.Since(start)
	}
	goBuild()
	var ordinary, dry, ours time.Duration
	for b.Loop() {
		ordinary += goBuild()
		dry += goBuild("-n", "-a")
		start := time.Now()
		mustBuild(b, o)
		ours += time.Since(start)
	}
	ms := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
	b.ReportMetric(ms(ordinary), "ms/go-build")
	b.ReportMetric(ms(dry), "ms/dry-run")
	b.ReportMetric(ms(ours), "ms/Build")
	b.ReportMetric(ms(ours-ordinary), "ms/overhead")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCompile compares Compile with the bare compiler process.
func BenchmarkCompile(b *testing.B) {
	o := testOptions(b, unpack(b, plainProgram))
	base := mustBuild(b, o)
	c, err := NewCompiler(base)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p := base.Packages["example.com/app/p"]
	files, err := base.Sources(p)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	args, err := c.arguments(p, Request{}, filepath.Join(dir, "out.a"))
	if err != nil {
		b.Fatal(err)
	}
	paths, err := writeSources(dir, p, files)
	if err != nil {
		b.Fatal(err)
	}
	var bare, ours time.Duration
	for b.Loop() {
		start := time.Now()
		cmd := exec.Command(c.path, append(args, paths...)...)
		cmd.Env = c.env
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		bare += time.Since(start)
		start = time.Now()
		r, err := c.Compile(b.Context(), Request{Package: p.Path, Files: files})
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		if err := r.Remove(); err != nil {
			b.Fatal(err)
		}
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
	b.ReportMetric(ms(bare), "ms/compiler")
	b.ReportMetric(ms(ours), "ms/Compile")
	b.ReportMetric(ms(ours-bare), "ms/overhead")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFacts compares the compile of a package that yields its facts with
// an ordinary one. LIMEADE_BENCH_DIR and LIMEADE_BENCH_PACKAGE name another.
func BenchmarkFacts(b *testing.B) {
	dir, path := os.Getenv("LIMEADE_BENCH_DIR"), os.Getenv("LIMEADE_BENCH_PACKAGE")
	if dir == "" {
		dir, path = unpack(b, factsProgram), "example.com/v.1/app.x/q.z"
	}
	base := mustBuild(b, testOptions(b, dir))
	c, err := NewCompiler(base)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var plain, facts, kept time.Duration
	size := int64(0)
	for b.Loop() {
		start := time.Now()
		if _, err := c.Compile(b.Context(), Request{Package: path}); err != nil {
			b.Fatal(err)
		}
		plain += time.Since(start)
		if err := os.RemoveAll(filepath.Join(base.Store().Dir(), "facts")); err != nil {
			b.Fatal(err)
		}
		for i, d := range []*time.Duration{&facts, &kept} {
			start = time.Now()
			if _, err := c.Facts(b.Context(), path, true); err != nil {
				b.Fatal(i, err)
			}
			*d += time.Since(start)
		}
		entries, err := os.ReadDir(filepath.Join(base.Store().Dir(), "facts"))
		if err != nil || len(entries) != 1 {
			b.Fatal(entries, err)
		}
		size = sizeOf(filepath.Join(base.Store().Dir(), "facts", entries[0].Name()))
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
	b.ReportMetric(ms(plain), "ms/compile")
	b.ReportMetric(ms(facts), "ms/facts")
	b.ReportMetric(ms(kept), "ms/kept")
	b.ReportMetric(float64(size), "bytes")
	b.ReportMetric(0, "ns/op")
}
