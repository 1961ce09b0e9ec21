package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A joined agent is what the go command must be told so that the program
// contains the agent, and the program's sources stay as they are.
type joined struct {
	path  string   // import path of package agent in this program
	flags []string // overlay, modfile
	env   []string // GOWORK
	file  string   // the file that is added to package main, "" when the program imports all by itself
	text  []byte   // its contents
	kept  []string // directories of the store that flags and env lead to
}

// An injection is the state of joining: files laid over the user's tree.
type injection struct {
	store   *Store
	temp    string            // for the overlay's files
	overlay map[string]string // virtual path → real file, "" when deleted; the user's own entries come first
	files   int
}

// Where the overlay lies in a build's temporary directory; Toolexec reads it.
const (
	overlayDir  = "overlay"
	overlayFile = "overlay.json"
	// assemblyFile maps import paths to assembly, see layPackages.
	assemblyFile = "assembly.json"
)

// An assembly is what belongs to a package besides its Go files.
type assembly struct {
	Dir   string   // where the files would be
	Files []string // where they are
}

// join decides how the agent gets into the program and writes the overlay.
func join(ctx context.Context, p *probe, pkgs []*listed, main *listed, module Module, a agentSources, temp string) (*joined, error) {
	in := &injection{store: p.store, temp: filepath.Join(temp, overlayDir), overlay: maps.Clone(p.overlay)}
	if err := os.Mkdir(in.temp, 0o700); err != nil {
		return nil, p.store.explain(err)
	}
	find := func(path string) *listed {
		i := slices.IndexFunc(pkgs, func(l *listed) bool { return l.ImportPath == path })
		if i < 0 {
			return nil
		}
		return pkgs[i]
	}
	j := &joined{}
	var imports []string
	var places map[string]place
	var err error
	if agent := find(ReloadPath + "/agent"); agent != nil {
		j.path = agent.ImportPath
		places, err = in.replaceImported(ctx, p, j, agent, module, a)
	} else {
		places = in.places(module, a)
		j.path = places["agent"].path
		imports = append(imports, j.path)
		err = in.layPackages(places, a)
	}
	if err != nil {
		return nil, err
	}
	if l := find(ReloadPath + "/limeade"); l != nil && slices.Contains(l.GoFiles, attachFile) {
		live := ReloadPath + "/" + liveDir
		if p, ok := places[liveDir]; ok {
			live = p.path
		}
		imports = append(imports, live)
	}
	if len(imports) > 0 {
		j.file = in.unused(main.Dir, "zz_limeade", ".go")
		j.text = []byte("// Laid over the program by limeade; in no directory.\n\npackage main\n\n")
		for _, path := range imports {
			j.text = fmt.Appendf(j.text, "import _ %q\n", path)
		}
		if err := in.lay(j.file, j.text); err != nil {
			return nil, err
		}
	}
	return in.finish(j)
}

// A program that imports package limeade gets the package of the agent that speaks to it, if it is of a version with this
// file: the two must agree on what is declared there.
const (
	attachFile = "attach2.go"
	liveDir    = "agent/live"
)

// A place is where a package of the agent goes in the user's build.
type place struct {
	path string // import path
	dir  string
	real bool // whether the directory exists
}

// places gives each package a directory below one of the main module that does
// not exist. Its name begins with an underscore so that "./..." does not match
// it. Nothing is internal there: one of the packages may lie elsewhere.
func (in *injection) places(module Module, a agentSources) map[string]place {
	root := in.unused(module.Dir, "_limeade", "")
	places := map[string]place{}
	for _, dir := range a.dirs() {
		name := strings.ReplaceAll(dir, "internal/", "")
		places[dir] = place{path: module.Path + "/" + filepath.Base(root) + "/" + name, dir: filepath.Join(root, filepath.FromSlash(name))}
	}
	return places
}

