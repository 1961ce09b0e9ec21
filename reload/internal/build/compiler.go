package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Compiler compiles packages of a baseline with the toolchain's compiler, as
// the go command did, without the go command. Its methods may be called at the
// same time. Its temporary files lie in memory where the machine allows it.
type Compiler struct {
	baseline *Baseline
	path     string // of the compiler
	env      []string
	scratch  *scratch

	imports []byte // import configuration with every package of the program
	config  string // file of the same

	mu    sync.Mutex
	types map[string]string // archives that Types made, by what they were made of
}

// NewCompiler returns a compiler for the packages of a baseline. Close it.
func NewCompiler(b *Baseline) (*Compiler, error) {
	path, err := b.toolchain(compilerProgram)
	if err != nil {
		return nil, err
	}
	c := &Compiler{baseline: b, path: path, env: toolEnv(b.Env)}
	sweepScratch(scratchParent(), time.Now().Add(-time.Minute))
	if c.scratch, err = newScratch(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(b.Packages)) {
		if p := b.Packages[path]; p.Archive != "" {
			fmt.Fprintf(&text, "packagefile %s=%s\n", path, b.ArchivePath(p))
		}
	}
	c.imports, c.config = text.Bytes(), filepath.Join(c.scratch.dir, "importcfg")
	if err := os.WriteFile(c.config, c.imports, 0o600); err != nil {
		return nil, errors.Join(err, c.scratch.close())
	}
	return c, nil
}

// Close removes the compiler's temporary files, results included.
func (c *Compiler) Close() error { return c.scratch.close() }

// A Request is one package to compile.
type Request struct {
	Package string            // import path of a Local package
	Files   map[string][]byte // Go files by name, as in Baseline.Sources; nil compiles what the program was built from
	Deps    map[string]string // import path → archive, in place of the program's or besides them
	Flags   []string          // added to the recorded ones: -m=1, -dwarf=false
	Stub    bool              // functions may lack their bodies
	Embed   *Embed            // in place of what the build embedded; nil keeps that
}

// An Embed says what the //go:embed directives of a package embed: the compiler's -embedcfg (cmd/compile/internal/base/flag.go,
// readEmbedCfg).
type Embed struct {
	Patterns map[string][]string // the files that each pattern matches, by names from the package's directory
	Files    map[string]string   // by these names: where the contents are
}

// A Result is a compiled package. Its file exists until Remove or
// Compiler.Close.
type Result struct {
	Archive     string // Go archive with the compiler's object
	Diagnostics string // what the compiler printed, in the user's paths

	dir string
}

// Remove removes the archive.
func (r *Result) Remove() error { return os.RemoveAll(r.dir) }

// shortLived keeps a compiler that has little to do from collecting garbage before there is some. By default it measures its
// heap at the start and sets a goal (cmd/compile/internal/base/startheap.go, Go 1.26), which costs 3 of 10 ms.
var shortLived = []string{"GOGC=off", "GOMEMLIMIT=512MiB"}

// Compile compiles one package. Sources that do not compile give a
// *CompileError. With Files nil, and no Flags that change code, the object is
// the one that was linked, but for the build ID in its header.
func (c *Compiler) Compile(ctx context.Context, req Request) (*Result, error) {
	return c.compile(ctx, req, (*exec.Cmd).Run)
}

func (c *Compiler) compile(ctx context.Context, req Request, run func(*exec.Cmd) error) (_ *Result, err error) {
	p := c.baseline.Packages[req.Package]
	switch {
	case p == nil:
		return nil, fmt.Errorf("package %s is not in the program", req.Package)
	case !p.Local:
		return nil, fmt.Errorf("package %s belongs to the toolchain, the module cache or limeade; its sources are not recorded", req.Package)
	}
	if req.Files == nil {
		if req.Files, err = c.baseline.Sources(p); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(c.scratch.dir, "")
	if err != nil {
		return nil, err
	}
	result := &Result{Archive: filepath.Join(dir, "_pkg_.a"), dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, result.Remove())
		}
	}()
	args, err := c.arguments(p, req, result.Archive)
	if err != nil {
		return nil, err
	}
	files, err := writeSources(dir, p, req.Files)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.path, append(args, files...)...)
	cmd.Dir, cmd.Env = dir, c.env
	if req.Stub {
		cmd.Env = append(slices.Clip(c.env), shortLived...)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = run(cmd)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	result.Diagnostics = strings.ReplaceAll(out.String(), filepath.Join(dir, sourceDir)+"/", p.Dir+"/")
	if err != nil {
		if errs := parseErrors(result.Diagnostics, p.untrim); len(errs) > 0 {
			return nil, &CompileError{Errors: errs, Output: result.Diagnostics}
		}
		return nil, fmt.Errorf("package %s: compiler: %w\n%s", p.Path, err, result.Diagnostics)
	}
	return result, nil
}

// Types compiles a source that declares nothing but types as a package with that import path, which need not be one of
// the program's, and returns its archive. The archive exists until Compiler.Close; what was asked for before is at hand.
func (c *Compiler) Types(ctx context.Context, path string, content []byte, deps map[string]string) (string, error) {
	var key strings.Builder
	fmt.Fprintln(&key, path, string(content))
	for _, path := range slices.Sorted(maps.Keys(deps)) {
		fmt.Fprintln(&key, path, deps[path])
	}
	c.mu.Lock()
	archive := c.types[key.String()]
	c.mu.Unlock()
	if archive != "" {
		return archive, nil
	}
	dir, err := os.MkdirTemp(c.scratch.dir, "")
	if err != nil {
		return "", err
	}
	archive = filepath.Join(dir, "_pkg_.a")
	config, err := c.importConfig(nil, deps, dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "types.go"), content, 0o600)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.CommandContext(ctx, c.path, "-p", path, "-goversion", c.baseline.GoVersion, "-dwarf=false", "-importcfg", config, "-pack", "-o", archive, "types.go")
	cmd.Dir, cmd.Env = dir, append(slices.Clip(c.env), shortLived...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("types of %s: compiler: %w\n%s", path, err, out), os.RemoveAll(dir))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types == nil {
		c.types = map[string]string{}
	}
	c.types[key.String()] = archive
	return archive, nil
}

