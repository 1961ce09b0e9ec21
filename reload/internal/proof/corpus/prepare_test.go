package corpus

import (
	"context"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
	"github.com/limeade-go/limeade/reload/internal/proof/hollow"
)

// What the driver writes to standard output: that everything before main has run, but for its own wait; and that main
// ran with the body that stands for the empty one. Most programs say nothing when all is well, as an empty one does: the
// second line is how a swap shows that was none.
const (
	waiting   = "\x00limeade: ready\x00"
	emptyMain = "\x00limeade: empty main\x00"
)

// The driver is one more file of the program. Its init, the last of the package because the go command sorts files by
// name, waits for a line; main itself stays the program's own, so that it too starts empty and is swapped before its
// first call. The file mentions no predeclared name, since some programs declare them anew, and its init has no stack
// check, since one program counts them.
const (
	driverName = "zz_limeade.go"
	driver     = `package main

import limeadeWait "` + waitPath + `"

//go:nosplit
func init() { limeadeWait.Line() }

func limeadeEmpty() { limeadeWait.Empty() }
`
	waitPath = "limeade.test/corpus/wait"
	wait     = `// Package wait holds a program before its main.
package wait

import "syscall"

// Line says that it waits, on standard output, and returns at the end of one line of standard input.
func Line() {
	syscall.Write(1, []byte("\x00limeade: ready\x00"))
	var b [1]byte
	for {
		n, err := syscall.Read(0, b[:])
		if err == syscall.EINTR {
			continue
		}
		if n != 1 || err != nil || b[0] == '\n' {
			return
		}
	}
}

// Empty says that main was called before it got its real body.
func Empty() { syscall.Write(1, []byte("\x00limeade: empty main\x00")) }
`
)

// waitImporter knows package wait, which is not built when a program is emptied, and asks another for the rest.
type waitImporter struct{ types.Importer }

func (i waitImporter) Import(path string) (*types.Package, error) {
	if path != waitPath {
		return i.Importer.Import(path)
	}
	pkg := types.NewPackage(waitPath, "wait")
	for _, name := range []string{"Line", "Empty"} {
		sig := types.NewSignatureType(nil, nil, nil, nil, nil, false)
		pkg.Scope().Insert(types.NewFunc(token.NoPos, pkg, name, sig))
	}
	pkg.MarkComplete()
	return pkg, nil
}

// listExports asks the go command for the export data of all that the programs import.
func listExports(list []*program) (drive.Exports, error) {
	need := map[string]bool{}
	for _, p := range list {
		if p.out != "" {
			continue
		}
		for _, f := range p.files {
			imports, err := importsOf(f)
			if err != nil {
				return nil, err
			}
			for _, path := range imports {
				if path != "unsafe" {
					need[path] = true
				}
			}
		}
	}
	return drive.ListExports(context.Background(), "", slices.Sorted(maps.Keys(need))...)
}

// A pair is one program in both forms: real, and with its functions empty.
type pair struct {
	real, empty []hollow.Source
	emptied     []string
	kept        map[string]string
}

// prepare reads a program and empties it.
func (p *program) prepare(e drive.Exports) (*pair, error) {
	var files []hollow.Source
	for _, f := range p.files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		files = append(files, hollow.Source{Name: filepath.Base(f), Text: text})
	}
	real := files
	files = append(slices.Clone(files), hollow.Source{Name: driverName, Text: []byte(driver)})
	plan := hollow.Plan{Keep: p.calledByFlag(), Instead: map[string]string{"main": "{ limeadeEmpty() }"}}
	plan.Keep["limeadeEmpty"] = true
	res, err := hollow.Empty(files, waitImporter{e.Importer()}, plan)
	if err != nil {
		return nil, err
	}
	return &pair{real: real, empty: res.Files, emptied: res.Emptied, kept: res.Kept}, nil
}

// calledByFlag names the functions that the compiler is told to put calls to into every prologue: they run from the
// first moment on (cmd/compile/internal/base/debug.go, Go 1.26: maymorestack).
func (p *program) calledByFlag() map[string]bool {
	keep := map[string]bool{}
	for _, f := range p.flags {
		if _, name, ok := strings.Cut(f, "maymorestack=main."); ok {
			keep[name] = true
		}
	}
	return keep
}

// lay writes everything of the program's folder that is the same in both forms.
func lay(dir, version string) error {
	if err := os.MkdirAll(filepath.Join(dir, "wait"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"go.mod":       "module limeade.test/corpus\n\ngo " + version + "\n",
		driverName:     driver,
		"wait/wait.go": wait,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// put writes one form of the program.
func put(dir string, files []hollow.Source) error {
	for _, f := range files {
		if err := drive.Put(filepath.Join(dir, f.Name), f.Text); err != nil {
			return err
		}
	}
	return nil
}
