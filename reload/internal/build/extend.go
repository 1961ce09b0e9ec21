package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Flags of go build that packages which join a running program do without: what
// counts coverage must be linked with the rest.
var coverFlagNames = map[string]bool{"cover": true, "covermode": true, "coverpkg": true}

// An UnfitError says why a package cannot join a running program.
type UnfitError struct{ Package, Reason string }

func (e *UnfitError) Error() string { return "package " + e.Package + " " + e.Reason }

// Extend finds out what a program needs in order to import packages that it
// lacks, by import path: these and what they import and the program lacks, too,
// imported ones first, as the go command compiles them with the flags of the
// build. Sources of Local ones are in the store, and so are archives that fit the
// program. A package has no archive if the go command compiled it against others
// than those in the program, because what it imports was edited since or is
// counted (-cover): it is to be compiled with a Compiler of Baseline.With.
//
// Overlay holds contents of files that are not on disk as they should be, by
// absolute path. Source that does not compile gives a *CompileError; a package
// that cannot join, one with C for example, an *UnfitError.
func (b *Baseline) Extend(ctx context.Context, paths []string, overlay map[string][]byte) ([]*Package, error) {
	p, err := b.probe()
	if err != nil {
		return nil, err
	}
	unlock, err := b.store.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	changed := ""
	for range attempts {
		c := &capture{probe: p, options: Options{Target: paths}}
		var pkgs []*Package
		if pkgs, changed, err = c.extend(ctx, b, overlay); changed == "" {
			return pkgs, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: %s; save it and try again", ErrChanging, changed)
}

// Altered asks the go command where it finds the packages of the program now, and returns the path of one that would come
// from another directory, another module version for example; "" if there is none.
func (b *Baseline) Altered(ctx context.Context) (path string, err error) {
	p, err := b.probe()
	if err != nil {
		return "", err
	}
	listed, err := p.command.list(ctx, append([]string{"-e", "-deps", "-json=ImportPath,Dir"}, without(p.flags, nil)...), append([]string{"--"}, b.Target...)...)
	if err != nil {
		return "", (&capture{probe: p}).compileError(err)
	}
	for _, l := range listed {
		if had := b.Packages[l.ImportPath]; had != nil && had.Dir != "" && had.Dir != l.Dir {
			return l.ImportPath, nil
		}
	}
	return "", nil
}

// Complete compiles the packages from Extend that have no archive, against what the program was built
// from. One that needs more than that gives an *UnfitError.
func (b *Baseline) Complete(ctx context.Context, pkgs []*Package) (err error) {
	if !slices.ContainsFunc(pkgs, func(p *Package) bool { return p.Archive == "" }) {
		return nil
	}
	c, err := NewCompiler(b.With(pkgs))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	deps := map[string]string{}
	for _, p := range pkgs {
		if p.Archive != "" {
			continue
		}
		r, err := c.Compile(ctx, Request{Package: p.Path, Deps: deps})
		var needs *CompileError
		if errors.As(err, &needs) {
			return &UnfitError{p.Path, "does not compile against what the program was built from: " + needs.Error()}
		} else if err != nil {
			return err
		}
		if p.Archive, err = b.store.putArchive(r.Archive); err != nil {
			return err
		}
		deps[p.Path] = r.Archive
	}
	return nil
}

// With returns the baseline with packages from Extend in it. The receiver is
// unchanged.
func (b *Baseline) With(pkgs []*Package) *Baseline {
	extended := *b
	extended.Packages = maps.Clone(b.Packages)
	for _, p := range pkgs {
		extended.Packages[p.Path] = p
	}
	return &extended
}

// probe is the probe of the build, from what was recorded.
func (b *Baseline) probe() (*probe, error) {
	p := &probe{store: b.store, settings: settings{}, overlay: map[string]string{}}
	for _, v := range b.Env {
		name, value, _ := strings.Cut(v, "=")
		p.settings[name] = value
	}
	path, err := b.toolchain("bin/go")
	if err != nil {
		return nil, err
	}
	p.command = &command{path: path, dir: b.Dir, env: append(os.Environ(), b.Env...)}
	fields, err := splitQuoted(p.settings["GOFLAGS"])
	if err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	if p.goflags, err = parseFlags(fields); err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	if p.flags, err = parseFlags(b.Flags); err != nil {
		return nil, err
	}
	if p.overlay, err = p.userOverlay(); err != nil {
		return nil, err
	}
	isCover := func(f buildFlag) bool { return coverFlagNames[f.name] }
	if slices.ContainsFunc(p.goflags, isCover) {
		p.flags = append(p.flags, buildFlag{name: "cover", value: "false", hasValue: true})
	}
	p.flags = slices.DeleteFunc(p.flags, func(f buildFlag) bool { return isCover(f) && f.value != "false" })
	return p, nil
}

func (c *capture) extend(ctx context.Context, b *Baseline, overlay map[string][]byte) (_ []*Package, changed string, err error) {
	if c.temp, err = c.store.tempDir("extend-*"); err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(c.temp)
	if c.joined, err = c.unsaved(overlay); err != nil {
		return nil, "", err
	}
	flags := append(without(c.flags, nil), c.joined.flags...)
	target := append([]string{"--"}, c.options.Target...)
	var all []*listed
	if c.listing, all, err = c.command.startListing(ctx, append([]string{"-e", "-deps", listFields}, flags...), target...); err != nil {
		return nil, "", err
	}
	for _, l := range all {
		if b.Packages[l.ImportPath] == nil && l.ImportPath != "unsafe" {
			c.pkgs = append(c.pkgs, l)
		}
	}
	inv := newInventory(c.probe, c.pkgs, "")
	before, err := inv.take()
	if err != nil {
		return nil, "", err
	}
	pkgs, err := c.compileNew(ctx, b, flags, target)
	same := c.listing.holds(ctx)
	after, terr := inv.take()
	if terr != nil {
		return nil, "", terr
	}
	if changed = before.changed(after); changed == "" && !same && ctx.Err() == nil {
		changed = setOfFiles
	}
	if changed != "" || err != nil {
		return nil, changed, err
	}
	for i, l := range c.pkgs {
		if pkgs[i].Local {
			if err := c.recordPackage(inv, l, pkgs[i]); err != nil {
				return nil, "", err
			}
		}
	}
	return pkgs, "", nil
}

// unsaved lays contents over the user's files.
func (c *capture) unsaved(contents map[string][]byte) (*joined, error) {
	in := &injection{store: c.store, temp: filepath.Join(c.temp, overlayDir), overlay: maps.Clone(c.overlay)}
	if err := os.Mkdir(in.temp, 0o700); err != nil {
		return nil, c.store.explain(err)
	}
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		if err := in.lay(path, contents[path]); err != nil {
			return nil, err
		}
	}
	c.overlay = in.overlay
	return in.finish(&joined{})
}

// compileNew has c.pkgs compiled and returns them in order.
func (c *capture) compileNew(ctx context.Context, b *Baseline, flags, target []string) ([]*Package, error) {
	for _, l := range c.pkgs {
		if len(l.CgoFiles)+len(l.CFiles)+len(l.CXXFiles)+len(l.SwigFiles)+len(l.SwigCXXFiles)+len(l.SysoFiles) > 0 {
			return nil, &UnfitError{l.ImportPath, "has C in it, and C joins a program only when it is linked"}
		}
	}
	exports, err := c.command.list(ctx, append([]string{"-deps", "-export", "-json=ImportPath,Export"}, flags...), target...)
	if err != nil {
		return nil, c.compileError(err)
	}
	_, script, err := c.command.run(ctx, append(append([]string{"build", "-n", "-a"}, flags...), target...)...)
	if err != nil {
		return nil, c.compileError(err)
	}
	packages, err := c.packages(ctx, string(script))
	if err != nil {
		return nil, err
	}
	exported := map[string]string{}
	for _, l := range exports {
		exported[l.ImportPath] = l.Export
	}
	fits := map[string]bool{"unsafe": true}
	for path, file := range exported {
		if p := b.Packages[path]; p != nil {
			if fits[path], err = holds(file, p.Archive); err != nil {
				return nil, err
			}
		}
	}
	var pkgs []*Package
	for _, l := range c.pkgs {
		p := packages[l.ImportPath]
		if p == nil || exported[l.ImportPath] == "" {
			return nil, fmt.Errorf("package %s: the go command made no archive of it", l.ImportPath)
		}
		fits[p.Path] = !slices.ContainsFunc(p.Imports, func(path string) bool { return !fits[path] })
		switch {
		case fits[p.Path]:
			if p.Archive, err = c.store.putArchive(exported[p.Path]); err != nil {
				return nil, err
			}
		case !p.Local || len(l.SFiles) > 0:
			return nil, &UnfitError{p.Path, "imports packages that differ from those in the program, and cannot be compiled for it"}
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		return nil, errors.New("the program has these packages already")
	}
	return pkgs, nil
}

// holds reports whether a file has the contents with a hash.
func holds(file, hash string) (bool, error) {
	has := cacheFileHash(file)
	if has == "" && file != "" {
		var err error
		if has, err = hashFile(file); err != nil {
			return false, err
		}
	}
	return has == hash, nil
}
