package limeade_test

import (
	"bufio"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/limeade"
)

// releases are the toolchains that programs may be built with.
var releases = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

const (
	own = "github.com/limeade-go/limeade/reload/limeade"
	// most is what the package may add to a program without an agent, in bytes of code and data.
	most = 1 << 10
)

// program uses all of the package, and says what it finds; then it waits for the end of its input.
const program = `package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/limeade-go/limeade/reload/limeade"
)

func main() {
	limeade.OnRefresh(func(e limeade.Event) { e.Veto("never called"); fmt.Println(e) })
	limeade.Health(func() error { return errors.New("never called") })
	o, err := limeade.Refresh(context.Background())
	if _, err := limeade.Reload(context.Background(), "table"); !errors.Is(err, limeade.ErrNoAgent) {
		fmt.Println(err)
	}
	fmt.Println(limeade.Generation(), o.Applied, errors.Is(err, limeade.ErrNoAgent))
	bufio.NewReader(os.Stdin).ReadString('\n')
}
`

// TestProduction: a plain go build of a program that imports the package has no agent in it, listens nowhere, and is
// hardly larger for it.
func TestProduction(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			dir := module(t)
			run := func(args ...string) string {
				t.Helper()
				cmd := exec.Command("go", args...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOTOOLCHAIN="+release, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			run("version") // what it says of a download goes here
			for path := range strings.Lines(run("list", "-deps", ".")) {
				path = strings.TrimSpace(path)
				if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && path != own && path != "example.com/app" {
					t.Errorf("the program contains %s", path)
				}
				if path == "net" {
					t.Error("the program contains package net")
				}
			}
			run("build", "-o", "app", ".")
			if size := ownSymbols(t, filepath.Join(dir, "app")); size == 0 || size > most {
				t.Errorf("the package takes %d bytes, want at most %d", size, most)
			} else {
				t.Logf("the package takes %d bytes", size)
			}

			cmd := exec.Command(filepath.Join(dir, "app"))
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if line != "0 false true\n" || err != nil {
				t.Errorf("the program says %q, %v", line, err)
			}
			fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", cmd.Process.Pid))
			if err != nil || len(fds) == 0 {
				t.Errorf("descriptors of the program: %v, %v", fds, err)
			}
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err != nil || strings.HasPrefix(to, "socket:") {
					t.Errorf("the program has a socket: %s, %v", to, err)
				}
			}
			if _, err := os.Lstat(filepath.Join(dir, "limeade")); err == nil {
				t.Error("the program made a directory for sockets")
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// module makes one of the program and of this package, for any release.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"main.go": program,
		"go.mod":  "module example.com/app\n\ngo 1.25\n\nrequire github.com/limeade-go/limeade v0.0.0\n\nreplace github.com/limeade-go/limeade => ./own\n",

		"own/go.mod": "module github.com/limeade-go/limeade\n\ngo 1.25\n",
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files["own/reload/limeade/"+name] = string(text)
		}
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ownSymbols is the size of all of the package's symbols in a program.
func ownSymbols(t *testing.T, file string) (size uint64) {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if strings.Contains(s.Name, own+".") {
			t.Logf("%5d %s", s.Size, s.Name)
			size += s.Size
		}
	}
	return size
}

// An agent is one that runs what it guards at once.
type agent struct{ failures []string }

func (*agent) Generation() uint32 { return 7 }

func (*agent) Refresh(context.Context, []string) (*limeade.Outcome, error) {
	return &limeade.Outcome{Applied: true}, nil
}

func (a *agent) Guard(fn func()) string {
	fn()
	why := a.failures[0]
	a.failures = a.failures[1:]
	return why
}

// TestTell: hooks that were registered before there was an agent are called in their order, and what goes wrong in
// them has the place where they were registered.
func TestTell(t *testing.T) {
	var said []string
	hook := func(name, veto string) func(limeade.Event) {
		return func(e limeade.Event) {
			said = append(said, fmt.Sprint(name, e.Stage, e.Generation, e.Rollback, e.Changed))
			e.Veto(veto)
		}
	}
	limeade.OnRefresh(hook("a", ""))
	a := &agent{failures: []string{"fell", "", "", "", "", "", "", ""}}
	tell, _ := limeade.Attach(a)
	limeade.OnRefresh(hook("b", "a later reason"))
	for _, test := range []struct {
		e          limeade.Event
		veto       string
		said, fail int
	}{
		{limeade.Event{Stage: limeade.Before, Generation: 8, Changed: []string{"main.f"}}, "it gave no reason", 2, 1},
		{limeade.Event{Stage: limeade.Dropped, Generation: 8}, "", 2, 0},
		{limeade.Event{Stage: limeade.Before, Generation: 8, Rollback: true}, "", 2, 0},
		{limeade.Event{Stage: limeade.After, Generation: 8, Rollback: true}, "", 2, 0},
	} {
		said = nil
		veto, failures := tell(test.e)
		if veto != test.veto || len(said) != test.said || len(failures) != test.fail {
			t.Errorf("%+v: veto %q, failures %q, hooks said %q", test.e, veto, failures, said)
		}
		if test.fail > 0 && (!strings.Contains(failures[0], "limeade_test.go:") || !strings.HasSuffix(failures[0], ") fell")) {
			t.Errorf("failure is %q", failures[0])
		}
	}
	if limeade.Generation() != 7 {
		t.Errorf("generation %d", limeade.Generation())
	}
}
