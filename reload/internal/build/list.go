package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
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
	EmbedFiles                                                  []string

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
	"SwigFiles,SwigCXXFiles,EmbedFiles,CgoPkgConfig,Imports,ImportMap,Error"

// list runs go list with the flags of a build.
func (c *command) list(ctx context.Context, flags []string, args ...string) ([]*listed, error) {
	out, _, err := c.run(ctx, append(append([]string{"list"}, flags...), args...)...)
	if err != nil {
		return nil, err
	}
	var pkgs []*listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
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
