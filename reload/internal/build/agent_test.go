package build

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

// limeade's own module at a version whose agent is another one: it has a file
// that ours has not, and lacks a package.
const olderLimeade = `
-- go.mod --
module github.com/limeade-go/limeade

go 1.26
-- reload/agent/agent.go --
package agent

import "github.com/limeade-go/limeade/reload/patch"

func init() { println("older", patch.Name) }
-- reload/agent/more.go --
package agent

func init() { println("more") }
-- reload/patch/patch.go --
package patch

var Name = "patch"
-- reload/limeade/limeade.go --
// Package limeade is what programs import.
package limeade

import _ "github.com/limeade-go/limeade/reload/agent"

const Version = "v0.1.0"
`

const importingProgram = `
-- go.mod --
module example.com/app

go 1.26

require github.com/limeade-go/limeade v0.1.0
-- main.go --
package main

import "github.com/limeade-go/limeade/reload/limeade"

func main() { println(limeade.Version) }
`

// below moves an archive's files into a directory.
func below(dir, archive string) string {
	a := txtar.Parse([]byte(archive))
	for i := range a.Files {
		a.Files[i].Name = dir + "/" + a.Files[i].Name
	}
	return string(txtar.Format(a))
}

// moduleProxy serves a module of limeade's as v0.1.0 from a directory.
func moduleProxy(t *testing.T, module string) string {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, "github.com/limeade-go/limeade/@v")
	if err := os.MkdirAll(versions, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(versions, "v0.1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	var mod []byte
	for _, file := range txtar.Parse([]byte(module)).Files {
		w, err := z.Create("github.com/limeade-go/limeade@v0.1.0/" + file.Name)
		if err == nil {
			_, err = w.Write(file.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
		if file.Name == "go.mod" {
			mod = file.Data
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"v0.1.0.mod": string(mod), "v0.1.0.info": `{"Version":"v0.1.0"}`, "list": "v0.1.0\n"} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir
}

// A program may import the agent from limeade's module, of whatever version.
// What it gets is the agent that this limeade speaks to.
func TestProgramImportsAgent(t *testing.T) {
	tests := []struct {
		name    string
		program string
		dir     string
		setup   [][]string // go commands
		inPlace bool       // the agent is recorded in the directory that the go command knows
	}{
		{name: "module cache", program: importingProgram, setup: [][]string{{"mod", "tidy"}}},
		{name: "workspace", dir: "app", program: `
-- go.work --
go 1.26

use (
	./app
	./lib
)

replace example.com/replaced => ./replaced
-- lib/go.mod --
module example.com/lib

go 1.26

require example.com/replaced v1.0.0
-- lib/lib.go --
package lib

import "example.com/replaced"

const Lib = replaced.R
-- replaced/go.mod --
module example.com/replaced

go 1.26
-- replaced/r.go --
package replaced

const R = "r"
-- app/go.mod --
module example.com/app

go 1.26

require github.com/limeade-go/limeade v0.1.0
-- app/main.go --
package main

import (
	"example.com/lib"
	"github.com/limeade-go/limeade/reload/limeade"
)

func main() { println(limeade.Version + lib.Lib[:0]) }
`, setup: [][]string{{"work", "sync"}, {"list", "-deps"}}},
		{name: "vendor", program: importingProgram, setup: [][]string{{"mod", "tidy"}, {"mod", "vendor"}}, inPlace: true},
		{name: "replaced by a directory", dir: "app", program: below("app", importingProgram) + below("limeade", olderLimeade),
			setup: [][]string{{"mod", "edit", "-replace=github.com/limeade-go/limeade=../limeade"}}, inPlace: true},
	}
	proxy := moduleProxy(t, olderLimeade)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := unpack(t, tt.program)
			o := testOptions(t, filepath.Join(root, tt.dir))
			o.Env = append(o.Env, "GOPROXY="+proxy, "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw -buildvcs=false")
			for _, args := range tt.setup {
				cmd := exec.Command("go", args...)
				cmd.Dir, cmd.Env = o.Dir, o.Env
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			b := check(t, o, "v0.1.0\n")
			if b.Agent != ReloadPath+"/agent" {
				t.Errorf("agent %s, want the imported one", b.Agent)
			}
			if len(b.Main().Generated) != 0 {
				t.Errorf("a file was added to a program that imports the agent by itself: %v", b.Main().Generated)
			}
			if tt.inPlace == (len(b.Kept) > 0) {
				t.Errorf("directories kept in the store: %q", b.Kept)
			}
			if err := o.Store.Prune(Limits{}); err != nil {
				t.Fatal(err)
			}
			for _, dir := range b.Kept {
				if _, err := os.Stat(dir); err != nil {
					t.Error(err)
				}
			}
			for _, l := range b.Locals() {
				if isAgent(l.Path) {
					t.Errorf("%s is taken for the user's", l.Path)
				}
			}
		})
	}
	t.Run("the same agent", func(t *testing.T) {
		t.Parallel()
		root := unpack(t, below("app", importingProgram)+`
-- limeade/go.mod --
module github.com/limeade-go/limeade

go 1.26
-- limeade/reload/limeade/limeade.go --
package limeade

import _ "github.com/limeade-go/limeade/reload/agent"

const Version = "development"
`)
		if err := os.CopyFS(filepath.Join(root, "limeade/reload"), testAgent); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"embed.go", "agent/agent_test.go"} {
			if err := os.Remove(filepath.Join(root, "limeade/reload", path)); err != nil {
				t.Fatal(err)
			}
		}
		mod := filepath.Join(root, "app/go.mod")
		text, err := os.ReadFile(mod)
		if err == nil {
			err = os.WriteFile(mod, append(text, "\nreplace github.com/limeade-go/limeade => ../limeade\n"...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		b := check(t, testOptions(t, filepath.Join(root, "app")), "development\n")
		if i := slices.Index(b.Flags, "-overlay"); i >= 0 || len(b.Kept) > 0 {
			t.Errorf("flags %q, kept %q for an agent that needs nothing", b.Flags, b.Kept)
		}
	})
}

// A main package in the module cache is nobody's to add to.
func TestForeignProgram(t *testing.T) {
	o := testOptions(t, unpack(t, `
-- go.mod --
module example.com/app

go 1.26

require github.com/limeade-go/limeade v0.1.0
-- app.go --
package app
`))
	o.Env = append(o.Env, "GOPROXY="+moduleProxy(t, olderLimeade), "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw -mod=mod")
	o.Target = []string{"github.com/limeade-go/limeade/reload/limeade"}
	_, err := Build(t.Context(), o)
	wantError(t, err, "is not a program")
}

func TestAgentSources(t *testing.T) {
	_, err := readAgent(fstest.MapFS{"patch/patch.go": {Data: []byte("package patch\n")}})
	wantError(t, err, "agent: no Go files")
	_, err = readAgent(fstest.MapFS{"agent/a.c": {Data: []byte("int x;\n")}})
	wantError(t, err, "agent/a.c")
	a, err := readAgent(testAgent)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 4 {
		t.Errorf("%d files, want 4 without tests and other machines'", len(a))
	}
	text, err := requireGo("x.go", []byte("// A comment.\n\n//go:build linux || darwin\n\npackage x\n"))
	if want := "// A comment.\n\n//go:build (linux || darwin) && go1.25\n\npackage x\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
	text, err = requireGo("x.go", []byte("// Package x.\npackage x\n\n//go:build no\n"))
	if want := "//go:build go1.25\n\n// Package x.\npackage x\n\n//go:build no\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
}
