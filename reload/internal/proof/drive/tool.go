// Package drive builds the real limeade-lsp and drives it by its command line and its JSON, as any other program would;
// it must never know how a refresh is made, and imports nothing else of this module.
package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// command is what the proofs drive.
const command = "github.com/limeade-go/limeade/cmd/limeade-lsp"

// Exit codes of check and refresh, and of every verb when the command line is wrong.
const (
	Live      = 0
	Refused   = 1
	NoCompile = 2
	NoProcess = 3
	Usage     = 64
)

// A tool is a limeade-lsp built by one toolchain.
type tool struct {
	once sync.Once
	path string
	err  error
}

// shared is what the tests of a process have in common.
var shared struct {
	once  sync.Once
	dir   string // holds the binaries and their cache; removed by Main
	local string // the go command's own version
	env   []string
	err   error

	mu    sync.Mutex
	tools map[string]*tool // by the toolchain that builds it
}

// Main runs the tests of a package and removes what the tool left behind. A package that drives the tool calls it from
// TestMain.
func Main(m *testing.M) int {
	defer func() {
		if shared.dir != "" {
			os.RemoveAll(shared.dir)
		}
	}()
	return m.Run()
}

// settle makes the environment of all tools: a cache of their own, beside the user's build cache.
func settle() error {
	var err error
	if shared.dir, err = os.MkdirTemp("", "limeade-proof-"); err != nil {
		return err
	}
	out, err := Go(context.Background(), "", nil, "env", "GOVERSION", "GOCACHE")
	if err != nil {
		return err
	}
	if err := consult(); err != nil {
		return err
	}
	var gocache string
	shared.local, gocache, _ = strings.Cut(strings.TrimSpace(out), "\n")
	shared.tools = map[string]*tool{}
	shared.env = []string{
		"XDG_CACHE_HOME=" + filepath.Join(shared.dir, "cache"),
		"GOCACHE=" + gocache,
		"GOWORK=off",
	}
	return nil
}

// consult looks at every source file of this module. The go command remembers a test's result until a file that the test
// looked at has changed; what the tool is built of counts as well.
func consult() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	})
}

// build gives the limeade-lsp that is for programs of a toolchain, and that toolchain's name; no name means the local
// one. The standard library of a newer Go than the tool's own may be more than the tool's go/types can read: for it the
// tool is built by that Go. An older one cannot build this module.
func build(toolchain string) (path string, _ string, _ error) {
	shared.once.Do(func() { shared.err = settle() })
	if shared.err != nil {
		return "", "", shared.err
	}
	if toolchain == "" {
		toolchain = shared.local
	}
	by := shared.local
	if version.Compare(toolchain, by) > 0 {
		by = toolchain
	}
	shared.mu.Lock()
	t := shared.tools[by]
	if t == nil {
		t = &tool{path: filepath.Join(shared.dir, by, "limeade-lsp")}
		shared.tools[by] = t
	}
	shared.mu.Unlock()
	t.once.Do(func() {
		if _, err := Go(context.Background(), "", []string{"GOTOOLCHAIN=" + by}, "build", "-o", t.path, command); err != nil {
			t.err = fmt.Errorf("%s: does not build: %w", command, err)
		}
	})
	return t.path, toolchain, t.err
}

// Go runs the go command in dir, with env added to the environment, and gives what it printed to standard output. An
// error has its standard error.
func Go(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(msg.Bytes()))
	}
	return out.String(), nil
}

// supported are the Go versions that a proof runs with when it is to run with all of them.
var supported = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

