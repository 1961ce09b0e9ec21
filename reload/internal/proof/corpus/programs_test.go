package corpus

import (
	"errors"
	"fmt"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// folders of GOROOT/test that the corpus is taken from.
var folders = []string{".", "chan", "interface", "ken", "typeparam"}

// A program is one of Go's own test programs: a single file whose first line is "// run", perhaps with build flags and
// arguments (cmd/internal/testdir/testdir_test.go, Go 1.26, has the grammar).
type program struct {
	name  string   // path below GOROOT/test, without .go
	files []string // absolute paths; the program's own first, then those that its first line adds
	flags []string // build flags
	args  []string
	want  string // what it prints on standard output and standard error together
	out   string // why it is left out, if it is
}

// Reasons to leave a program out that its source alone shows.
const (
	outConstraint = "its build constraint excludes this machine"
	outCgo        = "imports C"
	outInternal   = "imports an internal package of the standard library"
)

// programs lists the corpus, sorted by name.
func programs(goroot string) ([]*program, error) {
	var list []*program
	root := filepath.Join(goroot, "test")
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			p, err := read(root, name)
			if err != nil {
				return nil, err
			}
			if p != nil {
				list = append(list, p)
			}
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: Go's own test programs are not there: toolchains that the go command downloads "+
			"have no test folder; install a full Go distribution (https://go.dev/dl/) and run with its go first in PATH "+
			"and GOTOOLCHAIN=local", root)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list, nil
}

// read gives the program in one file, nil when it is not to be run.
func read(root, file string) (*program, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	recipe, ok := strings.CutPrefix(first, "// run")
	if !ok || recipe != "" && !unicode.IsSpace(rune(recipe[0])) {
		return nil, nil
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return nil, err
	}
	p := &program{name: strings.TrimSuffix(filepath.ToSlash(rel), ".go"), files: []string{file}}
	words, err := split(recipe)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rel, err)
	}
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		p.flags = append(p.flags, words[0])
		words = words[1:]
	}
	for len(words) > 0 && strings.HasSuffix(words[0], ".go") {
		p.files = append(p.files, filepath.Join(filepath.Dir(file), words[0]))
		words = words[1:]
	}
	p.args = words
	want, err := os.ReadFile(strings.TrimSuffix(file, ".go") + ".out")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	p.want = string(want)
	for _, f := range p.files {
		if p.out == "" {
			p.out, err = leftOut(f)
			if err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// leftOut says why a file cannot take part, or nothing.
func leftOut(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "package ") {
			break
		}
		if expr, err := constraint.Parse(line); err == nil && !expr.Eval(holds) {
			return outConstraint, nil
		}
	}
	imports, err := importsOf(file)
	if err != nil {
		return "", err
	}
	for _, path := range imports {
		switch {
		case path == "C":
			return outCgo, nil
		case path == "internal" || strings.HasPrefix(path, "internal/") || strings.Contains(path, "/internal/"):
			return outInternal, nil
		}
	}
	return "", nil
}

// importsOf lists what a file imports.
func importsOf(file string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// holds evaluates a build tag as go build does without -tags.
func holds(tag string) bool {
	ctx := build.Default
	if tag == ctx.GOOS || tag == ctx.GOARCH || tag == ctx.Compiler || tag == "unix" || tag == "cgo" && ctx.CgoEnabled {
		return true
	}
	for _, list := range [][]string{ctx.ReleaseTags, ctx.ToolTags} {
		for _, t := range list {
			if t == tag {
				return true
			}
		}
	}
	return false
}

// split cuts a first line into words; quotes hold blanks together.
func split(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case unicode.IsSpace(r):
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, errors.New("first line: quote is not closed")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
