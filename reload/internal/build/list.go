package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// A listed package is what go list says of it (cmd/go/internal/list, Go 1.26).
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	DepOnly    bool
	Module     *listedModule

	GoFiles, CgoFiles                                           []string
	CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles, SysoFiles []string
	SwigFiles, SwigCXXFiles                                     []string
	EmbedPatterns, EmbedFiles                                   []string

	CompiledGoFiles []string
	CgoPkgConfig    []string
	Export          string
	Imports         []string
	ImportMap       map[string]string

	Error *struct{ Err string }
}

type listedModule struct {
	Path, Version, Dir, GoMod string
	Main                      bool
	Replace                   *listedModule
}

const listFields = "-json=ImportPath,Name,Dir,Standard,DepOnly,Module,GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SysoFiles," +
	"SwigFiles,SwigCXXFiles,EmbedPatterns,EmbedFiles,CgoPkgConfig,Imports,ImportMap,Error"

// list runs go list with the flags of a build.
func (c *command) list(ctx context.Context, flags []string, args ...string) ([]*listed, error) {
	pkgs, _, err := c.listText(ctx, flags, args...)
	return pkgs, err
}

// listText is list with what go list printed.
func (c *command) listText(ctx context.Context, flags []string, args ...string) (pkgs []*listed, text []byte, err error) {
	if text, _, err = c.run(ctx, slices.Concat([]string{"list"}, flags, args)...); err != nil {
		return nil, nil, err
	}
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, text, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// A listing is the packages of a program at one moment. Between it and the
// snapshot that follows, a file may be edited; so it must be the same once more
// at a later moment, between two equal snapshots.
type listing struct {
	command     *command
	flags, args []string
	text        []byte
}

func (c *command) startListing(ctx context.Context, flags []string, args ...string) (*listing, []*listed, error) {
	pkgs, text, err := c.listText(ctx, flags, args...)
	return &listing{command: c, flags: flags, args: args, text: text}, pkgs, err
}

// holds reports whether go list says the same again.
func (l *listing) holds(ctx context.Context) bool {
	_, text, err := l.command.listText(ctx, l.flags, l.args...)
	return err == nil && bytes.Equal(text, l.text)
}

// sources are the Go files that the package was listed with, by name.
func (p *listed) sources() []string {
	return append(p.GoFiles[:len(p.GoFiles):len(p.GoFiles)], p.CgoFiles...)
}

// companions are the other files that are read when it is compiled.
func (p *listed) companions() []string {
	var names []string
	for _, list := range [][]string{p.CFiles, p.CXXFiles, p.MFiles, p.HFiles, p.FFiles, p.SFiles, p.SysoFiles, p.SwigFiles, p.SwigCXXFiles} {
		names = append(names, list...)
	}
	return names
}

// local reports whether the source may change while the program runs: it
// belongs neither to the toolchain nor to the module cache, which go never
// changes. What is left are main modules, workspace modules, directory
// replacements and vendor directories.
func (p *listed) local(s settings) bool {
	return !p.Standard && !inside(s["GOROOT"], p.Dir) && !inside(s["GOMODCACHE"], p.Dir)
}

// inside reports whether path is dir or below it.
func inside(dir, path string) bool {
	if dir == "" {
		return false
	}
	rest, ok := strings.CutPrefix(filepath.Clean(path), filepath.Clean(dir))
	return ok && (rest == "" || rest[0] == filepath.Separator || strings.HasSuffix(dir, "/"))
}

// program finds the one main package among those that were asked for.
func program(pkgs []*listed) (*listed, error) {
	var main *listed
	for _, p := range pkgs {
		switch {
		case p.DepOnly:
		case main != nil:
			return nil, fmt.Errorf("more than one package is named (%s, %s, …); name the one to run", main.ImportPath, p.ImportPath)
		default:
			main = p
		}
	}
	switch {
	case main == nil:
		return nil, errors.New("no package is named; name the main package to run")
	case main.Error == nil && main.Name != "main":
		return nil, fmt.Errorf("package %s is not a program (its name is %s, not main); name a main package, such as ./cmd/app", main.ImportPath, main.Name)
	}
	return main, nil
}

// filesNamed reports whether the target is a list of Go files, not a package.
func filesNamed(target []string) bool {
	return len(target) > 0 && strings.HasSuffix(target[0], ".go")
}
