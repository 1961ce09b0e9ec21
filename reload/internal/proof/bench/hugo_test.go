package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

const (
	hugoEdits  = 30 // half of them in small packages, half in large ones
	hugoBuilds = 3  // of so many edits, one is built by go build, too
	smallest   = 100
	small      = 400  // lines of a small package, at most
	large      = 3000 // lines of a large package, at least
	maxRefused = 5    // edits in a row that may be refused
)

// hugo is a program of about 100,000 lines that many people run as a server.
const hugo = "github.com/gohugoio/hugo@v0.165.0"

// BenchmarkHugo edits functions all over Hugo while hugo server runs.
func BenchmarkHugo(b *testing.B) {
	ctx := b.Context()
	dir := moduleSource(b, ctx, hugo)
	w := drive.NewWorkspace(b, dir, "", "CGO_ENABLED=0")
	exe := filepath.Join(b.TempDir(), "hugo")
	goBuild(b, ctx, dir, exe, "CGO_ENABLED=0")
	syms, err := symbols(exe)
	if err != nil {
		b.Fatal(err)
	}
	list, err := ownPackages(ctx, dir, []string{"CGO_ENABLED=0"}, syms)
	if err != nil {
		b.Fatal(err)
	}
	port := freePort(b)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	p, err := w.Start(nil, "server", "--source", newSite(b), "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--baseURL", url, "--renderToMemory", "--disableLiveReload", "--watch=false")
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Stdout.Until(ctx, "Web Server is available"); err != nil {
		b.Fatalf("hugo server: %v\n%s%s", err, p.Stdout, p.Stderr)
	}
	if err := w.Listed(ctx); err != nil {
		b.Fatal(err)
	}
	page := fetch(b, ctx, url)

	classes := []struct {
		name string
		fits func(lines int) bool
	}{
		{fmt.Sprintf("small packages (%d to %d lines)", smallest, small), func(n int) bool { return n >= smallest && n <= small }},
		{fmt.Sprintf("large packages (from %d lines)", large), func(n int) bool { return n >= large }},
	}
	sites, packages := make([][]site, len(classes)), make([][]*pkg, len(classes))
	for i, class := range classes {
		for _, p := range list {
			if class.fits(p.lines) {
				packages[i] = append(packages[i], p)
			}
		}
		if sites[i] = spread(packages[i], hugoEdits/2); len(sites[i]) != hugoEdits/2 {
			b.Fatalf("%s: %d places to edit, want %d", class.name, len(sites[i]), hugoEdits/2)
		}
	}
	started := time.Now()
	first, refused := hugoEdit(b, ctx, w, sites[0][0], after(packages[0], sites[0][0]), 1)
	generation := 1
	if err := w.Learned(ctx); err != nil {
		b.Fatal(err)
	}
	table.add(row{what: "hugo: the first edit, as soon as the server is up", figure: fmt.Sprintf("%.0f ms", ms(first)),
		against: fmt.Sprintf("all is learned after %.0f s", time.Since(started).Seconds())})
	var allLive, allBuilds []float64
	for i, class := range classes {
		var live, build []float64
		for n, s := range sites[i] {
			took, no := hugoEdit(b, ctx, w, s, after(packages[i], s), generation+1)
			generation++
			refused = append(refused, no...)
			live = append(live, ms(took))
			if n%hugoBuilds == 0 {
				build = append(build, ms(goBuild(b, ctx, dir, exe, "CGO_ENABLED=0")))
			}
			if again := fetch(b, ctx, url); again != page {
				b.Fatalf("%s: after the edit of %s hugo serves another page", s.file, s.fn)
			}
		}
		hugoRows(b, strings.Fields(class.name)[0], "hugo, "+class.name, live, build, 0, 0)
		allLive, allBuilds = append(allLive, live...), append(allBuilds, build...)
	}
	hugoRows(b, "all", "hugo, all", allLive, allBuilds, 120, 500)
	hugoChecks(b, ctx, w, p, slices.Concat(sites...))
	table.note("", fmt.Sprintf("hugo: %d edits went live, %d more were refused and another place was taken", generation, len(refused)))
	table.note(refused...)
}

// hugoRows reports some edits. Targets are in milliseconds, 0 where there is none.
func hugoRows(b *testing.B, name, what string, live, build []float64, p50, p90 float64) {
	for _, q := range []struct {
		name      string
		q, target float64
		faster    float64
	}{{"p50", 0.5, p50, 80}, {"p90", 0.9, p90, 0}} {
		l, g := drive.Quantile(live, q.q), drive.Quantile(build, q.q)
		b.ReportMetric(g/l, q.name+"-go-build/live-"+name)
		r := row{what: fmt.Sprintf("%s: save to live, %s of %d", what, q.name, len(live)),
			figure: fmt.Sprintf("%.0f ms", l), against: fmt.Sprintf("go build %.0f ms", g), ratio: times(l, g)}
		if q.target > 0 {
			r.target, r.met = fmt.Sprintf("at most %.0f ms", q.target), l <= q.target && g/l >= q.faster
			if q.faster > 0 {
				r.target += fmt.Sprintf(", %.0f× faster", q.faster)
			}
		}
		table.add(r)
	}
}

