package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/server/editor"
)

const goplsVersion = "v0.23.0"

// gopls returns the path of gopls, which is built when it is not there.
func gopls(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "limeade-editors", "gopls-"+goplsVersion)
	path := filepath.Join(dir, "gopls")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := exec.Command("go", "install", "golang.org/x/tools/gopls@"+goplsVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gopls does not build: %v\n%s", err, out)
	}
	return path
}

// TestBesideGopls has both servers look at the same files: each says what is its own to say, and nothing twice.
func TestBesideGopls(t *testing.T) {
	dir, runtimeDir := tempDir(t), tempDir(t)
	if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	env := environ(runtimeDir)
	p, err := startProgram(dir, env, shared.tool, "run", ".")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.ask("a"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store", "store.go")
	servers := map[string]*editor.Editor{}
	for name, command := range map[string][]string{"limeade": {shared.tool, "--stdio"}, "gopls": {gopls(t), "serve"}} {
		e, err := editor.Start(editor.Config{Command: command, Env: env, Folders: []string{dir}, Capabilities: capabilities([]string{"nowatch"})})
		if err != nil {
			t.Fatal(name, err)
		}
		defer e.Kill()
		if err := e.Open(path); err != nil {
			t.Fatal(name, err)
		}
		servers[name] = e
	}
	both := func(do func(e *editor.Editor) error) {
		t.Helper()
		for name, e := range servers {
			if err := do(e); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	// says waits until a server shows these diagnostics, each by a part of its message, and no others.
	says := func(name string, messages ...string) {
		t.Helper()
		e := servers[name]
		var last []editor.Diagnostic
		err := e.Wait(func() bool {
			last = e.DiagnosticsNow(path)
			return len(last) == len(messages) && !slices.ContainsFunc(messages, func(m string) bool {
				return !slices.ContainsFunc(last, func(d editor.Diagnostic) bool { return strings.Contains(d.Message, m) })
			})
		})
		if err != nil {
			t.Fatalf("%s: %v, want %q, got %+v\n%s", name, err, messages, last, e.Stderr())
		}
	}

	both(func(e *editor.Editor) error { return e.Type(path, "hits   int", "hits, misses int") })
	both(func(e *editor.Editor) error { return e.Save(path) })
	says("limeade", "a struct got a field (misses;")
	says("gopls")

	// An error of types is gopls' to tell; what was pending stays.
	both(func(e *editor.Editor) error { return e.Type(path, "s.hits++", "s.hits++; s.misses = true") })
	says("gopls", "cannot use true")
	says("limeade", "a struct got a field (misses;")
	both(func(e *editor.Editor) error { return e.Type(path, "; s.misses = true", "") })
	says("gopls")

	// A refresh that is refused disturbs neither.
	if _, err := servers["limeade"].Command("limeade.lsp.refresh"); err != nil {
		t.Fatal(err)
	}
	both(func(e *editor.Editor) error { return e.Type(path, "hits, misses int", "hits   int") })
	says("limeade")
	says("gopls")
	both(func(e *editor.Editor) error {
		code, err := e.Exit()
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		return err
	})
}
