//go:build linux && amd64

package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/wire"
	"github.com/limeade-go/limeade/reload/patch"
)

// releases are the toolchains that the agent is for.
var releases = []string{"go1.25.14", "go1.26.8", "go1.27.3"}

// present is the release that tests use when it does not matter which.
const present = "go1.26.8"

// A variant is a way to build the target program.
type variant struct {
	name  string
	go_   string
	flags []string
	// symbols are flags that make the same code with a symbol table, if it has none. They are as long: they are part of
	// the program's data.
	symbols []string
	env     []string
}

var variants = []variant{
	{name: "go1.25", go_: releases[0]},
	{name: "go1.26", go_: releases[1]},
	{name: "go1.27", go_: releases[2]},
	{name: "pie", go_: present, flags: []string{"-buildmode=pie"}},
	{name: "pie1.27", go_: releases[2], flags: []string{"-buildmode=pie"}},
	{name: "race", go_: present, flags: []string{"-race"}, env: []string{"CGO_ENABLED=1"}},
	{name: "cover", go_: present, flags: []string{"-cover"}},
	{name: "racecover", go_: releases[2], flags: []string{"-race", "-cover", "-coverpkg=./..."}, env: []string{"CGO_ENABLED=1"}},
	{name: "external", go_: present, flags: []string{"-ldflags=-linkmode=external"}, env: []string{"CGO_ENABLED=1"}},
	{name: "stripped", go_: present, flags: []string{"-ldflags=-s -w"}, symbols: []string{"-ldflags=-w -w"}},
	{name: "noopt", go_: present, flags: []string{"-gcflags=all=-N -l"}},
}

// scratch is a directory for all tests of the package.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if len(os.Args) == 3 && os.Args[1] == "knock" {
		return knock(os.Args[2])
	}
	dir, err := os.MkdirTemp("", "limeade-agent")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	// The agent is in this program as well.
	for _, own := range patch.SocketDirs(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()) {
		defer os.Remove(filepath.Join(own, patch.SocketName(os.Getpid())))
	}
	os.Setenv("XDG_RUNTIME_DIR", dir)
	return m.Run()
}

// An executable is a built target.
type executable struct {
	path    string
	variant variant
	symbols map[string]elf.Symbol
	file    *elf.File // of the variant with symbols: the same code
	layout  *layout.Layout
}

var builds sync.Map // variant name → func() (*executable, error)

// build builds the target program with the agent laid over as a package of its own module.
func build(t *testing.T, name string) *executable {
	t.Helper()
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (*executable, error) { return buildVariant(name) }))
	b, err := once.(func() (*executable, error))()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func variantOf(name string) variant {
	for _, v := range variants {
		if v.name == name {
			return v
		}
	}
	panic("no variant " + name)
}

func buildVariant(name string) (*executable, error) {
	v := variantOf(name)
	dir := filepath.Join(scratch, name)
	if err := overlay(dir, true); err != nil {
		return nil, err
	}
	b := &executable{path: filepath.Join(dir, "target.bin"), variant: v}
	if err := compile(dir, b.path, v); err != nil {
		return nil, err
	}
	with := b.path
	if v.symbols != nil {
		other := v
		other.flags = v.symbols
		with = b.path + ".symbols"
		if err := compile(dir, with, other); err != nil {
			return nil, err
		}
	}
	var err error
	if b.file, err = elf.Open(with); err != nil {
		return nil, err
	}
	list, err := b.file.Symbols()
	if err != nil {
		return nil, err
	}
	b.symbols = make(map[string]elf.Symbol, len(list))
	for _, s := range list {
		b.symbols[s.Name] = s
	}
	goroot, err := goroot(v.go_)
	if err != nil {
		return nil, err
	}
	b.layout, err = layout.Load(goroot, filepath.Join(scratch, "cache"))
	return b, err
}

func compile(dir, out string, v variant) error {
	args := append([]string{"build", "-o", out}, v.flags...)
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOTOOLCHAIN="+v.go_, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0"), v.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %v: %w\n%s", v.name, cmd.Args, err, out)
	}
	return nil
}