// hugoEdit makes an edit live at s, or at the first of the places after it where a refresh is not refused. Each edit
// comes on top of those before, as in a day's work: one function has changed since the last refresh, and since the last
// build.
func hugoEdit(b *testing.B, ctx context.Context, w *drive.Workspace, s site, others []site, generation int) (took time.Duration, refused []string) {
	b.Helper()
	for _, s := range append([]site{s}, others...) {
		text, err := os.ReadFile(s.file)
		if err != nil {
			b.Fatal(err)
		}
		if s.offset = s.moved(); s.offset < 0 {
			b.Fatalf("%s: %s not found again", s.file, s.fn)
		}
		a, took := save(b, ctx, w, s.file, s.edit(text, generation))
		switch {
		case a.Exit == drive.Live && a.Applied && a.Generation == generation:
			return took, refused
		case a.Exit == drive.Refused && !a.Applied && len(refused) < maxRefused:
			refused = append(refused, fmt.Sprintf("%s: %v", s.name(), a))
			if err := drive.Put(s.file, text); err != nil {
				b.Fatal(err)
			}
		default:
			b.Fatalf("%s: not live: %v\n%s", s.name(), a, strings.Join(refused, "\n"))
		}
	}
	b.Fatalf("%s: no edit went live there or further on:\n%s", s.pkg, strings.Join(refused, "\n"))
	return 0, nil
}

// hugoChecks asks after an edit at each of the sites what a refresh would do, and takes the edit back.
func hugoChecks(b *testing.B, ctx context.Context, w *drive.Workspace, p *drive.Program, sites []site) {
	b.Helper()
	var total, wall []float64
	for i, s := range sites {
		text, err := os.ReadFile(s.file)
		if err != nil {
			b.Fatal(err)
		}
		if s.offset = s.moved(); s.offset < 0 {
			b.Fatalf("%s: %s not found again", s.file, s.fn)
		}
		if err := drive.Put(s.file, s.edit(text, len(sites)+i)); err != nil {
			b.Fatal(err)
		}
		a, err := w.Check(ctx)
		if err != nil || len(a.Edits) == 0 {
			b.Fatalf("%s: check: %v %v", s.name(), a, err)
		}
		total, wall = append(total, a.Phases.Total), append(wall, ms(a.Wall))
		if err := drive.Put(s.file, text); err != nil {
			b.Fatal(err)
		}
	}
	t := drive.Quantile(total, 0.95)
	table.add(row{what: fmt.Sprintf("hugo: check after a one-line edit, p95 of %d", len(sites)), figure: fmt.Sprintf("%.0f ms", t),
		against: fmt.Sprintf("p50 %.0f ms; with the command's start p95 %.0f ms", drive.Quantile(total, 0.5), drive.Quantile(wall, 0.95)),
		target:  "at most 60 ms", met: t <= 60},
		row{what: "hugo: memory of the process that holds what was learned",
			figure:  fmt.Sprintf("%.0f MiB", float64(memory(b, p.Parent(), "Anonymous"))/(1<<20)),
			against: fmt.Sprintf("with the archives that it has mapped %.0f MiB", float64(memory(b, p.Parent(), "Rss"))/(1<<20))})
}

// after lists the sites that come after s, in its own package and then in the next ones.
func after(list []*pkg, s site) []site {
	var all []site
	for _, p := range list {
		all = append(all, p.sites...)
	}
	return all[slices.Index(all, s)+1:]
}

// moved is the site's offset now that its file was edited, -1 when it is gone.
func (s site) moved() int {
	p := &pkg{ImportPath: s.pkg, Dir: filepath.Dir(s.file), GoFiles: []string{filepath.Base(s.file)}}
	if err := p.survey(nil); err != nil {
		return -1
	}
	for _, other := range p.sites {
		if other.fn == s.fn {
			return other.offset
		}
	}
	return -1
}

// moduleSource is a copy of a module's source that may be edited.
func moduleSource(b *testing.B, ctx context.Context, module string) string {
	b.Helper()
	out, err := drive.Go(ctx, "", []string{"GOWORK=off"}, "mod", "download", "-json", module)
	if err != nil {
		b.Fatal(err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), "source")
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		b.Fatal(err)
	}
	return dir
}

// newSite is a folder with a site of a few pages.
func newSite(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	files := map[string]string{
		"hugo.toml":                "title = 'Limeade'\ndisableKinds = ['taxonomy', 'term', 'rss', 'sitemap']\n",
		"layouts/home.html":        "<h1>{{ .Site.Title }}</h1>{{ range .Site.RegularPages }}<p><a href='{{ .RelPermalink }}'>{{ .Title }}</a></p>{{ end }}",
		"layouts/page.html":        "<h1>{{ .Title }}</h1>{{ .Content }}",
		"layouts/section.html":     "<h1>{{ .Title }}</h1>{{ range .Pages }}<p>{{ .Title }}</p>{{ end }}",
		"content/posts/first.md":   "---\ntitle: First\n---\n\nA page with *some* `markup`.\n",
		"content/posts/second.md":  "---\ntitle: Second\n---\n\n- one\n- two\n",
		"content/posts/_index.md":  "---\ntitle: Posts\n---\n",
		"content/about/contact.md": "---\ntitle: Contact\n---\n\n> quoted\n",
	}
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// freePort is a port of the loopback interface that was free a moment ago.
func freePort(b *testing.B) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// fetch gets a page of the site.
func fetch(b *testing.B, ctx context.Context, url string) string {
	b.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "Limeade") {
		b.Fatalf("%s: %s\n%s", url, resp.Status, text)
	}
	return string(text)
}
