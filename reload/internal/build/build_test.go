package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

// The test binary is its own toolexec program. A variable in its environment
// names a script to run before a tool of the go command.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "limited" {
		os.Exit(buildLimited(os.Args[2], os.Args[3], os.Args[4]))
	}
	if len(os.Args) > 1 && os.Args[1] == "toolexec" {
		if hook := os.Getenv("LIMEADE_TEST_TOOL_HOOK"); hook != "" {
			if out, err := exec.Command("/bin/sh", append([]string{"-c", hook, "hook"}, os.Args[4:]...)...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "hook: %v\n%s", err, out)
				os.Exit(1)
			}
		}
		os.Exit(Toolexec(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// A small agent that shows itself: its language is newer than that of some of
// the programs it joins, and it has packages of its own.
var testAgent = fstest.MapFS{
	"agent/agent.go": {Data: []byte(`// Package agent is a stand-in.
package agent

import (
	"os"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	p "github.com/limeade-go/limeade/reload/patch"
)

func init() {
	for range 1 {
		if os.Getenv("SHOW_AGENT") != "" {
			println(min(p.Name, "~"), rt.Word, rt.Answer())
		}
	}
}
`)},
	"agent/internal/rt/rt.go": {Data: []byte("//go:build linux\n\npackage rt\n\nconst Word = \"joined\"\n\nconst answer = 42\n\nfunc Answer() int\n")},
	"agent/internal/rt/rt_amd64.s": {Data: []byte(`//go:build linux

#include "textflag.h"
#include "go_asm.h"

TEXT ·Answer(SB), NOSPLIT, $0-8
	MOVQ $const_answer, ret+0(FP)
	RET
`)},
	"agent/internal/rt/rt_arm64.s": {Data: []byte("not for this machine")},
	"agent/agent_test.go":          {Data: []byte("not Go")},
	"patch/patch.go":               {Data: []byte("package patch\n\nvar Name = \"agent\"\n")},
	"embed.go":                     {Data: []byte("package reload\n")},
	"agent/testdata/script.txt":    {Data: []byte("no source")},
}

func testStore(t testing.TB) *Store {
	t.Helper()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unpack writes an archive of files to a new directory.
func unpack(t testing.TB, archive string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fsys, err := txtar.FS(txtar.Parse([]byte(archive)))
	if err == nil {
		err = os.CopyFS(dir, fsys)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// goEnv is the tests' environment with a toolchain chosen.
func goEnv(toolchain string, extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOFLAGS=") })
	env = append(env, "GOFLAGS=-buildvcs=false", "GOWORK=", "GOPROXY=off")
	if toolchain != "" {
		env = append(env, "GOTOOLCHAIN="+toolchain)
	}
	return append(env, extra...)
}

func testOptions(t testing.TB, dir string) Options {
	t.Helper()
	return Options{Dir: dir, Env: goEnv(""), Agent: testAgent, Toolexec: []string{os.Args[0], "toolexec"}, Store: testStore(t)}
}

func mustBuild(t testing.TB, o Options) *Baseline {
	t.Helper()
	b, err := Build(t.Context(), o)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return b
}

// tree is every file below a directory with its contents and mode.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			files[path] += " " + info.ModTime().String() + "\n" + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// goObjects returns the members of an archive that the compiler wrote, without
// the build ID in their header.
func goObjects(t testing.TB, path string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string][]byte{}
	data, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	for ok && len(data) >= 60 {
		name := strings.TrimSpace(string(data[:16]))
		var size int
		fmt.Sscan(string(data[48:58]), &size)
		body := data[60 : 60+size]
		if name == "__.PKGDEF" || name == "_go_.o" {
			head, rest, _ := bytes.Cut(body, []byte("\n"))
			if id, after, found := bytes.Cut(rest, []byte("\n")); found && bytes.HasPrefix(id, []byte("build id ")) {
				rest = after
			}
			objects[name] = append(append(head, '\n'), rest...)
		}
		data = data[min(len(data), 60+size+size&1):]
	}
	if len(objects) != 2 {
		t.Fatalf("%s: members %d, want a Go archive", path, len(objects))
	}
	return objects
}

// checkExact compiles every Local package from its recorded sources and
// compares the object with the one that was linked.
func checkExact(t *testing.T, b *Baseline) {
	t.Helper()
	c, err := NewCompiler(b)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(b.Locals()) == 0 {
		t.Error("no package is local")
	}
	for _, p := range b.Locals() {
		r, err := c.Compile(t.Context(), Request{Package: p.Path})
		if err != nil {
			t.Errorf("%s: %v", p.Path, err)
			continue
		}
		if p.Covered || p.Archive == "" {
			continue // compiled without the counters that the program has, or not linked
		}
		got, want := goObjects(t, r.Archive), goObjects(t, b.ArchivePath(p))
		for name := range want {
			if !bytes.Equal(got[name], want[name]) {
				t.Errorf("%s: %s is not the one that was linked: %d bytes, want %d, first difference at %d",
					p.Path, name, len(got[name]), len(want[name]), firstDifference(got[name], want[name]))
			}
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// runProgram runs what was built and returns its standard output and error.
func runProgram(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "SHOW_AGENT=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	return string(out)
}

// check builds a program and demands what must hold for every one: it says
// what it should, the agent is in it, a later process finds it, each package
// compiles to the object that was linked, and the user's tree is untouched.
func check(t *testing.T, o Options, want string) *Baseline {
	t.Helper()
	before := tree(t, o.Dir)
	built := mustBuild(t, o)
	if changed := snapshot(before).changed(tree(t, o.Dir)); changed != "" {
		t.Errorf("Build changed %s in the user's tree", changed)
	}
	if out := runProgram(t, built.Binary); out != "agent joined 42\n"+want {
		t.Errorf("the program says %q, want the agent's line and %q", out, want)
	}
	b, err := Load(o.Store, built.BuildID)
	if err != nil {
		t.Fatal(err)
	}
	if b.Binary != built.Binary || len(b.Packages) != len(built.Packages) {
		t.Errorf("Load gives another build than Build: %+v", b)
	}
	if b.Packages[b.Agent] == nil || b.Packages[b.Agent].Local {
		t.Errorf("agent %s is not a package of the program, or is taken for the user's", b.Agent)
	}
	checkExact(t, b)
	return b
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q has no %q", err, part)
		}
	}
}

func wantIs(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want one that is %v", err, target)
	}
}
