// Package many makes one refresh after the other of one process. It knows the tool's command line and must never know
// how a refresh is made.
package many

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const (
	warmUp = 20        // refreshes before memory is counted
	limit  = 64 * 1024 // bytes that the edit of a body may cost
	window = 6         // declarations of each kind that the program has at a time; older ones are deleted
)

// refreshes is how many there are: LIMEADE_REFRESHES, or as many as a run of all tests has time for.
func refreshes(t *testing.T) int {
	s := os.Getenv("LIMEADE_REFRESHES")
	if s == "" {
		return 100
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= warmUp {
		t.Fatalf("LIMEADE_REFRESHES=%s: want a number above %d", s, warmUp)
	}
	return n
}

const loop = `package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"

	"example.com/many/work"
)

// respond is called through its value: main, which never returns, knows nothing of its code.
var respond = work.Answer

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "free" {
			debug.FreeOSMemory()
		}
		fmt.Println(respond())
	}
}
`

// A source is the package that is edited.
type source struct {
	bodies [4]int // what its functions return
	funcs  []int
	vars   []int
	types  []int
}

// edit makes the n-th edit and says of what kind it is.
func (s *source) edit(n int) string {
	add := func(list *[]int) {
		if *list = append(*list, n); len(*list) > window {
			*list = (*list)[1:]
		}
	}
	switch n % 20 {
	case 5, 15:
		add(&s.funcs)
		return "function added"
	case 10:
		add(&s.vars)
		return "variable added"
	case 0:
		add(&s.types)
		return "type added"
	}
	s.bodies[n%len(s.bodies)] = n
	return "body"
}

// text is the package's source, and sum what it answers beside the number of calls.
func (s *source) text() (text string, sum int) {
	var body, decls strings.Builder
	for i, n := range s.bodies {
		sum += n
		fmt.Fprintf(&body, "\tsum += body%d()\n", i)
		fmt.Fprintf(&decls, "\nfunc body%d() int { return %d }\n", i, n)
	}
	for _, n := range s.funcs {
		sum += 2 * n
		fmt.Fprintf(&body, "\tsum += func%d(2)\n", n)
		fmt.Fprintf(&decls, "\n//go:noinline\nfunc func%d(n int) int { return n * %d }\n", n, n)
	}
	for _, n := range s.vars {
		sum += 3 * n
		fmt.Fprintf(&body, "\tsum += 3 * var%d[0]\n", n)
		fmt.Fprintf(&decls, "\nvar var%d = []int{%d}\n", n, n)
	}
	for _, n := range s.types {
		sum += 5 * n
		fmt.Fprintf(&body, "\tsum += getter(&type%d{%d}).Get()\n", n, n)
		// Of one form, the type that comes would be the one that goes by another name.
		fmt.Fprintf(&decls, "\ntype type%d struct{ n%d int }\n\n//go:noinline\nfunc (t *type%d) Get() int { return t.n%d * 5 }\n", n, n, n, n)
	}
	return fmt.Sprintf(`package work

import "fmt"

type getter interface{ Get() int }

var calls int

func Answer() string {
	calls++
	sum := 0
%s	return fmt.Sprint(sum, " ", calls)
}
%s`, body.String(), decls.String()), sum
}

// TestMany makes many refreshes of one process, all different, additions and deletions among them. The answers are right
// throughout, and a refresh costs no more memory than it may.
func TestMany(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "many")
	if err := os.MkdirAll(filepath.Join(dir, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	var s source
	first, sum := s.text()
	file := filepath.Join(dir, "work", "work.go")
	for name, text := range map[string]string{
		filepath.Join(dir, "go.mod"): "module example.com/many\n\ngo 1.25\n", filepath.Join(dir, "main.go"): loop, file: first,
	} {
		if err := drive.Put(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	w := drive.NewWorkspace(t, dir, "")
	p, err := w.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	ask := func(command string) {
		t.Helper()
		calls++
		said, err := p.Ask(ctx, command)
		if want := fmt.Sprint(sum, " ", calls); err != nil || said != want {
			t.Fatalf("program says %q, %v, want %q\n%s", said, err, want, p.Stderr)
		}
	}
	ask("")
	if err := w.Listed(ctx); err != nil {
		t.Fatal(err)
	}

	memory, count := map[string]int{}, map[string]int{}
	total := refreshes(t)
	for n := 1; n <= total; n++ {
		ask("free")
		before := resident(t, p.PID)
		kind := s.edit(n)
		var text string
		text, sum = s.text()
		if err := drive.Put(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		a, err := w.Refresh(ctx)
		if err != nil || a.Exit != drive.Live || !a.Applied || a.Generation != n {
			t.Fatalf("refresh %d, %s: %v, %v\n%s", n, kind, a, err, p.Stderr)
		}
		ask("free")
		if n > warmUp {
			memory[kind] += resident(t, p.PID) - before
			count[kind]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%4d refreshes, %s: %.1f KiB each", count[kind], kind, float64(memory[kind])/float64(count[kind])/1024)
	}
	if each := memory["body"] / count["body"]; each > limit {
		t.Errorf("the edit of a body costs %d bytes of memory, want at most %d", each, limit)
	}
	p.Stdin.Close()
	if code, err := p.Wait(ctx); code != 0 || err != nil {
		t.Errorf("program ends with %d, %v\n%s", code, err, p.Stderr)
	}
}

// resident is how many bytes of memory a process holds (proc(5), smaps_rollup).
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nRss:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
	if err != nil {
		t.Fatalf("smaps_rollup of %d: %v", pid, err)
	}
	return kib * 1024
}
