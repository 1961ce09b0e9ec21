package session

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/limeade-go/limeade/reload"
)

// TestLearning: what a refresh of a program will need is learned, but not any more once another took its place.
func TestLearning(t *testing.T) {
	if os.Getenv("GOCACHE") == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("GOCACHE", filepath.Join(cache, "go-build")) // the go command's own, wherever ours is
	}
	runtimeDir(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module example.com/app\n\ngo 1.25\n",
		"main.go":      "package main\n\nimport \"example.com/app/more\"\n\nfunc main() { more.More() }\n",
		"more/more.go": "package more\n\n//go:noinline\nfunc More() {}\n",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	built, err := reload.NewBuild(t.Context(), self, reload.BuildOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	known := func(p *program) bool {
		_, ok := p.FunctionFacts("example.com/app/more.More")
		return ok
	}
	for _, replaced := range []bool{true, false} {
		p, err := reload.Open(built.BuildID)
		if err != nil {
			t.Fatal(err)
		}
		prog := newProgram(p)
		if replaced {
			if err := prog.Close(); err != nil {
				t.Fatal(err)
			}
		}
		prog.warm()
		if known(prog) == replaced {
			t.Errorf("replaced %v, known %v", replaced, known(prog))
		}
		if err := prog.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
