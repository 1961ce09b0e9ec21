// Stress works on package work in many ways at once while the package is swapped, and checks every answer. It takes
// commands from standard input, one a line, and answers each with a line: "probe old" and "probe new" do every kind of
// work once more, which must be all of that version; "stop" ends it with a report. It ends at the end of its input too.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Two goroutines do each kind of work, in turns with a rest between them: together they take about half of two
// processors, and leave the rest to the compiler that makes their next version.
const (
	workers = 2
	turn    = 200 * time.Microsecond
	rest    = 8 * time.Millisecond
)

var stopping atomic.Bool

// violation ends the program: an answer was wrong.
func violation(what string, err error) {
	fmt.Fprintf(os.Stderr, "stress: violation: %s: %v\n", what, err)
	os.Exit(1)
}

// totals counts all answers of one kind.
type totals struct{ old, new atomic.Int64 }

func main() {
	// Set here and not by GOGC in the environment, which would reach the go command and the compiler as well.
	debug.SetGCPercent(5)
	totals := make([]totals, len(kinds))
	var wait sync.WaitGroup
	c := gather()
	for _, f := range []func(){c.stir, litter, profile, collect} {
		wait.Go(f)
	}
	for i := range kinds {
		for w := range workers {
			wait.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(w)))
				for !stopping.Load() {
					n, err := burst(kinds[i], r)
					if err != nil {
						violation(kinds[i].name, err)
					}
					totals[i].old.Add(int64(n.Old))
					totals[i].new.Add(int64(n.New))
					<-time.After(rest)
				}
			})
		}
	}
	fmt.Printf("ready %s GODEBUG=%s\n", runtime.Version(), os.Getenv("GODEBUG"))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "stop" {
		fmt.Println(command(in.Text()))
	}
	stopping.Store(true)
	wait.Wait()
	c.wait.Wait()
	if err := sweep(); err != nil {
		violation("finalizer", err)
	}
	report := map[string]count{"parked goroutine": {int(c.old.Load()), int(c.new.Load())}}
	for i := range kinds {
		report[kinds[i].name] = count{int(totals[i].old.Load()), int(totals[i].new.Load())}
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		violation("report", err)
	}
}

// burst does one kind of work for a while.
func burst(k kind, r *rand.Rand) (sum count, err error) {
	for start := time.Now(); time.Since(start) < turn; {
		n, err := k.once(r)
		if err != nil {
			return sum, err
		}
		sum.Old += n.Old
		sum.New += n.New
	}
	return sum, nil
}

// command does what one line asks for.
func command(line string) string {
	switch line {
	case "probe old":
		return probe(func(c count) bool { return c.Old > 0 && c.New == 0 })
	case "probe new":
		return probe(func(c count) bool { return c.New > 0 && c.Old == 0 })
	}
	return "unknown command"
}

// probe does every kind of work once; nothing is being swapped meanwhile, so that all of it must be of one version.
func probe(want func(count) bool) string {
	r := rand.New(rand.NewPCG(1, 2))
	var wrong []string
	for _, k := range kinds {
		c, err := k.once(r)
		if err != nil {
			violation("probe: "+k.name, err)
		}
		if !want(c) {
			wrong = append(wrong, fmt.Sprintf("%s: %d old and %d new", k.name, c.Old, c.New))
		}
	}
	if len(wrong) > 0 {
		return strings.Join(wrong, ", ")
	}
	return "ok"
}