// layPackages lays the agent's files over their places.
func (in *injection) layPackages(places map[string]place, a agentSources) error {
	imports := map[string]string{}
	for dir, p := range places {
		imports[ReloadPath+"/"+dir] = p.path
	}
	assembled := map[string]*assembly{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		p, text := places[path.Dir(name)], a[name]
		var err error
		switch {
		case path.Ext(name) == ".go":
			if text, err = rewriteImports(name, text, imports); err == nil {
				text, err = requireGo(name, text)
			}
		case !p.real:
			// Toolexec assembles it. The go command would run the assembler in
			// the package's directory ("the code expects the package directory
			// to exist", cmd/go/internal/work/gc.go, Go 1.25 to 1.27), so it
			// must not see the file. A Go file makes it see every change.
			if assembled[p.path] == nil {
				assembled[p.path] = &assembly{Dir: p.dir}
			}
			file, err := in.write(path.Base(name), text)
			if err != nil {
				return err
			}
			assembled[p.path].Files = append(assembled[p.path].Files, file)
			text = fmt.Appendf(nil, "package %s\n\n// With assembly %s.\n", path.Base(p.path), hashOf(text))
			name = strings.TrimSuffix(name, ".s") + "_assembly.go"
		}
		if err == nil {
			err = in.lay(filepath.Join(p.dir, path.Base(name)), text)
		}
		if err != nil {
			return err
		}
	}
	if len(assembled) == 0 {
		return nil
	}
	text, err := json.Marshal(assembled)
	if err != nil {
		return err
	}
	return in.store.explain(os.WriteFile(filepath.Join(in.temp, assemblyFile), text, 0o600))
}

// unused returns a path in dir at which neither the disk nor the overlay has
// anything.
func (in *injection) unused(dir, name, ext string) string {
	for n := 1; ; n++ {
		p := filepath.Join(dir, name+ext)
		if n > 1 {
			p = filepath.Join(dir, name+strconv.Itoa(n)+ext)
		}
		_, err := os.Lstat(p)
		taken := !errors.Is(err, fs.ErrNotExist)
		for over := range in.overlay {
			taken = taken || inside(p, over)
		}
		if !taken {
			return p
		}
	}
}

// lay makes the overlay show contents at a path.
func (in *injection) lay(virtual string, contents []byte) error {
	real, err := in.write(filepath.Base(virtual), contents)
	in.overlay[virtual] = real
	return err
}

// write keeps contents in a file of this name, alone in its directory.
func (in *injection) write(name string, contents []byte) (string, error) {
	in.files++
	file := filepath.Join(in.temp, strconv.Itoa(in.files), name)
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		return "", in.store.explain(err)
	}
	return file, in.store.explain(os.WriteFile(file, contents, 0o600))
}

// finish writes the overlay and adds its flag.
func (in *injection) finish(j *joined) (*joined, error) {
	if len(in.overlay) == 0 {
		return j, nil
	}
	text, err := json.Marshal(overlayConfig{Replace: in.overlay})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(in.temp, overlayFile)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, in.store.explain(err)
	}
	j.flags = append(j.flags, "-overlay="+file)
	return j, nil
}

// replaceImported serves a program that imports the agent from limeade's own
// module: whatever version that is, package agent is ours. Its other packages
// may be missing there, and a vendor directory takes no more of them, so they go
// into the main module. The result says where they went if they went there.
func (in *injection) replaceImported(ctx context.Context, p *probe, j *joined, agent *listed, module Module, a agentSources) (map[string]place, error) {
	same, err := in.sameAgent(filepath.Dir(agent.Dir), a)
	if err != nil || same {
		return nil, err
	}
	if inside(p.settings["GOMODCACHE"], agent.Dir) {
		// "Files beneath GOMODCACHE must not be replaced" (cmd/go/internal/work/init.go, Go 1.25).
		return nil, in.replaceModule(ctx, p, j, agent, a)
	}
	names, err := agentFiles(agent.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		in.overlay[filepath.Join(agent.Dir, name)] = ""
	}
	places := in.places(module, a)
	places["agent"] = place{path: agent.ImportPath, dir: agent.Dir, real: true}
	return places, in.layPackages(places, a)
}

// sameAgent reports whether the packages below root are ours.
func (in *injection) sameAgent(root string, a agentSources) (bool, error) {
	for name, text := range a {
		file := filepath.Join(root, filepath.FromSlash(name))
		if over, ok := in.overlay[file]; ok {
			file = over
		}
		if old, err := os.ReadFile(file); err != nil || !bytes.Equal(old, text) {
			return false, nil
		}
	}
	for _, dir := range a.dirs() {
		names, err := agentFiles(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if _, ours := a[path.Join(dir, name)]; !ours {
				return false, nil
			}
		}
	}
	return true, nil
}

// agentFiles lists the files of a package on disk that are for the agent's
// system.
func agentFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); ext != ".go" && ext != ".s" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		wanted, err := forAgent(nil, dir, name)
		if err != nil {
			return nil, err
		}
		if wanted {
			names = append(names, name)
		}
	}
	return names, nil
}
