package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

const (
	starts    = 40
	memories  = 5
	idles     = 5
	idleTime  = 3 * time.Second
	loads     = 12
	loadSize  = 10_000 // requests
	loadConns = 4
)

// BenchmarkIdleAgent compares a program that has an agent which nobody asks anything with the same program without one: go
// build makes the one, limeade-lsp build the other. The two take turns, and each figure is the ratio of two
// neighbours; what the machine does meanwhile is in the spread. Nothing here can fail by being slow.
func BenchmarkIdleAgent(b *testing.B) {
	ctx := b.Context()
	dir := drive.CopyProgram(b, "small")
	w := drive.NewWorkspace(b, dir, "")
	var exes [2]string // without and with the agent
	for i, name := range []string{"plain", "agent"} {
		exes[i] = filepath.Join(b.TempDir(), name)
	}
	goBuild(b, ctx, dir, exes[0])
	if err := w.Build(ctx, exes[1]); err != nil {
		b.Fatal(err)
	}
	// start starts one of them, and returns it when it says that it is ready, with the place where it listens.
	start := func(i int) (*drive.Program, string) {
		p, err := w.Direct(exes[i])
		if err != nil {
			b.Fatal(err)
		}
		line, err := p.Line(ctx)
		if err != nil {
			b.Fatal(err)
		}
		return p, line[strings.LastIndexByte(line, ' ')+1:]
	}

	// compare measures both in turns, the one that is first changing, and adds the figures to the table.
	compare := func(what, unit string, rounds int, measure func(i int) float64) {
		var took [2][]float64
		var ratios []float64
		for n := range rounds {
			for i := range 2 {
				i := (i + n) % 2
				took[i] = append(took[i], measure(i))
			}
			if plain := took[0][n]; plain > 0 {
				ratios = append(ratios, took[1][n]/plain)
			}
		}
		plain, agent := drive.Quantile(took[0], 0.5), drive.Quantile(took[1], 0.5)
		ratio := "-"
		if len(ratios) > 0 {
			ratio = fmt.Sprintf("%.3f× (%.3f to %.3f)", drive.Quantile(ratios, 0.5), drive.Quantile(ratios, 0.1), drive.Quantile(ratios, 0.9))
			b.ReportMetric(drive.Quantile(ratios, 0.5), strings.ReplaceAll(what, " ", "-")+"-agent/plain")
		}
		table.add(row{what: fmt.Sprintf("idle agent: %s, p50 of %d", what, rounds), figure: fmt.Sprintf("%.3g %s", agent, unit),
			against: fmt.Sprintf("without it %.3g %s", plain, unit), ratio: ratio})
	}

	compare("size of the executable", "MiB", 1, func(i int) float64 {
		info, err := os.Stat(exes[i])
		if err != nil {
			b.Fatal(err)
		}
		return float64(info.Size()) / (1 << 20)
	})
	compare("start until it serves", "ms", starts, func(i int) float64 {
		begin := time.Now()
		p, _ := start(i)
		took := ms(time.Since(begin))
		p.Kill()
		return took
	})
	compare("resident memory", "MiB", memories, func(i int) float64 {
		p, _ := start(i)
		defer p.Kill()
		return float64(resident(b, ctx, p)) / (1 << 20)
	})

	var programs [2]*drive.Program
	var places [2]string
	for i := range programs {
		programs[i], places[i] = start(i)
	}
	compare(fmt.Sprintf("CPU in %v of nothing to do", idleTime), "ms", idles, func(i int) float64 {
		before := processor(b, programs[i])
		time.Sleep(idleTime)
		return ms(processor(b, programs[i]) - before)
	})
	var spent [2][]float64 // CPU of the program, for each request
	compare("time for a request under load", "µs", loads, func(i int) float64 {
		before := processor(b, programs[i])
		took := load(b, ctx, places[i])
		spent[i] = append(spent[i], float64((processor(b, programs[i])-before).Nanoseconds())/1000/loadSize)
		return float64(took.Nanoseconds()) / 1000 / loadSize
	})
	taken := [2]int{}
	compare("CPU for a request under load", "µs", loads, func(i int) float64 {
		taken[i]++
		return spent[i][taken[i]-1]
	})
	b.ReportMetric(0, "ns/op")
}

// load sends requests to a server over a few connections, as fast as it answers.
func load(b *testing.B, ctx context.Context, place string) time.Duration {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: loadConns}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	begin := time.Now()
	var clients sync.WaitGroup
	for range loadConns {
		clients.Go(func() {
			for range loadSize / loadConns {
				q, err := http.NewRequestWithContext(ctx, "GET", "http://"+place+"/report", nil)
				if err != nil {
					b.Error(err)
					return
				}
				r, err := client.Do(q)
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK {
					b.Errorf("%s: %s, %v", place, r.Status, err)
					return
				}
			}
		})
	}
	clients.Wait()
	return time.Since(begin)
}

// processor is the CPU time that the threads of a process have had so far (proc(5), /proc/pid/task/tid/schedstat).
func processor(b *testing.B, p *drive.Program) (d time.Duration) {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID))
	if err != nil || len(files) == 0 {
		b.Fatalf("process %d has no threads: %v", p.PID, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			b.Fatalf("%s: %q", f, text)
		}
		d += time.Duration(ns)
	}
	return d
}
