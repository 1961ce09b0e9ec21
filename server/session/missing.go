package session

import (
	"context"
	"errors"
	"fmt"
	"go/build"
	"go/version"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// missing says why the go command would find no package with an import path that the program lacks, in its words; "" if
// it would find one, or if only the go command can tell.
func (p *program) missing(path string) string {
	modules := p.modules()
	dir, inModule := dirIn(modules, path)
	first, _, _ := strings.Cut(path, "/")
	standard := filepath.Join(p.GOROOT, "src", filepath.FromSlash(path))
	switch {
	case inModule && p.hasGo(dir), !strings.Contains(first, ".") && p.hasGo(standard), p.mayProvide(path, modules):
		return ""
	case inModule:
		return fmt.Sprintf("no package %s in %s", path, dir)
	case !strings.Contains(first, "."):
		return fmt.Sprintf("package %s is not in std (%s)", path, standard)
	}
	return fmt.Sprintf("no required module provides package %s; to add it: go get %s", path, path)
}

// altered asks the go command, once for each state of the files that choose modules.
func (p *program) altered(modules []snapshot.OtherFile) (string, error) {
	if slices.ContainsFunc(p.Flags, func(flag string) bool { return strings.Contains(flag, "-modfile") }) {
		return p.Package, nil // the program was built with another go.mod
	}
	key := ""
	for _, m := range modules {
		key += m.Path + " " + m.Hash.String() + "\n"
	}
	f := p.family
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.altered[key]; ok {
		return known, nil
	}
	path, err := p.Altered(context.Background())
	if err != nil {
		return "", err
	}
	if f.altered == nil || len(f.altered) >= maxMembers {
		f.altered = map[string]string{}
	}
	f.altered[key] = path
	return path, nil
}

// modules returns the directories of the modules that packages of the program come from, by module path.
func (p *program) modules() map[string]string {
	modules := map[string]string{p.Module.Path: p.Module.Dir}
	for _, pkg := range p.Packages {
		rest, ok := strings.CutPrefix(pkg.Path, pkg.Module)
		if pkg.Module == "" || pkg.Dir == "" || !ok {
			continue
		}
		if dir, ok := strings.CutSuffix(pkg.Dir, filepath.FromSlash(rest)); ok {
			modules[pkg.Module] = dir
		}
	}
	return modules
}

// dirIn returns where a package would be in the module with the longest path that fits.
func dirIn(modules map[string]string, path string) (dir string, ok bool) {
	for module := path; module != "."; module = parent(module) {
		if root, ok := modules[module]; ok {
			return filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(path, module))), true
		}
	}
	return "", false
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

// hasGo reports whether there is a package in a directory. What is wrong with it otherwise is for the compiler to say.
func (p *program) hasGo(dir string) bool {
	ctx := p.buildContext()
	_, err := ctx.ImportDir(dir, 0)
	var none *build.NoGoError
	if errors.As(err, &none) {
		return false
	}
	_, err = os.Stat(dir)
	return err == nil
}

// mayProvide reports whether a module that nothing is known of may have a package: one that go.mod requires and the
// program does not use, or any if more than go.mod chooses modules.
func (p *program) mayProvide(path string, known map[string]string) bool {
	name := filepath.Join(p.Module.Dir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil || p.chosenElsewhere() {
		return true
	}
	mod, err := modfile.ParseLax(name, text, nil)
	if err != nil || mod.Go == nil || version.Compare("go"+mod.Go.Version, "go1.17") < 0 {
		return true // up to Go 1.16 go.mod need not name them all
	}
	fits := func(module string) bool {
		return known[module] == "" && (path == module || strings.HasPrefix(path, module+"/"))
	}
	return slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool { return fits(r.Mod.Path) }) ||
		slices.ContainsFunc(mod.Replace, func(r *modfile.Replace) bool { return fits(r.Old.Path) })
}

// chosenElsewhere reports whether the build did not go by the main module's go.mod alone.
func (p *program) chosenElsewhere() bool {
	return slices.ContainsFunc(p.Flags, func(flag string) bool { return strings.Contains(flag, "-modfile") }) ||
		slices.ContainsFunc(p.Env, func(e string) bool {
			name, value, _ := strings.Cut(e, "=")
			return name == "GOFLAGS" && strings.Contains(value, "-modfile") || name == "GOWORK" && value != "" && value != "off"
		})
}