func goroot(release string) (string, error) {
	cmd := exec.Command("go", "env", "GOROOT")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// overlay writes the module "target" into dir: the target program, and the agent as a package of it, as `limeade-lsp
// build` does. Its go.mod names an old release: the agent must not depend on the module's language version.
func overlay(dir string, agent bool) error {
	if err := copyGo("testdata/target", dir, nil); err != nil {
		return err
	}
	if agent {
		rename := strings.NewReplacer("github.com/limeade-go/limeade/reload/", "target/limeade_/")
		for from, to := range map[string]string{
			".": "limeade_/agent", "internal/rt": "limeade_/agent/internal/rt", "../patch": "limeade_/patch",
		} {
			if err := copyGo(from, filepath.Join(dir, to), rename); err != nil {
				return err
			}
		}
		main := "package main\n\nimport _ \"target/limeade_/agent\"\n"
		if err := os.WriteFile(filepath.Join(dir, "limeade_.go"), []byte(main), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module target\n\ngo 1.16\n"), 0o600)
}

func copyGo(from, to string, rename *strings.Replacer) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if (ext != ".go" && ext != ".s") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if rename != nil {
			data = []byte(rename.Replace(string(data)))
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A process is a running target.
type process struct {
	t      *testing.T
	b      *executable
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bytes.Buffer
	bias   uint64
}

// start runs the target in a mode and waits until it listens.
func start(t *testing.T, b *executable, mode string) *process {
	t.Helper()
	p := &process{t: t, b: b, cmd: exec.Command(b.path, mode), stderr: new(bytes.Buffer)}
	p.cmd.Stderr = p.stderr
	p.cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir(), "GOTRACEBACK=all")
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
		// What the target does to itself is its own affair.
		if errs := p.stderr.String(); strings.Contains(errs, "DATA RACE") && strings.Contains(errs, "limeade_") {
			t.Errorf("race in the agent:\n%.6000s", errs)
		}
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("target's standard error:\n%.6000s", p.stderr)
		}
	})
	if mode == "serve" {
		p.expect("ready")
	}
	return p
}

// tell sends a command and returns the answer.
func (p *process) tell(format string, args ...any) string {
	p.t.Helper()
	p.send(format, args...)
	return p.line()
}

func (p *process) send(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatalf("target: %v", err)
	}
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		p.t.Fatalf("target ended: %v\n%s", err, p.stderr)
	}
	return strings.TrimSpace(line)
}

func (p *process) expect(want string) {
	p.t.Helper()
	if got := p.line(); got != want {
		p.t.Fatalf("target said %q, want %q", got, want)
	}
}

