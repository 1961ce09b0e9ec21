package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/server/editor"
)

// hugo is a public program of more than 500 packages, about 190 of them its own; the one that is edited has more than
// 10,000 lines.
const (
	hugo       = "github.com/gohugoio/hugo@v0.165.0"
	hugoEdited = "hugolib/hugo_sites.go"
)

// BenchmarkEditor measures what a person feels who edits a large program that runs: how long after a keystroke, and after
// a save, the diagnostics are there, how soon after initialize, and what the server takes of the machine.
func BenchmarkEditor(b *testing.B) {
	dir, runtimeDir := hugoSource(b), tempDir(b)
	env := append(environ(runtimeDir), "CGO_ENABLED=0", "GOWORK=off")
	start := time.Now()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	p, err := startProgram(dir, env, shared.tool, "run", ".", "--", "server", "--source", hugoSite(b), "--bind", "127.0.0.1",
		"--port", port, "--renderToMemory", "--disableLiveReload", "--watch=false")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.stop)
	for line := range p.lines {
		if strings.Contains(line, "Web Server is available") {
			break
		}
	}
	b.Logf("hugo was built and started in %v", time.Since(start).Round(time.Second))

	path := filepath.Join(dir, filepath.FromSlash(hugoEdited))
	const anchor = "type HugoSites struct {\n"
	var first, keys, keyCPU, saves []float64
	var peak, idle, cpu float64
	for b.Loop() {
		began := time.Now()
		e, err := editor.Start(editor.Config{
			Command: []string{shared.tool, "--stdio"}, Env: env, Folders: []string{dir}, Capabilities: capabilities(nil),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Open(path); err != nil {
			b.Fatal(err)
		}
		shown := func(field string) {
			err := e.Wait(func() bool {
				return slices.ContainsFunc(e.DiagnosticsNow(path), func(d editor.Diagnostic) bool { return strings.Contains(d.Message, "("+field+")") })
			})
			if err != nil {
				b.Fatalf("%s: %v\n%s", field, err, e.Stderr())
			}
		}
		if err := e.Type(path, anchor, anchor+"\tfield0 int\n"); err != nil {
			b.Fatal(err)
		}
		shown("field0")
		first = append(first, ms(time.Since(began)))
		const keystrokes = 100
		used := cpuOf(b, e.PID())
		for i := range keystrokes {
			began := time.Now()
			if err := e.Type(path, fmt.Sprintf("\tfield%d int\n", i), fmt.Sprintf("\tfield%d int\n", i+1)); err != nil {
				b.Fatal(err)
			}
			shown(fmt.Sprintf("field%d", i+1))
			keys = append(keys, ms(time.Since(began)))
		}
		keyCPU = append(keyCPU, (cpuOf(b, e.PID())-used)*1000/keystrokes)
		if err := e.Save(path); err != nil {
			b.Fatal(err)
		}
		for i := range 20 {
			field := fmt.Sprintf("saved%d", i)
			text, err := e.Text(path)
			if err != nil {
				b.Fatal(err)
			}
			at := strings.Index(text, anchor) + len(anchor)
			old := text[at : at+strings.IndexByte(text[at:], '\n')+1]
			if err := e.Type(path, anchor+old, anchor+"\t"+field+" int\n"); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			if err := e.Save(path); err != nil {
				b.Fatal(err)
			}
			shown(field)
			saves = append(saves, ms(time.Since(began)))
		}
		peak = max(peak, memory(b, e.PID(), "VmHWM"))
		time.Sleep(5 * time.Second) // it gives memory back
		before := cpuOf(b, e.PID())
		time.Sleep(5 * time.Second) // what is measured is that nothing happens
		cpu = max(cpu, cpuOf(b, e.PID())-before)
		idle = max(idle, memory(b, e.PID(), "VmRSS"))
		if err := e.Type(path, anchor+"\tsaved19 int\n", anchor); err != nil {
			b.Fatal(err)
		}
		if err := e.Save(path); err != nil {
			b.Fatal(err)
		}
		if _, err := e.Exit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(quantile(first, 1), "first-ms")
	b.ReportMetric(quantile(keys, 0.5), "key-p50-ms")
	b.ReportMetric(quantile(keys, 0.95), "key-p95-ms")
	b.ReportMetric(quantile(keyCPU, 0.5), "key-cpu-ms")
	b.ReportMetric(quantile(saves, 0.95), "save-p95-ms")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(idle, "idle-MB")
	b.ReportMetric(cpu*1000, "idle-cpu-ms/5s")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(list []float64, q float64) float64 {
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// hugoSource is a copy of Hugo's source that may be edited.
func hugoSource(b *testing.B) string {
	b.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", hugo)
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
