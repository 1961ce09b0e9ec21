// Package build knows how the go command makes a program: it has the program
// built with limeade's agent in it, keeps everything that a later process needs
// to compile any of its packages once more in exactly the same way, and does
// so. It must never know what runs: processes, patches and editors are none of
// its business.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what Build builds.
type Options struct {
	Dir      string    // where the go command runs; "" is the current directory
	Target   []string  // one main package (".", "./cmd/app", an import path) or its .go files; nil is "."
	Flags    []string  // build flags as for go build, without -o and -C
	Env      []string  // environment of the go command; nil is this process's
	Output   string    // where the executable is wanted besides the store; "" is nowhere
	Agent    fs.FS     // limeade's agent: directories agent, patch, … with their Go files
	Toolexec []string  // command that calls Toolexec with the arguments appended to it; nil is this program's "toolexec"
	Store    *Store    // nil is the user's
	Messages io.Writer // what the go command says of a build that succeeds; nil drops it
}

// A source that changes faster than it is built cannot be pinned down.
const attempts = 3

// ErrChanging says that files were edited each time the program was built.
var ErrChanging = errors.New("source files change while the program is built")

// Build builds a program with the agent in it and records how. When it
// returns, everything is on disk, and Load finds it by the build ID. The
// user's tree is only read. A program that does not compile gives a
// *CompileError; a file that changes meanwhile makes Build start again, and
// give up with ErrChanging in the end.
func Build(ctx context.Context, o Options) (*Baseline, error) {
	if len(o.Target) == 0 {
		o.Target = []string{"."}
	}
	agent, err := readAgent(o.Agent)
	if err != nil {
		return nil, err
	}
	p, err := newProbe(ctx, o)
	if err != nil {
		return nil, err
	}
	unlock, err := p.store.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	changed := ""
	for range attempts {
		c := &capture{probe: p, options: o, agent: agent}
		var b *Baseline
		if b, changed, err = c.attempt(ctx); changed == "" {
			return b, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: %s; save it and try again", ErrChanging, changed)
}

// A capture is one attempt at a build.
type capture struct {
	*probe
	options Options
	agent   agentSources

	temp    string // removed at the end
	listing *listing
	pkgs    []*listed
	main    *listed
	module  Module
	joined  *joined
	cover   []string // flags
	steps   map[string]*step
}

// setOfFiles stands for a path when packages or files came or went.
const setOfFiles = "the set of source files"

// attempt builds once. A non-empty changed names a file that was edited
// meanwhile: then the other results say nothing.
func (c *capture) attempt(ctx context.Context) (b *Baseline, changed string, err error) {
	if c.temp, err = c.store.tempDir("build-*"); err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(c.temp)
	if err := c.load(ctx); err != nil {
		return nil, "", err
	}
	return c.buildLoaded(ctx)
}

// buildLoaded is the attempt from where the packages are known.
func (c *capture) buildLoaded(ctx context.Context) (b *Baseline, changed string, err error) {
	if c.joined, err = join(ctx, c.probe, c.pkgs, c.main, c.module, c.agent, c.temp); err != nil {
		return nil, "", err
	}
	if c.cover, err = c.coverFlags(ctx); err != nil {
		return nil, "", err
	}
	foreign := c.foreign()
	inv := newInventory(c.probe, c.pkgs, c.main.Dir)
	before, err := inv.take()
	if err != nil {
		return nil, "", err
	}
	same := make(chan bool, 1)
	go func() { same <- c.listing.holds(ctx) }()
	b, err = c.build(ctx)
	holds := <-same
	after, terr := inv.take()
	if terr != nil {
		return nil, "", terr
	}
	if changed := before.changed(after); changed != "" {
		return nil, changed, nil
	}
	if !holds && ctx.Err() == nil {
		return nil, setOfFiles, nil
	}
	if err != nil {
		return nil, "", err
	}
	if err := c.recordFiles(ctx, b, inv); err != nil {
		return nil, "", err
	}
	return b, "", c.finish(b, foreign())
}

// load lists the program and finds its main package and module.
func (c *capture) load(ctx context.Context) error {
	flags := append([]string{"-e", "-deps", listFields}, without(c.flags, printFlags)...)
	var pkgs []*listed
	var err error
	if c.listing, pkgs, err = c.command.startListing(ctx, flags, append([]string{"--"}, c.options.Target...)...); err != nil {
		return c.asGoBuild(ctx, err)
	}
	c.pkgs = pkgs
	if c.main, err = program(pkgs); err != nil {
		return err
	}
	for _, p := range pkgs {
		if p.Error != nil {
			return c.asGoBuild(ctx, fmt.Errorf("package %s: %s", p.ImportPath, p.Error.Err))
		}
	}
	c.module, err = c.probe.module(ctx, c.main)
	return err
}

// asGoBuild turns what go list found wrong into what go build says of it.
func (c *capture) asGoBuild(ctx context.Context, found error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	args := append([]string{"build", "-o", filepath.Join(c.temp, "failing")}, without(c.flags, printFlags)...)
	if _, _, err := c.command.run(ctx, append(append(args, "--"), c.options.Target...)...); err != nil {
		return c.compileError(err)
	}
	return found
}

func (c *capture) compileError(err error) error {
	var exit *exitError
	if !errors.As(err, &exit) || exit.stderr == "" {
		return err
	}
	return &CompileError{Errors: parseErrors(exit.stderr, under(c.command.dir)), Output: exit.stderr}
}

// build runs go build, and beside it go build -n, which tells how every
// package would be compiled from scratch.
func (c *capture) build(ctx context.Context) (*Baseline, error) {
	exe := filepath.Join(c.temp, "exe")
	if err := os.Mkdir(exe, 0o700); err != nil {
		return nil, c.store.explain(err)
	}
	toolexec, err := c.toolexec()
	if err != nil {
		return nil, err
	}
	command, common, target := c.goCommand()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var packages map[string]*Package
	var dryErr error
	wg.Go(func() {
		args := append([]string{"build", "-n", "-a", "-o", exe + "/"}, without(c.flags, printFlags)...)
		var out []byte
		if _, out, dryErr = command.run(ctx, append(append(args, common...), target...)...); dryErr == nil {
			packages, dryErr = c.packages(ctx, string(out))
		}
	})
	args := append([]string{"build", "-o", exe + "/", toolexec}, without(c.flags, nil)...)
	_, messages, err := command.run(ctx, append(append(args, common...), target...)...)
	if err != nil {
		cancel()
	}
	wg.Wait()
	if err != nil {
		return nil, c.compileError(err)
	}
	if dryErr != nil {
		return nil, dryErr
	}
	if c.options.Messages != nil && len(messages) > 0 {
		if _, err := c.options.Messages.Write(messages); err != nil {
			return nil, err
		}
	}
	return c.baseline(exe, packages)
}

// goCommand is the go command for the program with the agent in it, the flags
// that join the two, and the arguments that name it.
func (c *capture) goCommand() (command *command, flags, target []string) {
	joinedCommand := *c.command
	joinedCommand.env = append(joinedCommand.env[:len(joinedCommand.env):len(joinedCommand.env)], c.joined.env...)
	target = append([]string{"--"}, c.options.Target...)
	if filesNamed(c.options.Target) && c.joined.file != "" {
		// The go command wants all files in one directory, and named alike.
		target = append(target, filepath.Join(filepath.Dir(c.options.Target[0]), filepath.Base(c.joined.file)))
	}
	return &joinedCommand, append(c.joined.flags[:len(c.joined.flags):len(c.joined.flags)], c.cover...), target
}

// toolexec is the flag that puts Toolexec in front of every tool.
func (c *capture) toolexec() (string, error) {
	program := c.options.Toolexec
	if program == nil {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		program = []string{self, "toolexec"}
	}
	value, err := joinQuoted(append(program[:len(program):len(program)], c.store.dir, c.temp))
	return "-toolexec=" + value, err
}

// coverFlags keeps the agent out of what -cover counts: the user's -coverpkg
// (the packages of the main module, if there is none) is spelled out.
func (c *capture) coverFlags(ctx context.Context) ([]string, error) {
	patterns, given := lastFlag("coverpkg", c.flags, c.goflags)
	covered := given
	for _, name := range []string{"cover", "covermode"} {
		f, ok := lastFlag(name, c.flags, c.goflags)
		covered = covered || ok && f.on()
	}
	if !covered {
		return nil, nil
	}
	match := func(p *listed) bool { return !p.DepOnly || p.Module != nil && p.Module.Main }
	if given {
		flags := append([]string{"-e", "-json=ImportPath"}, without(c.flags, printFlags)...)
		pkgs, err := c.command.list(ctx, flags, append([]string{"--"}, strings.Split(patterns.value, ",")...)...)
		if err != nil {
			return nil, fmt.Errorf("flag -coverpkg: %w", err)
		}
		matched := map[string]bool{}
		for _, p := range pkgs {
			matched[p.ImportPath] = true
		}
		match = func(p *listed) bool { return matched[p.ImportPath] }
	}
	var paths []string
	for _, p := range c.pkgs {
		if match(p) && !isAgent(p.ImportPath) {
			paths = append(paths, p.ImportPath)
		}
	}
	return []string{"-coverpkg=" + strings.Join(paths, ",")}, nil
}

// packages reads the compile commands, and runs what the compiler needs to
// have run before it.
func (c *capture) packages(ctx context.Context, output string) (map[string]*Package, error) {
	script, err := parseScript(c.command.dir, output)
	if err != nil {
		return nil, err
	}
	if c.steps, err = script.steps(); err != nil {
		return nil, err
	}
	known := map[string]*listed{}
	for _, p := range c.pkgs {
		known[p.ImportPath] = p
	}
	profiles := map[string]string{}
	packages := map[string]*Package{}
	for path, st := range c.steps {
		p := &Package{Path: path, Imports: st.imports, ImportMap: st.importMap, GoVersion: st.lang, Compile: st.flags, Covered: st.covered}
		p.Trim = slices.DeleteFunc(st.trim, func(r Rewrite) bool { return inside(c.temp, r.From) })
		packages[path] = p
		l := known[path]
		if l == nil {
			p.Standard = slices.Contains(st.flags, "-std")
			continue
		}
		p.Name, p.Dir, p.Standard = l.Name, l.Dir, l.Standard
		if l.Module != nil {
			p.Module = l.Module.Path
		}
		if p.Local = l.local(c.settings) && !isAgent(path); !p.Local {
			continue
		}
		if err := c.compilerInputs(ctx, script, st, p, profiles); err != nil {
			return nil, err
		}
		if len(l.CgoFiles) > 0 {
			if p.Cgo, err = script.cgo(st, l); err != nil {
				return nil, err
			}
		}
	}
	return packages, nil
}

// isAgent reports whether a package is one of ours in the user's build.
func isAgent(path string) bool {
	return path == ReloadPath || strings.HasPrefix(path, ReloadPath+"/")
}

func (c *capture) compilerInputs(ctx context.Context, script *script, st *step, p *Package, profiles map[string]string) (err error) {
	if st.embed != "" {
		if p.EmbedConfig, err = c.store.Put([]byte(st.embed)); err != nil {
			return err
		}
	}
	env := toolEnv(c.settings.env(c.command.env))
	if st.symabis {
		text, err := script.symabis(ctx, st, c.temp, env)
		if err != nil {
			return err
		}
		if p.SymABIs, err = c.store.Put(text); err != nil {
			return err
		}
	}
	if st.profile != "" {
		if profiles[st.profile] == "" {
			text, err := script.profile(ctx, st.profile, c.temp, env)
			if err != nil {
				return err
			}
			if profiles[st.profile], err = c.store.Put(text); err != nil {
				return err
			}
		}
		p.Profile = profiles[st.profile]
	}
	return nil
}

// baseline puts together what the link step and the compile commands say.
func (c *capture) baseline(exe string, packages map[string]*Package) (*Baseline, error) {
	text, err := os.ReadFile(filepath.Join(c.temp, linkFile))
	if err != nil {
		return nil, fmt.Errorf("the link step was not recorded: %w", err)
	}
	var rec linkRecord
	if err := json.Unmarshal(text, &rec); err != nil {
		return nil, fmt.Errorf("the link step was not recorded: %w", err)
	}
	for path, archive := range rec.Archives {
		p := packages[path]
		if p == nil {
			return nil, fmt.Errorf("package %s: linked into the program, but go build -n shows no compile command for it", path)
		}
		p.Archive = archive
	}
	for path, p := range packages {
		if p.Archive == "" {
			return nil, fmt.Errorf("package %s: has a compile command, but is not linked into the program", path)
		}
	}
	entries, err := os.ReadDir(exe)
	if err != nil || len(entries) != 1 {
		return nil, fmt.Errorf("go build made no program in %s: %w", exe, err)
	}
	b := &Baseline{
		Schema: schema, GoVersion: strings.Fields(c.settings["GOVERSION"])[0], GOROOT: c.settings["GOROOT"],
		Dir: c.command.dir, Target: c.options.Target, Package: c.main.ImportPath, Module: c.module, Agent: c.joined.path,
		Env: append(c.settings.env(c.command.env), c.joined.env...), Kept: c.joined.kept, Built: time.Now(),
		Binary: filepath.Join(exe, entries[0].Name()), Packages: packages, store: c.store,
	}
	b.Flags = without(c.flags, printFlags)
	for _, flag := range c.joined.flags {
		if strings.HasPrefix(flag, "-modfile=") {
			b.Flags = append(b.Flags, flag)
		}
	}
	main := b.Main()
	if main == nil {
		return nil, fmt.Errorf("package %s: not among those that were linked", b.Package)
	}
	b.Race, b.PIE = slices.Contains(main.Compile, "-race"), slices.Contains(main.Compile, "-shared")
	if b.BuildID, err = ReadBuildID(b.Binary); err != nil {
		return nil, err
	}
	if b.BuildID == "" {
		return nil, errors.New("the program has no build ID, so a running process could not be told from another; leave -ldflags=-buildid= out")
	}
	return b, nil
}

// recordFiles records the sources of the packages that may change.
func (c *capture) recordFiles(ctx context.Context, b *Baseline, inv *inventory) error {
	var err error
	if b.Inputs, err = inv.files(inv.inputs); err != nil {
		return err
	}
	for _, l := range c.pkgs {
		p := b.Packages[l.ImportPath]
		if p == nil || !p.Local {
			continue
		}
		if err := c.recordPackage(inv, l, p); err != nil {
			return err
		}
		if p == b.Main() && c.joined.file != "" {
			hash, err := c.store.Put(c.joined.text)
			if err != nil {
				return err
			}
			p.Generated = append(p.Generated, File{Path: c.joined.file, Hash: hash})
		}
	}
	return c.recordCgo(ctx, b)
}

// recordPackage records the sources of one package.
func (c *capture) recordPackage(inv *inventory, l *listed, p *Package) (err error) {
	in := func(names []string) []string {
		paths := make([]string, len(names))
		for i, name := range names {
			paths[i] = filepath.Join(l.Dir, name)
		}
		return paths
	}
	if p.Files, err = inv.files(in(l.sources())); err != nil {
		return err
	}
	if p.Other, err = inv.files(in(l.companions())); err != nil {
		return err
	}
	p.EmbedPatterns = l.EmbedPatterns
	p.Embedded, err = inv.files(in(l.EmbedFiles))
	return err
}

// finish moves the executable to its place, writes the manifest and copies the
// executable to where it is wanted.
func (c *capture) finish(b *Baseline, foreign *Foreign) error {
	dir := filepath.Join(c.store.BuildDir(b.BuildID), "exe")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c.store.explain(err)
	}
	binary := filepath.Join(dir, filepath.Base(b.Binary))
	if err := os.Rename(b.Binary, binary); err != nil {
		return c.store.explain(err)
	}
	b.Binary = binary
	if err := b.saveForeign(foreign); err != nil {
		return err
	}
	if err := b.save(); err != nil {
		return err
	}
	if c.options.Output == "" {
		return nil
	}
	if err := copyProgram(b.Binary, c.abs(c.options.Output)); err != nil {
		return fmt.Errorf("program %s: %w", c.options.Output, err)
	}
	return nil
}

// copyProgram copies an executable so that its name has it whole or not at
// all. A link would not do: go build writes over an executable in place.
func copyProgram(from, to string) error {
	if fi, err := os.Stat(to); err == nil && fi.IsDir() {
		to = filepath.Join(to, filepath.Base(from))
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return err
	}
	_, err = dst.ReadFrom(src)
	if err == nil {
		err = dst.Chmod(0o755)
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(dst.Name(), to)
	}
	if err != nil {
		os.Remove(dst.Name())
	}
	return err
}
