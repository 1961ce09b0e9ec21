package analysis

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// BenchmarkCompare edits one body of a package, another text each time, with all that a session keeps at hand.
func BenchmarkCompare(b *testing.B) {
	for _, bench := range []struct{ path, file, old, new string }{
		{"net/http", "cookie.go", "func validCookieExpires(t time.Time) bool {\n", "func validCookieExpires(t time.Time) bool {\n\tprintln(%d)\n"},
		{"go/printer", "printer.go", "func (p *printer) writeIndent() {\n", "func (p *printer) writeIndent() {\n\tprintln(%d)\n"},
		{"encoding/csv", "reader.go", "func validDelim(r rune) bool {\n", "func validDelim(r rune) bool {\n\tprintln(%d)\n"},
	} {
		b.Run(bench.path, func(b *testing.B) {
			w := newWorld(b, bench.path)
			s := NewSession(w.env, nil)
			if err := s.BuildIndex(context.Background(), w.old); err != nil {
				b.Fatal(err)
			}
			p := w.old.Package(bench.path)
			lines := 0
			var file *snapshot.File
			for _, f := range p.Files {
				content, _ := f.Content()
				lines += bytes.Count(content, []byte("\n"))
				if bytes.Contains(content, []byte(bench.old)) {
					file = f
				}
			}
			content, _ := file.Content()
			i := 0
			step := func() {
				i++
				text := bytes.Replace(content, []byte(bench.old), fmt.Appendf(nil, bench.new, i), 1)
				report, err := s.Compare(context.Background(), w.old, w.old.With(snapshot.Change{Path: file.Path, Content: text}))
				if err != nil || !report.Applicable() || len(report.Recompile) == 0 {
					b.Fatal(err, report)
				}
			}
			step()
			start, n := cpuTime(), 0
			for b.Loop() {
				step()
				n++
			}
			b.ReportMetric(float64((cpuTime()-start).Microseconds())/1000/float64(n), "cpu-ms/op")
			b.ReportMetric(float64(lines), "lines")
		})
	}
}

// cpuTime is what this process has used of all processors: wall time says little on a machine that others use.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkFacts collects the facts of a type-checked package and reports how much memory they keep.
func BenchmarkFacts(b *testing.B) {
	w := newWorld(b, "net/http")
	s := NewSession(w.env, nil)
	checked, list, err := s.importer.check(checking{source: decl.Load(w.old, "net/http"), fset: w.old.Fset(), rel: w.old.Rel})
	if err != nil || len(list) > 0 {
		b.Fatal(err, list)
	}
	var kept []*facts.Package
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		kept = append(kept, facts.Collect(s.factsInput(w.old, checked)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(kept))/1024, "KB-kept/op")
	runtime.KeepAlive(kept)
}