// Toolchains are the Go versions that a proof runs with: those that the variable LIMEADE_GO lists, separated by commas
// or blanks, as "go1.25.14,go1.27.3"; without it all that are supported, or only the one that go env names. Each is good
// as a value of GOTOOLCHAIN.
func Toolchains(tb testing.TB, all bool) []string {
	tb.Helper()
	list := strings.FieldsFunc(os.Getenv("LIMEADE_GO"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(list) > 0 {
		return list
	}
	if all {
		return supported
	}
	v, err := Go(context.Background(), "", nil, "env", "GOVERSION")
	if err != nil {
		tb.Fatal(err)
	}
	return []string{strings.TrimSpace(v)}
}

// A Workspace is a folder with a program's source and the one process that runs it. Two of them see nothing of one
// another: each has its own folder of sockets.
type Workspace struct {
	Dir  string // where the main package is
	tb   testing.TB
	tool string // path of limeade-lsp
	env  []string

	mu      sync.Mutex
	program *Program
}

// NewWorkspace prepares dir for a toolchain, the local one when it is empty, with env added to the environment of the
// tool and of the program. Whatever was started in it is killed when the test ends.
func NewWorkspace(tb testing.TB, dir, toolchain string, env ...string) *Workspace {
	tb.Helper()
	path, toolchain, err := build(toolchain)
	if err != nil {
		tb.Fatal(err)
	}
	// A socket's path has at most 107 bytes: the folder is made in the tools' own, not in the test's.
	sockets, err := os.MkdirTemp(shared.dir, "run")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Workspace{Dir: dir, tb: tb, tool: path}
	w.env = slices.Concat(os.Environ(), shared.env, []string{"GOTOOLCHAIN=" + toolchain, "XDG_RUNTIME_DIR=" + sockets}, env)
	tb.Cleanup(w.kill)
	return w
}

// An Edit is one classified edit of an answer.
type Edit struct {
	Decl    string `json:"decl"`
	Kind    string `json:"kind"`
	Verdict string `json:"verdict"`
	Code    string `json:"code"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Stale counts goroutines that are still within an old body.
type Stale struct {
	Func       string `json:"func"`
	Goroutines int    `json:"goroutines"`
}

// Phases are the durations of one refresh.
type Phases struct {
	Detect  float64 `json:"detect_ms"`
	Check   float64 `json:"check_ms"`
	Compile float64 `json:"compile_ms"`
	Link    float64 `json:"link_ms"`
	Inject  float64 `json:"inject_ms"`
	Pause   float64 `json:"pause_us"`
	Total   float64 `json:"total_ms"`
}

// An Answer is what refresh and rollback print with --json, and how they ended.
type Answer struct {
	Generation int             `json:"generation"`
	Applied    bool            `json:"applied"`
	PID        int             `json:"pid"`
	Edits      []Edit          `json:"edits"`
	Stale      []Stale         `json:"stale"`
	Phases     Phases          `json:"phases"`
	Error      json.RawMessage `json:"error"`

	Exit   int           `json:"-"`
	Wall   time.Duration `json:"-"` // the whole process, from its start to its end
	Stderr string        `json:"-"`
}

// String is a line or two for a failing test.
func (a Answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "exit %d, generation %d, applied %t", a.Exit, a.Generation, a.Applied)
	if len(a.Error) > 0 && string(a.Error) != "null" {
		fmt.Fprintf(&b, ", error %s", a.Error)
	}
	for _, e := range a.Edits {
		if e.Verdict != "hot" {
			fmt.Fprintf(&b, "; %s:%d %s: %s %s: %s", e.File, e.Line, e.Decl, e.Verdict, e.Code, e.Message)
		}
	}
	if s := strings.TrimSpace(a.Stderr); s != "" {
		fmt.Fprintf(&b, "; stderr: %s", s)
	}
	return b.String()
}

// A Process is one entry of status.
type Process struct {
	PID        int     `json:"pid"`
	Package    string  `json:"package"`
	Dir        string  `json:"dir"`
	BuildID    string  `json:"build_id"`
	Go         string  `json:"go"`
	Generation int     `json:"generation"`
	Pending    []Edit  `json:"pending"`
	Stale      []Stale `json:"stale"`
	Learning   *struct {
		Packages int `json:"packages"`
		Known    int `json:"known"`
	} `json:"learning"`
}

// Build builds the workspace's main package with the agent in it, and does not start it.
func (w *Workspace) Build(ctx context.Context, exe string) error {
	_, msg, code, err := w.run(ctx, "build", "-o", exe, ".")
	if err == nil && code != 0 {
		err = fmt.Errorf("limeade-lsp build: exit %d\n%s", code, msg)
	}
	return err
}

// Refresh makes what the files say live.
func (w *Workspace) Refresh(ctx context.Context) (Answer, error) { return w.answer(ctx, "refresh") }

// Check says what a refresh would do.
func (w *Workspace) Check(ctx context.Context) (Answer, error) { return w.answer(ctx, "check") }

// Rollback undoes the last refresh.
func (w *Workspace) Rollback(ctx context.Context) (Answer, error) { return w.answer(ctx, "rollback") }

// Restart has the program built anew and started in the place of the one before.
func (w *Workspace) Restart(ctx context.Context) (Answer, error) {
	a, err := w.answer(ctx, "restart")
	if err == nil && a.Applied {
		w.mu.Lock()
		w.program.PID = a.PID
		w.mu.Unlock()
	}
	return a, err
}

// answer runs a verb that prints one Answer. An error means that the tool broke the contract or could not be run: a
// refusal is an answer.
func (w *Workspace) answer(ctx context.Context, verb string) (Answer, error) {
	start := time.Now()
	out, msg, code, err := w.run(ctx, verb, "-C", w.Dir, "--json")
	a := Answer{Exit: code, Wall: time.Since(start), Stderr: msg}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("%s --json, exit %d: %w\nstdout: %s\nstderr: %s", verb, code, err, out, msg)
	}
	if a.Applied && code != Live {
		return a, fmt.Errorf("%s --json: applied, but exit code %d", verb, code)
	}
	return a, nil
}

// Status lists the processes of this workspace.
func (w *Workspace) Status(ctx context.Context) ([]Process, error) {
	out, msg, code, err := w.run(ctx, "status", "-C", w.Dir, "--json")
	if err != nil {
		return nil, err
	}
	var s struct {
		Processes []Process `json:"processes"`
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return nil, fmt.Errorf("status --json, exit %d: %w\nstdout: %s\nstderr: %s", code, err, out, msg)
	}
	return s.Processes, nil
}

// run runs one short verb to its end.
func (w *Workspace) run(ctx context.Context, args ...string) (stdout []byte, stderr string, code int, err error) {
	cmd := exec.CommandContext(ctx, w.tool, args...)
	cmd.Dir, cmd.Env = w.Dir, w.env
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil && exit.Exited() {
		return out.Bytes(), msg.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return nil, msg.String(), -1, fmt.Errorf("limeade-lsp %s: %w: %s", strings.Join(args, " "), err, msg.String())
	}
	return out.Bytes(), msg.String(), 0, nil
}
