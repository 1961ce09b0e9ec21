package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gobuild "go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
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
	target := gobuild.Default
	target.GOOS, target.GOARCH, target.CgoEnabled = "linux", "amd64", false
	target.OpenFile = func(name string) (io.ReadCloser, error) { return files.Open(filepath.ToSlash(name)) }
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
			if wanted, err = target.MatchFile(path.Dir(name), path.Base(name)); wanted {
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

// A joined agent is what the go command must be told so that the program
// contains the agent, and the program's sources stay as they are.
type joined struct {
	path  string   // import path of package agent in this program
	flags []string // overlay, modfile
	env   []string // GOWORK
	file  string   // the file that is added to package main, "" when the program imports the agent by itself
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
	// assemblyFile maps import paths to assembly, see layAssembly.
	assemblyFile = "assembly.json"
)

// An assembly is what belongs to a package besides its Go files.
type assembly struct {
	Dir   string   // where the files would be
	Files []string // where they are
	hash  string
}

// join decides how the agent gets into the program and writes the overlay.
func join(ctx context.Context, p *probe, pkgs []*listed, main *listed, module Module, a agentSources, temp string) (*joined, error) {
	in := &injection{store: p.store, temp: filepath.Join(temp, overlayDir), overlay: maps.Clone(p.overlay)}
	if err := os.Mkdir(in.temp, 0o700); err != nil {
		return nil, p.store.explain(err)
	}
	if i := slices.IndexFunc(pkgs, func(l *listed) bool { return l.ImportPath == ReloadPath+"/agent" }); i >= 0 {
		return in.replaceImported(ctx, p, pkgs[i], a)
	}
	return in.inject(main, module, a)
}

// inject lays the agent's packages over a directory of the main module that
// does not exist, and adds a file that imports them to package main. The
// directory's name begins with an underscore so that "./..." does not match it.
func (in *injection) inject(main *listed, module Module, a agentSources) (*joined, error) {
	dir := in.unused(module.Dir, "_limeade", "")
	root := module.Path + "/" + filepath.Base(dir)
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if path.Ext(name) != ".go" {
			continue
		}
		text, err := rewriteImports(name, a[name], ReloadPath+"/", root+"/")
		if err == nil {
			text, err = requireGo(name, text)
		}
		if err == nil {
			err = in.lay(filepath.Join(dir, filepath.FromSlash(name)), text)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := in.layAssembly(dir, root, a); err != nil {
		return nil, err
	}
	j := &joined{path: root + "/agent", file: in.unused(main.Dir, "zz_limeade", ".go")}
	j.text = fmt.Appendf(nil, "// Laid over the program by limeade; in no directory.\n\npackage main\n\nimport _ %q\n", j.path)
	if err := in.lay(j.file, j.text); err != nil {
		return nil, err
	}
	return in.finish(j)
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

// layAssembly hands assembly to Toolexec. The go command would run the
// assembler in the package's directory, and there is none ("the code expects
// the package directory to exist", cmd/go/internal/work/gc.go, Go 1.25 to 1.27),
// so it must not see these files. It must see a change of them all the same: a
// Go file in their package names their hash.
func (in *injection) layAssembly(dir, root string, a agentSources) error {
	packages := map[string]*assembly{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if path.Ext(name) != ".s" {
			continue
		}
		pkg := packages[root+"/"+path.Dir(name)]
		if pkg == nil {
			pkg = &assembly{Dir: filepath.Join(dir, filepath.FromSlash(path.Dir(name)))}
			packages[root+"/"+path.Dir(name)] = pkg
		}
		file, err := in.write(path.Base(name), a[name])
		if err != nil {
			return err
		}
		pkg.Files, pkg.hash = append(pkg.Files, file), pkg.hash+hashOf(a[name])
	}
	if len(packages) == 0 {
		return nil
	}
	for importPath, pkg := range packages {
		text := fmt.Appendf(nil, "package %s\n\n// With assembly %s.\n", path.Base(importPath), hashOf([]byte(pkg.hash)))
		if err := in.lay(filepath.Join(pkg.Dir, "zz_assembly.go"), text); err != nil {
			return err
		}
	}
	text, err := json.Marshal(packages)
	if err != nil {
		return err
	}
	return in.store.explain(os.WriteFile(filepath.Join(in.temp, assemblyFile), text, 0o600))
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
// module: whatever version that is, the files are ours.
func (in *injection) replaceImported(ctx context.Context, p *probe, agent *listed, a agentSources) (*joined, error) {
	j := &joined{path: agent.ImportPath}
	root := filepath.Dir(agent.Dir)
	stale, err := in.differing(root, a)
	if err != nil {
		return nil, err
	}
	if len(stale) == 0 {
		return in.finish(j)
	}
	if inside(p.settings["GOMODCACHE"], agent.Dir) {
		// "Files beneath GOMODCACHE must not be replaced" (cmd/go/internal/work/init.go, Go 1.25).
		if err := in.replaceModule(ctx, p, j, agent, a); err != nil {
			return nil, err
		}
		return in.finish(j)
	}
	for _, name := range stale {
		file := filepath.Join(root, filepath.FromSlash(name))
		if text, ok := a[name]; !ok {
			in.overlay[file] = ""
		} else if err := in.lay(file, text); err != nil {
			return nil, err
		}
	}
	return in.finish(j)
}

// differing lists the files below root that are not as ours are.
func (in *injection) differing(root string, a agentSources) ([]string, error) {
	var names []string
	for name, text := range a {
		file := filepath.Join(root, filepath.FromSlash(name))
		if over, ok := in.overlay[file]; ok {
			file = over
		}
		if old, err := os.ReadFile(file); err != nil || !bytes.Equal(old, text) {
			names = append(names, name)
		}
	}
	for _, dir := range a.dirs() {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if _, ours := a[name]; !ours && slices.Contains([]string{".go", ".s"}, path.Ext(name)) && !strings.HasSuffix(name, "_test.go") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// replaceModule makes a copy of limeade's module with our files in it and a
// copy of go.mod (or go.work) that names it.
func (in *injection) replaceModule(ctx context.Context, p *probe, j *joined, agent *listed, a agentSources) error {
	module := agent.Module
	if module.Replace != nil {
		module = module.Replace
	}
	key := hashOf([]byte(module.Path + "@" + module.Version + " " + a.hash()))
	dir, err := in.store.publish(filepath.Join("agent", key), func(temp string) error {
		if err := os.CopyFS(temp, os.DirFS(module.Dir)); err != nil {
			return err
		}
		for _, d := range a.dirs() {
			if err := os.RemoveAll(filepath.Join(temp, "reload", filepath.FromSlash(d))); err != nil {
				return err
			}
		}
		for name, text := range a {
			file := filepath.Join(temp, "reload", filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.kept = append(j.kept, dir)
	replace := "-replace=" + agent.Module.Path + "=" + dir
	if work := p.settings["GOWORK"]; work != "" && work != "off" {
		file, err := in.editedCopy(ctx, p, work, "go.work", []string{"work", "edit", replace})
		if err != nil {
			return err
		}
		j.kept, j.env = append(j.kept, filepath.Dir(file)), append(j.env, "GOWORK="+file)
		return nil
	}
	mod := p.settings["GOMOD"]
	if f, ok := lastFlag("modfile", p.flags, p.goflags); ok {
		mod = p.abs(f.value)
	}
	file, err := in.editedCopy(ctx, p, mod, "go.mod", []string{"mod", "edit", replace})
	if err != nil {
		return err
	}
	j.kept, j.flags = append(j.kept, filepath.Dir(file)), append(j.flags, "-modfile="+file)
	return nil
}

// editedCopy keeps an edited copy of go.mod or go.work, and its sums, under a
// name that stays the same for the same contents.
func (in *injection) editedCopy(ctx context.Context, p *probe, file, name string, edit []string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sums := func(file string) string {
		if name == "go.work" {
			return file + ".sum"
		}
		return strings.TrimSuffix(file, ".mod") + ".sum"
	}
	sum, err := os.ReadFile(sums(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	key := hashOf([]byte(file + "\n" + strings.Join(edit, " ") + "\n" + hashOf(text) + hashOf(sum)))
	dir, err := in.store.publish(filepath.Join("agent", key), func(temp string) error {
		copied := filepath.Join(temp, name)
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(sums(copied), sum, 0o600); err != nil {
			return err
		}
		if name == "go.work" {
			uses, err := p.absoluteUses(ctx, file)
			if err != nil {
				return err
			}
			edit = append(edit, uses...)
		}
		_, _, err := p.command.run(ctx, append(edit, copied)...)
		return err
	})
	return filepath.Join(dir, name), err
}

// absoluteUses returns the edits that make the directories of a go.work file
// absolute.
func (p *probe) absoluteUses(ctx context.Context, file string) ([]string, error) {
	out, _, err := p.command.run(ctx, "work", "edit", "-json", file)
	if err != nil {
		return nil, err
	}
	var work struct {
		Use     []struct{ DiskPath string }
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &work); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var edits []string
	for _, u := range work.Use {
		if !filepath.IsAbs(u.DiskPath) {
			edits = append(edits, "-dropuse="+u.DiskPath, "-use="+filepath.Join(filepath.Dir(file), u.DiskPath))
		}
	}
	for _, r := range work.Replace {
		if r.New.Version == "" && !filepath.IsAbs(r.New.Path) {
			old := r.Old.Path
			if r.Old.Version != "" {
				old += "@" + r.Old.Version
			}
			edits = append(edits, "-replace="+old+"="+filepath.Join(filepath.Dir(file), r.New.Path))
		}
	}
	return edits, nil
}

// publish makes a directory of the store with fill, once: all of it appears
// under its name, or nothing.
func (s *Store) publish(name string, fill func(temp string) error) (string, error) {
	dir := filepath.Join(s.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := s.tempDir("dir-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := fill(temp); err != nil {
		return "", s.explain(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", s.explain(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, serr := os.Stat(dir); serr != nil {
			return "", s.explain(err)
		}
	}
	return dir, nil
}

// rewriteImports replaces the prefix of a file's imports.
func rewriteImports(name string, text []byte, from, to string) ([]byte, error) {
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
		if rest, ok := strings.CutPrefix(old, from); ok {
			at := fset.Position(spec.Path.Pos()).Offset
			out = append(append(out, text[done:at]...), strconv.Quote(to+rest)...)
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