// Directories of a request's files. The compiler cuts the second one off
// altogether, as it does with the go command's work directory.
const (
	sourceDir    = "src"
	generatedDir = "gen"
)

// arguments are the compiler's, without files.
func (c *Compiler) arguments(p *Package, req Request, output string) ([]string, error) {
	dir := filepath.Dir(output)
	args := make([]string, 0, len(p.Compile)+len(req.Flags)+16)
	for _, flag := range p.Compile {
		if !req.Stub || flag != "-complete" {
			args = append(args, flag)
		}
	}
	trim := filepath.Join(dir, generatedDir) + "=>;" + filepath.Join(dir, sourceDir) + "=>" + p.trimmed(p.Dir)
	for _, r := range p.Trim {
		trim += ";" + r.From + "=>" + r.To
	}
	config, err := c.importConfig(p.ImportMap, req.Deps, dir)
	if err != nil {
		return nil, err
	}
	args = append(args, "-trimpath", trim, "-importcfg", config)
	store := c.baseline.store
	if p.SymABIs != "" {
		args = append(args, "-symabis", store.BlobPath(p.SymABIs))
	}
	switch {
	case req.Embed != nil:
		config, err := json.Marshal(req.Embed)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, "embedcfg")
		if err := os.WriteFile(file, config, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-embedcfg", file)
	case p.EmbedConfig != "":
		args = append(args, "-embedcfg", store.BlobPath(p.EmbedConfig))
	}
	if p.Profile != "" {
		args = append(args, "-pgoprofile="+store.BlobPath(p.Profile))
	}
	return append(append(args, req.Flags...), "-pack", "-o", output), nil
}

// importConfig is the file that tells the compiler where packages are. It
// lists all of the program, so that an edit may import any of them.
func (c *Compiler) importConfig(importMap, deps map[string]string, dir string) (string, error) {
	if len(deps) == 0 && len(importMap) == 0 {
		return c.config, nil
	}
	text := slices.Clip(c.imports)
	for _, from := range slices.Sorted(maps.Keys(importMap)) {
		text = fmt.Appendf(text, "importmap %s=%s\n", from, importMap[from])
	}
	for _, path := range slices.Sorted(maps.Keys(deps)) {
		text = fmt.Appendf(text, "packagefile %s=%s\n", path, deps[path]) // the last one counts
	}
	file := filepath.Join(dir, "importcfg")
	return file, os.WriteFile(file, text, 0o600)
}

// writeSources writes a request's files and returns their paths in the order
// in which the go command gives them to the compiler: it decides the order of
// initialisation and the names of what the compiler numbers.
func writeSources(dir string, p *Package, files map[string][]byte) ([]string, error) {
	for _, sub := range []string{sourceDir, generatedDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var paths []string
	for _, name := range p.order(files) {
		sub := sourceDir
		if p.isGenerated(name) {
			sub = generatedDir
		}
		path := filepath.Join(dir, sub, name)
		if err := os.WriteFile(path, files[name], 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// isGenerated reports whether a file of this name lay in the work directory
// of the build, not in that of the package.
func (p *Package) isGenerated(name string) bool {
	return slices.ContainsFunc(p.Generated, func(f File) bool { return f.Path == name }) || p.Cgo != nil && strings.HasSuffix(name, ".cgo1.go")
}

// order sorts file names as the go command does: those of the package by name,
// then _cgo_gotypes.go, what cgo made of each file, and _cgo_import.go
// (cmd/go/internal/work/exec.go, Go 1.26).
func (p *Package) order(files map[string][]byte) []string {
	rank := func(name string) int {
		switch {
		case !p.isGenerated(name):
			return 0
		case name == CgoTypes:
			return 1
		case strings.HasSuffix(name, ".cgo1.go"):
			return 2
		}
		return 3
	}
	return slices.SortedFunc(maps.Keys(files), func(x, y string) int {
		if d := rank(x) - rank(y); d != 0 {
			return d
		}
		return strings.Compare(strings.TrimSuffix(x, ".cgo1.go"), strings.TrimSuffix(y, ".cgo1.go"))
	})
}

// trimmed is the path under which the build recorded a path of the package.
func (p *Package) trimmed(path string) string {
	for _, r := range p.Trim {
		if inside(r.From, path) {
			return r.To + strings.TrimPrefix(path, r.From)
		}
	}
	return path
}

// Recorded is the path under which the program has a source file of one of its
// Local packages: with -trimpath it is another one.
func (b *Baseline) Recorded(path string) string {
	dir := filepath.Dir(path)
	for _, p := range b.Packages {
		if p.Local && p.Dir == dir {
			return p.trimmed(path)
		}
	}
	return path
}

// untrim is the user's path for one that the compiler printed.
func (p *Package) untrim(path string) string {
	for _, r := range p.Trim {
		if r.To != "" && inside(r.To, path) {
			return r.From + strings.TrimPrefix(path, r.To)
		}
	}
	return under(p.Dir)(path)
}
