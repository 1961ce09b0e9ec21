package build

import (
	"bytes"
	"errors"
	"fmt"
	gobuild "go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ReloadPath is the import path below which the agent's packages lie in
// limeade's own module: ReloadPath + "/agent" is what a program imports.
const ReloadPath = "github.com/limeade-go/limeade/reload"

// agentSources are the Go and assembly files that join the program, by
// slash-separated path: "agent/agent.go", "agent/internal/rt/rt.go",
// "patch/patch.go".
type agentSources map[string][]byte

// readAgent reads the packages in files, without tests and without what is for
// other systems.
func readAgent(files fs.FS) (agentSources, error) {
	a := agentSources{}
	open := func(name string) (io.ReadCloser, error) { return files.Open(filepath.ToSlash(name)) }
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		if path.Dir(name) == "." {
			return nil // the package that embeds the others
		}
		switch path.Ext(name) {
		case ".go", ".s":
			var wanted bool
			if wanted, err = forAgent(open, path.Dir(name), path.Base(name)); wanted {
				a[name], err = fs.ReadFile(files, name)
			}
			return err
		case ".S", ".c", ".h":
			return fmt.Errorf("%s: C that lies in an overlay cannot be built", name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(a)), func(name string) bool { return path.Dir(name) == "agent" }) {
		return nil, errors.New("agent: no Go files in its directory")
	}
	return a, nil
}

// dirs are the packages' directories, sorted.
func (a agentSources) dirs() []string {
	var dirs []string
	for name := range a {
		dirs = append(dirs, path.Dir(name))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// hash names the sources.
func (a agentSources) hash() string {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%s %s\n", name, hashOf(a[name]))
	}
	return hashOf(b.Bytes())
}

// forAgent reports whether a file is for the system that programs run on, with or without the race detector. open is nil
// for files on disk.
func forAgent(open func(name string) (io.ReadCloser, error), dir, name string) (bool, error) {
	target := gobuild.Default
	target.GOOS, target.GOARCH, target.CgoEnabled, target.OpenFile = "linux", "amd64", false, open
	for _, tags := range [][]string{nil, {"race"}} {
		target.BuildTags = tags
		if wanted, err := target.MatchFile(dir, name); wanted || err != nil {
			return wanted, err
		}
	}
	return false, nil
}

// rewriteImports replaces imports of a file by others.
func rewriteImports(name string, text []byte, with map[string]string) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ImportsOnly|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	var out []byte
	done := 0
	for _, spec := range f.Imports {
		old, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("agent: %s: import %s: %w", name, spec.Path.Value, err)
		}
		if path, ok := with[old]; ok {
			at := fset.Position(spec.Path.Pos()).Offset
			out = append(append(out, text[done:at]...), strconv.Quote(path)...)
			done = at + len(spec.Path.Value)
		}
	}
	return append(out, text[done:]...), nil
}

// requireGo gives a file the language version of the oldest toolchain: the
// user's module, whose part it becomes, may state an older one.
func requireGo(name string, text []byte) ([]byte, error) {
	need := &constraint.TagExpr{Tag: oldestGo}
	at := 0
	for line := range bytes.Lines(text) {
		if constraint.IsGoBuild(string(line)) {
			x, err := constraint.Parse(string(bytes.TrimSpace(line)))
			if err != nil {
				return nil, fmt.Errorf("agent: %s: %w", name, err)
			}
			out := append(text[:at:at], "//go:build "+(&constraint.AndExpr{X: x, Y: need}).String()+"\n"...)
			return append(out, text[at+len(line):]...), nil
		}
		if bytes.HasPrefix(line, []byte("package ")) {
			break
		}
		at += len(line)
	}
	return append([]byte("//go:build "+oldestGo+"\n\n"), text...), nil
}
