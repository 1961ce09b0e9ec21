package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/server/editor"
)

// A workload is a large program that runs, and the places in one file of it where somebody types.
type workload struct {
	dir    string
	env    []string
	path   string
	fields string // a line of the file after which a field may stand
	body   string // and one after which a statement may
}

// BenchmarkEditor measures what a person feels who edits a large program that runs: how long after a keystroke, and after
// a save, the diagnostics are there, how soon after initialize, and what the server takes of the machine.
func BenchmarkEditor(b *testing.B) {
	b.Run("hugo", func(b *testing.B) { hugo(b).measure(b) })
	b.Run("large", func(b *testing.B) { large(b).measure(b) })
}

func (w *workload) measure(b *testing.B) {
	var first, fields, bodies, fieldCPU, bodyCPU, saves []float64
	var peak, idle, cpu float64
	for b.Loop() {
		began := time.Now()
		e, err := editor.Start(editor.Config{
			Command: []string{shared.tool, "--stdio"}, Env: w.env, Folders: []string{w.dir}, Capabilities: capabilities(nil),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Open(w.path); err != nil {
			b.Fatal(err)
		}
		replace := func(old, text string) {
			if err := e.Type(w.path, old, text); err != nil {
				b.Fatal(err)
			}
		}
		save := func() {
			if err := e.Save(w.path); err != nil {
				b.Fatal(err)
			}
		}
		shown := func(field string) {
			named := regexp.MustCompile(`\(` + field + `\b`)
			err := e.Wait(func() bool {
				return slices.ContainsFunc(e.DiagnosticsNow(w.path), func(d editor.Diagnostic) bool { return named.MatchString(d.Message) })
			})
			if err != nil {
				b.Fatalf("%s: %v\n%s", field, err, e.Stderr())
			}
		}
		hot := func() { // there is no diagnostic of what is: a lens says that it was looked at
			list, err := e.Lenses(w.path)
			if err != nil || len(list) != 1 || list[0].Command.Title != "hot: refresh" {
				b.Fatalf("lenses %v: %v\n%s", list, err, e.Stderr())
			}
		}
		const keystrokes = 100
		keys := func(line string, seen func(i int)) (times []float64, cpu float64) {
			used := cpuOf(b, e.PID())
			for i := range keystrokes {
				began := time.Now()
				replace(fmt.Sprintf(line, i), fmt.Sprintf(line, i+1))
				seen(i + 1)
				times = append(times, ms(time.Since(began)))
			}
			return times, (cpuOf(b, e.PID()) - used) * 1000 / keystrokes
		}
		replace(w.fields, w.fields+"\tfield0 int\n")
		shown("field0")
		first = append(first, ms(time.Since(began)))
		times, used := keys("\tfield%d int\n", func(i int) { shown(fmt.Sprintf("field%d", i)) })
		fields, fieldCPU = append(fields, times...), append(fieldCPU, used)
		replace(fmt.Sprintf("\tfield%d int\n", keystrokes), "")

		replace(w.body, w.body+"\tprintln(0)\n")
		hot()
		times, used = keys("\tprintln(%d)\n", func(int) { hot() })
		bodies, bodyCPU = append(bodies, times...), append(bodyCPU, used)
		replace(fmt.Sprintf("\tprintln(%d)\n", keystrokes), "")

		field := ""
		for i := range 20 {
			old := field
			name := fmt.Sprintf("saved%d", i)
			field = "\t" + name + " int\n"
			replace(w.fields+old, w.fields+field)
			began := time.Now()
			save()
			shown(name)
			saves = append(saves, ms(time.Since(began)))
		}
		peak = max(peak, memory(b, e.PID(), "VmHWM"))
		time.Sleep(5 * time.Second) // it gives memory back
		before := cpuOf(b, e.PID())
		time.Sleep(5 * time.Second) // what is measured is that nothing happens
		cpu = max(cpu, cpuOf(b, e.PID())-before)
		idle = max(idle, memory(b, e.PID(), "VmRSS"))
		replace(w.fields+field, w.fields)
		save()
		if _, err := e.Exit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(quantile(first, 1), "first-ms")
	b.ReportMetric(quantile(fields, 0.5), "field-p50-ms")
	b.ReportMetric(quantile(fields, 0.95), "field-p95-ms")
	b.ReportMetric(quantile(fieldCPU, 0.5), "field-cpu-ms")
	b.ReportMetric(quantile(bodies, 0.5), "body-p50-ms")
	b.ReportMetric(quantile(bodies, 0.95), "body-p95-ms")
	b.ReportMetric(quantile(bodyCPU, 0.5), "body-cpu-ms")
	b.ReportMetric(quantile(saves, 0.5), "save-p50-ms")
	b.ReportMetric(quantile(saves, 0.95), "save-p95-ms")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(idle, "idle-MB")
	b.ReportMetric(cpu*1000, "idle-cpu-ms/5s")
}

// hugoVersion is a public program of more than 500 packages, about 190 of them its own; the one that is edited has more
// than 10,000 lines.
const hugoVersion = "github.com/gohugoio/hugo@v0.165.0"

// hugo starts Hugo's server.
func hugo(b *testing.B) *workload {
	dir := hugoSource(b)
	w := &workload{
		dir: dir, env: append(environ(tempDir(b)), "CGO_ENABLED=0", "GOWORK=off"),
		path:   filepath.Join(dir, "hugolib", "hugo_sites.go"),
		fields: "type HugoSites struct {\n", body: "func (h *HugoSites) Close() error {\n",
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	w.start(b, "Web Server is available", "run", ".", "--", "server", "--source", hugoSite(b), "--bind", "127.0.0.1",
		"--port", port, "--renderToMemory", "--disableLiveReload", "--watch=false")
	return w
}

// large starts a program of a module that is made for the purpose.
func large(b *testing.B) *workload {
	dir := filepath.Join(tempDir(b), "large")
	path, lines := writeLarge(b, dir)
	b.Logf("%s has %d lines", filepath.Base(filepath.Dir(path)), lines)
	w := &workload{
		dir: dir, env: append(environ(tempDir(b)), "GOWORK=off"), path: path,
		fields: "type Order0 struct {\n", body: "func (o *Order0) Total() (sum float64) {\n",
	}
	w.start(b, "ready", "run", "-trimpath", ".") // what the go command's cache has of it serves in any directory
	return w
}

// start builds and starts the program, and waits until it says that it is there.
func (w *workload) start(b *testing.B, ready string, args ...string) {
	b.Helper()
	start := time.Now()
	p, err := startProgram(w.dir, w.env, shared.tool, args...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.stop)
	for line := range p.lines {
		if strings.Contains(line, ready) {
			b.Logf("built and started in %v", time.Since(start).Round(time.Second))
			return
		}
	}
	b.Fatalf("the program did not start:\n%s", p.said())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(list []float64, q float64) float64 {
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// hugoSource is a copy of Hugo's source that may be edited.
func hugoSource(b *testing.B) string {
	b.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", hugoVersion)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Dir = b.TempDir()
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v", out, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(tempDir(b), "hugo")
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		b.Fatal(err)
	}
	return dir
}

func hugoSite(b *testing.B) string {
	b.Helper()
	dir := tempDir(b)
	for name, text := range map[string]string{"hugo.toml": "title = 'Limeade'\n", "layouts/home.html": "<h1>{{ .Site.Title }}</h1>"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// memory reads a line of /proc/PID/status, in megabytes.
func memory(b *testing.B, pid int, name string) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			kb, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatalf("no %s", name)
	return 0
}

// cpuOf is what a process has used of all processors, in seconds.
func cpuOf(b *testing.B, pid int) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return float64(user+system) / 100 // ticks of USER_HZ
}