// check sends a command and compares the answer.
func (p *process) check(command, want string) {
	p.t.Helper()
	if got := p.tell("%s", command); got != want {
		p.t.Fatalf("target answered %q to %q, want %q", got, command, want)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// dial connects to the agent in the process, which may not have come to listen yet.
func (p *process) dial() *wire.Client {
	p.t.Helper()
	p.awaitSocket()
	c, err := wire.Dial(context.Background(), p.pid())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

func (p *process) socket() string {
	return filepath.Join(patch.SocketDirs(scratch, os.Geteuid())[0], patch.SocketName(p.pid()))
}

// awaitSocket waits for the socket of a process that says nothing on its own.
func (p *process) awaitSocket() {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(p.socket()); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("target does not listen\n%s", p.stderr)
		}
	}
}

func hello(t *testing.T, c *wire.Client) patch.HelloReply {
	t.Helper()
	h, err := c.Hello(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// symbol returns the address range of a symbol in the process.
func (p *process) symbol(name string) (lo, hi uint64) {
	p.t.Helper()
	s, ok := p.b.symbols[name]
	if !ok {
		p.t.Fatalf("target has no symbol %s", name)
	}
	return s.Value + p.bias, s.Value + s.Size + p.bias
}

// bytes returns n bytes of the executable at an address of the process.
func (p *process) bytes(addr uint64, n int) []byte {
	p.t.Helper()
	addr -= p.bias
	for _, prog := range p.b.file.Progs {
		if prog.Type == elf.PT_LOAD && prog.Vaddr <= addr && addr+uint64(n) <= prog.Vaddr+prog.Filesz {
			b := make([]byte, n)
			if _, err := prog.ReadAt(b, int64(addr-prog.Vaddr)); err != nil {
				p.t.Fatal(err)
			}
			return b
		}
	}
	p.t.Fatalf("target's file has nothing at %#x", addr)
	return nil
}

// find is the layout.Finder of the process.
func (p *process) find(name string, abi uint16) (lo, hi uint64, ok bool) {
	s, ok := p.b.symbols[name]
	if abi == 0 {
		if s0, ok0 := p.b.symbols[name+".abi0"]; ok0 {
			s, ok = s0, ok0
		}
	}
	return s.Value + p.bias, s.Value + s.Size + p.bias, ok
}

// newPatch begins a patch with text against the state that the agent reports.
func (p *process) newPatch(h patch.HelloReply, text []byte) *patch.Patch {
	p.t.Helper()
	p.bias = h.Bias
	r, err := p.b.layout.Runtime(p.find)
	if err != nil {
		p.t.Fatal(err)
	}
	return &patch.Patch{
		BuildID: h.BuildID, GoVersion: h.GoVersion, Base: h.Generation, Next: h.Generation + 1,
		Source: fmt.Sprintf("source %d", h.Generation+1),
		Origin: h.ArenaNext, Text: text, Runtime: r,
	}
}

// returns is a function body: return n.
func returns(n byte) []byte {
	return []byte{0xb8, n, 0, 0, 0, 0xc3} // mov eax, n; ret
}

// detour adds to q what replaces the function name by the code at offset in q's text.
func (p *process) detour(q *patch.Patch, name string, offset, size uint64) {
	p.t.Helper()
	lo, hi := p.symbol(name)
	p.detourFrom(q, name, lo, hi, p.bytes(lo, 5), offset, size)
}

func (p *process) detourFrom(q *patch.Patch, name string, lo, hi uint64, expect []byte, offset, size uint64) {
	to := q.Origin + offset
	q.Writes = append(q.Writes, patch.Write{Addr: lo, Expect: expect, New: jump(lo, to)})
	entry, _ := p.symbol(name)
	if lo != entry {
		panic("detour of another version")
	}
	q.Funcs = append(q.Funcs, patch.Func{Name: name, OldLo: lo, OldHi: hi, NewLo: to, NewHi: to + size})
	q.Windows = append(q.Windows, patch.Window{Lo: lo, Hi: lo + 5})
}

// jump is JMP rel32 at from.
func jump(from, to uint64) []byte {
	d := uint32(to - from - 5)
	return []byte{0xe9, byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)}
}

func apply(t *testing.T, c *wire.Client, q *patch.Patch) patch.ApplyReply {
	t.Helper()
	r, err := c.Apply(context.Background(), q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rollback asks the process of a client, which is at base, to go back.
func rollback(c *wire.Client, base uint32, source string) (patch.ApplyReply, error) {
	h, err := c.Hello(context.Background())
	if err != nil {
		return patch.ApplyReply{}, err
	}
	return c.Rollback(context.Background(), h.BuildID, base, source)
}

// refused expects a refusal.
func refused(t *testing.T, err error, code patch.Code, part string) {
	t.Helper()
	var e *patch.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a refusal: %v", err, code)
	}
	if e.Code != code || !strings.Contains(e.Message, part) {
		t.Fatalf("refusal is %v: %q, want %v with %q", e.Code, e.Message, code, part)
	}
}

// memory reads the process's memory.
func (p *process) memory(addr uint64, n int) []byte {
	p.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, int64(addr)); err != nil {
		p.t.Fatalf("memory at %#x: %v", addr, err)
	}
	return b
}
