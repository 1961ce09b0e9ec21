package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// BenchmarkTest edits one line of a package of a public module, and has its tests run by limeade-lsp test and by go test.
// The times are from before the save to the verdict.
func BenchmarkTest(b *testing.B) {
	const edits = 15
	for _, m := range []struct{ module, file, line string }{
		{"github.com/gorilla/mux@v1.8.1", "mux.go", "func (r *Router) Match(req *http.Request, match *RouteMatch) bool {\n"},
	} {
		b.Run(strings.ReplaceAll(m.module, "/", "_"), func(b *testing.B) {
			ctx := b.Context()
			dir := moduleSource(b, ctx, m.module)
			file := filepath.Join(dir, m.file)
			text, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			if bytes.Count(text, []byte(m.line)) != 1 {
				b.Fatalf("%s: no single %q", m.file, m.line)
			}
			n := 0
			edit := func() {
				n++
				edited := bytes.Replace(text, []byte(m.line), fmt.Appendf([]byte(m.line), "\tif match == nil { return req == nil && %d > 0 }\n", n), 1)
				if err := drive.Put(file, edited); err != nil {
					b.Fatal(err)
				}
			}
			w := drive.NewWorkspace(b, dir, "")
			p, err := w.Test(".")
			if err != nil {
				b.Fatal(err)
			}
			if line, err := p.Line(ctx); err != nil || !strings.HasPrefix(line, "ok") {
				b.Fatalf("%q, %v\n%s", line, err, p.Stdout)
			}
			var ours, theirs []float64
			for range edits {
				start := time.Now()
				edit()
				line, err := p.Line(ctx)
				if err != nil || !strings.HasPrefix(line, "ok") || !strings.Contains(line, "(hot,") {
					b.Fatalf("%q, %v\n%s", line, err, p.Stdout)
				}
				ours = append(ours, float64(time.Since(start).Microseconds())/1000)
			}
			p.Kill()
			for range edits {
				edit()
				start := time.Now()
				if _, err := drive.Go(ctx, dir, []string{"GOWORK=off"}, "test", "."); err != nil {
					b.Fatal(err)
				}
				theirs = append(theirs, float64(time.Since(start).Microseconds())/1000)
			}
			fast, slow := drive.Quantile(ours, 0.5), drive.Quantile(theirs, 0.5)
			b.ReportMetric(fast, "ms/limeade")
			b.ReportMetric(slow, "ms/go-test")
			b.ReportMetric(slow/fast, "go-test/limeade")
			b.ReportMetric(0, "ns/op")
			b.Logf("limeade-lsp test %s; go test %s", drive.Spread(ours, "ms"), drive.Spread(theirs, "ms"))
		})
	}
}
