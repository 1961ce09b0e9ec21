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

// BenchmarkTest edits one line of a package of a public module, and has the tests of one of its packages run by
// limeade-lsp test and by go test. The times are from before the save to the verdict.
func BenchmarkTest(b *testing.B) {
	const edits = 15
	for _, m := range []struct {
		module, tests, file string
		line                string // of the file; what is added is below it
		added               string // the number of the edit is put in
	}{
		{"github.com/gorilla/mux@v1.8.1", ".", "mux.go",
			"func (r *Router) Match(req *http.Request, match *RouteMatch) bool {\n", "\tif match == nil { return req == nil && %d > 0 }\n"},
		{"github.com/yuin/goldmark@v1.8.5", "./extension", "parser/parser.go",
			"func (p *parser) Parse(reader text.Reader, opts ...ParseOption) ast.Node {\n", "\tif reader == nil { panic(%d) }\n"},
		{"github.com/evanw/esbuild@v0.28.2", "./internal/js_parser", "internal/js_parser/js_parser.go",
			"func (p *parser) pushScopeForParsePass(kind js_ast.ScopeKind, loc logger.Loc) int {\n", "\tif p == nil { panic(%d) }\n"},
	} {
		name, _, _ := strings.Cut(m.module, "@")
		name = name[strings.LastIndexByte(name, '/')+1:]
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			dir := moduleSource(b, ctx, m.module)
			file := filepath.Join(dir, filepath.FromSlash(m.file))
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
				edited := bytes.Replace(text, []byte(m.line), fmt.Appendf([]byte(m.line), m.added, n), 1)
				if err := drive.Put(file, edited); err != nil {
					b.Fatal(err)
				}
			}
			w := drive.NewWorkspace(b, dir, "")
			p, err := w.Test(m.tests)
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
				ours = append(ours, ms(time.Since(start)))
			}
			p.Kill()
			for range edits {
				edit()
				start := time.Now()
				if _, err := drive.Go(ctx, dir, []string{"GOWORK=off"}, "test", m.tests); err != nil {
					b.Fatal(err)
				}
				theirs = append(theirs, ms(time.Since(start)))
			}
			fast, slow := drive.Quantile(ours, 0.5), drive.Quantile(theirs, 0.5)
			b.ReportMetric(fast, "ms/limeade")
			b.ReportMetric(slow, "ms/go-test")
			b.ReportMetric(slow/fast, "go-test/limeade")
			b.ReportMetric(0, "ns/op")
			b.Logf("limeade-lsp test %s; go test %s", drive.Spread(ours, "ms"), drive.Spread(theirs, "ms"))
			table.add(row{what: fmt.Sprintf("tests of %s after an edit in a package of %d lines: save to verdict, p50 of %d", name, packageLines(b, file), edits),
				figure: fmt.Sprintf("%.0f ms", fast), against: fmt.Sprintf("go test %.0f ms", slow), ratio: times(fast, slow)})
		})
	}
}

// packageLines counts the lines of the package that a file is part of, without its tests.
func packageLines(b *testing.B, file string) (n int) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.go"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		n += lines(text)
	}
	return n
}
