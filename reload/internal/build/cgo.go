package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Cgo is how cgo was run for a package, without its Go files.
type Cgo struct {
	Env    []string // NAME=value
	Args   []string // the program and its flags up to "--"; "$WORK" stands for a directory of intermediate files
	Object string   // "$WORK/b002", the -objdir
	CFlags []string // behind "--"
}

// CgoTypes is the name of the file with what Go knows of a package's C.
const CgoTypes = "_cgo_gotypes.go"

// CgoName is the name of what cgo makes of a file.
func CgoName(file string) string { return strings.TrimSuffix(file, ".go") + ".cgo1.go" }

// cgo reads the cgo command of a package from a script.
func (s *script) cgo(st *step, l *listed) (*Cgo, error) {
	c := s.command("cgo", st.work, func(args []string) bool { return slices.Contains(args, "-objdir") })
	if c == nil {
		return nil, fmt.Errorf("package %s: go build -n shows no command for its C", st.path)
	}
	end := slices.Index(c.args, "--")
	if end < 0 || len(c.args)-end-1 < len(l.CgoFiles) {
		return nil, fmt.Errorf("package %s: cgo command of an unknown form", st.path)
	}
	g := &Cgo{Env: c.env, Object: st.work, CFlags: slices.Clone(c.args[end+1 : len(c.args)-len(l.CgoFiles)])}
	for i := 0; i < end; i++ {
		if c.args[i] == "-trimpath" {
			i++ // of an overlay; runCgo has its own
			continue
		}
		g.Args = append(g.Args, c.args[i])
	}
	return g, nil
}

// recordCgo keeps what cgo made for the packages that may change. The go
// command has it in its cache.
func (c *capture) recordCgo(ctx context.Context, b *Baseline) error {
	var wanted []*Package
	for _, p := range b.Locals() {
		if p.Cgo != nil {
			wanted = append(wanted, p)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	command, common, target := c.goCommand()
	toolexec, err := c.toolexec()
	if err != nil {
		return err
	}
	flags := []string{"-deps", "-compiled", "-json=ImportPath,CompiledGoFiles,CgoFiles,CgoPkgConfig", toolexec}
	flags = append(flags, without(c.flags, printFlags)...)
	list, err := command.list(ctx, append(flags, common...), target...)
	if err != nil {
		return err
	}
	for _, l := range list {
		i := slices.IndexFunc(wanted, func(p *Package) bool { return p.Path == l.ImportPath })
		if i < 0 {
			continue
		}
		if err := c.recordCgoPackage(ctx, b, wanted[i], l); err != nil {
			return fmt.Errorf("package %s: %w", l.ImportPath, err)
		}
	}
	return nil
}

func (c *capture) recordCgoPackage(ctx context.Context, b *Baseline, p *Package, l *listed) error {
	// The go command lists files of its cache in the order in which it gives
	// them to the compiler, but without their names.
	compiled := c.steps[p.Path].files
	if len(compiled) != len(l.CompiledGoFiles) {
		return fmt.Errorf("go list -compiled names %d files, the compiler reads %d", len(l.CompiledGoFiles), len(compiled))
	}
	made := map[string]string{}
	for i, file := range compiled {
		if strings.HasPrefix(file, "$WORK/") {
			hash, err := c.store.putArchive(l.CompiledGoFiles[i])
			if err != nil {
				return err
			}
			made[path.Base(file)] = hash
		}
	}
	for _, name := range []string{CgoTypes, "_cgo_import.go"} {
		hash, ok := made[name]
		if !ok {
			return fmt.Errorf("cgo made no %s", name)
		}
		p.Generated = append(p.Generated, File{Path: name, Hash: hash})
	}
	if err := c.pkgConfig(ctx, p, l); err != nil {
		return err
	}
	originals := map[string][]byte{}
	for i, f := range p.Files {
		name := filepath.Base(f.Path)
		if !slices.Contains(l.CgoFiles, name) {
			continue
		}
		text, err := c.store.Blob(f.Hash)
		if err != nil {
			return err
		}
		originals[name] = text
		if p.Covered {
			continue
		}
		if p.Files[i].Cgo, err = c.ownLines(made[CgoName(name)], f.Path); err != nil {
			return err
		}
	}
	if !p.Covered {
		return nil
	}
	// What the build made counts what runs of it; what is compiled later does not.
	output, err := b.runCgo(ctx, p, originals)
	if err != nil {
		return err
	}
	for i, f := range p.Files {
		name := filepath.Base(f.Path)
		if _, ok := originals[name]; ok {
			if p.Files[i].Cgo, err = c.store.Put(output[CgoName(name)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownLines makes the line directives of what cgo made name the user's file.
// With -trimpath the go command takes for the same what it once made of an equal
// package in another directory, and that directory is in the directives.
func (c *capture) ownLines(hash, path string) (string, error) {
	text, err := c.store.Blob(hash)
	if err != nil {
		return "", err
	}
	const directive, start = "//line ", ":1:1\n"
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(directive)) || !bytes.HasSuffix(line, []byte(start)) {
			continue
		}
		other := line[len(directive) : len(line)-len(start)]
		if filepath.Base(string(other)) != filepath.Base(path) {
			continue
		}
		if string(other) == path {
			return hash, nil
		}
		return c.store.Put(bytes.ReplaceAll(text, []byte("line "+string(other)+":"), []byte("line "+path+":")))
	}
	return "", fmt.Errorf("what cgo made of %s has no line directive", path)
}

// pkgConfig adds the flags of "#cgo pkg-config:" lines, which go build -n
// leaves out because it does not run that program.
func (c *capture) pkgConfig(ctx context.Context, p *Package, l *listed) error {
	if len(l.CgoPkgConfig) == 0 {
		return nil
	}
	var flags, names []string
	for _, word := range l.CgoPkgConfig {
		if strings.HasPrefix(word, "--") {
			flags = append(flags, word)
		} else if word != "--" {
			names = append(names, word)
		}
	}
	args := append(append(append([]string{"--cflags"}, flags...), "--"), names...)
	cmd := exec.CommandContext(ctx, c.settings["PKG_CONFIG"], args...)
	cmd.Dir, cmd.Env = p.Dir, c.command.env
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	if bytes.ContainsAny(out, `\'"`) {
		return fmt.Errorf("%s: flags with quotes in %q", strings.Join(cmd.Args, " "), out)
	}
	p.Cgo.CFlags = append(strings.Fields(string(out)), p.Cgo.CFlags...)
	return nil
}

// ErrC says that an edit reaches the C side of a package, which cannot change
// in a running process.
var ErrC = errors.New("the C side of a program cannot change while it runs")

// Cgo runs cgo again for edited files with import "C" (name → contents) of a
// package and returns the Go files that take the place of those in
// Baseline.Sources. The C side of the program stays as it is: a changed
// preamble, a changed //export line or the first use of a C function gives an
// error that wraps ErrC.
func (b *Baseline) Cgo(ctx context.Context, p *Package, edited map[string][]byte) (map[string][]byte, error) {
	if p.Cgo == nil {
		return nil, fmt.Errorf("package %s: the program was built without import \"C\" in it: %w", p.Path, ErrC)
	}
	all := map[string][]byte{}
	for _, f := range p.Files {
		name := filepath.Base(f.Path)
		text, ok := edited[name]
		if f.Cgo == "" {
			if ok {
				return nil, fmt.Errorf("package %s: %s: a new import \"C\": %w", p.Path, name, ErrC)
			}
			continue
		}
		old, err := b.store.Blob(f.Hash)
		if err != nil {
			return nil, fmt.Errorf("package %s: %s: %w", p.Path, name, err)
		}
		if !ok {
			all[name] = old
			continue
		}
		all[name] = text
		if err := sameC(f.Path, old, text); err != nil {
			return nil, fmt.Errorf("package %s: %w", p.Path, err)
		}
	}
	for name := range edited {
		if _, ok := all[name]; !ok {
			return nil, fmt.Errorf("package %s: %s: a new file with import \"C\": %w", p.Path, name, ErrC)
		}
	}
	output, err := b.runCgo(ctx, p, all)
	if err != nil {
		return nil, err
	}
	result := map[string][]byte{CgoTypes: output[CgoTypes]}
	for name := range edited {
		result[CgoName(name)] = output[CgoName(name)]
	}
	return result, nil
}

// runCgo runs cgo over all its files of a package. What it returns fits the
// program: names of C symbols, which hold a hash of all sources, are the old
// ones, and _cgo_gotypes.go is the recorded one and what Go alone can add.
func (b *Baseline) runCgo(ctx context.Context, p *Package, files map[string][]byte) (map[string][]byte, error) {
	scratch, err := newScratch()
	if err != nil {
		return nil, err
	}
	defer scratch.close()
	temp := scratch.dir
	r := replay{dir: temp}
	object := r.subst(p.Cgo.Object)
	if err := os.MkdirAll(object, 0o700); err != nil {
		return nil, err
	}
	var paths, trim []string
	for _, f := range p.Files {
		name := filepath.Base(f.Path)
		text, ok := files[name]
		if !ok {
			continue
		}
		at := filepath.Join(temp, name)
		if err := os.WriteFile(at, text, 0o600); err != nil {
			return nil, err
		}
		paths, trim = append(paths, at), append(trim, at+"=>"+f.Path)
	}
	var args []string
	for _, arg := range append(p.Cgo.Args[1:], "-trimpath", strings.Join(trim, ";"), "--") {
		args = append(args, r.subst(arg))
	}
	for _, arg := range p.Cgo.CFlags {
		args = append(args, r.subst(arg))
	}
	cmd := exec.CommandContext(ctx, p.Cgo.Args[0], append(args, paths...)...)
	cmd.Dir = p.Dir
	cmd.Env = append(append(toolEnv(b.Env), "CC="+lookupEnv(b.Env, "CC")), p.Cgo.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		text := strings.ReplaceAll(string(out), temp, p.Dir)
		if errs := parseErrors(text, under(p.Dir)); len(errs) > 0 {
			return nil, &CompileError{Errors: errs, Output: text}
		}
		return nil, fmt.Errorf("package %s: cgo: %w\n%s", p.Path, err, text)
	}
	return b.adoptCgo(p, object, files)
}

// The names of C symbols hold a hash of all sources of the package
// (cmd/cgo/main.go, cPrefix, Go 1.26).
var cgoHash = regexp.MustCompile(`_cgo(?:exp)?_([0-9a-f]{12})_`)

func findCgoHash(types []byte) []byte {
	if m := cgoHash.FindSubmatch(types); m != nil {
		return m[1]
	}
	return nil
}

func (b *Baseline) adoptCgo(p *Package, object string, files map[string][]byte) (map[string][]byte, error) {
	i := slices.IndexFunc(p.Generated, func(f File) bool { return f.Path == CgoTypes })
	if i < 0 {
		return nil, fmt.Errorf("package %s: no record of %s", p.Path, CgoTypes)
	}
	old, err := b.store.Blob(p.Generated[i].Hash)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Path, err)
	}
	types, err := os.ReadFile(filepath.Join(object, CgoTypes))
	if err != nil {
		return nil, err
	}
	oldHash, newHash := findCgoHash(old), findCgoHash(types)
	adopt := func(name string) ([]byte, error) {
		text, err := os.ReadFile(filepath.Join(object, name))
		if err != nil || oldHash == nil || newHash == nil {
			return text, err
		}
		return bytes.ReplaceAll(text, newHash, oldHash), nil
	}
	output := map[string][]byte{}
	fresh, err := adopt(CgoTypes)
	if err != nil {
		return nil, err
	}
	if output[CgoTypes], err = mergeTypes(old, fresh); err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Path, err)
	}
	for name := range files {
		if output[CgoName(name)], err = adopt(CgoName(name)); err != nil {
			return nil, err
		}
	}
	return output, nil
}

// mergeTypes adds constants and types of a fresh _cgo_gotypes.go to the old
// one. A function or variable that is new there needs C code that the program
// does not have.
func mergeTypes(old, fresh []byte) ([]byte, error) {
	have, _, err := declarations(old)
	if err != nil {
		return nil, err
	}
	want, order, err := declarations(fresh)
	if err != nil {
		return nil, err
	}
	merged := slices.Clip(old)
	for _, name := range order {
		d := want[name]
		o, ok := have[name]
		switch {
		case ok && o.text == d.text:
		case ok:
			return nil, fmt.Errorf("%s has another C declaration than when the program was built: %w", cName(name), ErrC)
		case d.code:
			return nil, fmt.Errorf("%s is not among the C functions and variables that the program was built with: %w", cName(name), ErrC)
		default:
			merged = append(append(append(merged, '\n'), d.text...), '\n')
		}
	}
	return merged, nil
}

// cName is the name that the user knows of one that cgo made up
// (cmd/cgo/gcc.go, Go 1.26).
func cName(name string) string {
	if at := cgoHash.FindStringIndex(name); at != nil {
		name = name[at[1]-1:]
	}
	for _, prefix := range []string{"_Cfunc_", "_C2func_", "_Ctype_", "_Ciconst_", "_Cfconst_", "_Csconst_", "_Cvar_", "_Cmacro_", "_Cfpvar_fp_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return "C." + rest
		}
	}
	return name
}

type cgoDeclaration struct {
	text string
	code bool // stands for something in C
}

// declarations lists the top-level declarations of a generated file by name.
func declarations(text []byte) (map[string]cgoDeclaration, []string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, CgoTypes, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	decls, order := map[string]cgoDeclaration{}, []string(nil)
	add := func(name string, n ast.Node, keyword string, code bool) {
		if name == "_" {
			return
		}
		source := string(text[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
		decls[name], order = cgoDeclaration{text: keyword + source, code: code}, append(order, name)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = fmt.Sprintf("method %s at %d", name, d.Pos())
			}
			add(name, d, "", true)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					add(s.Name.Name, s, "type ", false)
				case *ast.ValueSpec:
					add(s.Names[0].Name, s, d.Tok.String()+" ", d.Tok == token.VAR)
				}
			}
		}
	}
	return decls, order, nil
}

// sameC checks that an edit leaves what C sees of a file alone: the comments
// above import "C" and the //export lines.
func sameC(path string, old, edited []byte) error {
	preamble, exports, err := cSide(path, old)
	if err != nil {
		return err
	}
	newPreamble, newExports, err := cSide(path, edited)
	if err != nil {
		return err
	}
	if preamble != newPreamble {
		return fmt.Errorf("%s: the C preamble above import \"C\" changed: %w", filepath.Base(path), ErrC)
	}
	if exports != newExports {
		return fmt.Errorf("%s: the //export lines changed: %w", filepath.Base(path), ErrC)
	}
	return nil
}

func cSide(path string, text []byte) (preamble, exports string, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", "", &CompileError{Errors: parseErrors(err.Error(), under(filepath.Dir(path))), Output: err.Error() + "\n"}
	}
	comments := func(groups ...*ast.CommentGroup) (text string) {
		for _, g := range groups {
			if g != nil {
				for _, c := range g.List {
					text += c.Text + "\n"
				}
			}
		}
		return text
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if s, ok := s.(*ast.ImportSpec); ok && s.Path.Value == `"C"` {
					preamble += comments(d.Doc, s.Doc) + "import\n"
				}
			}
		case *ast.FuncDecl:
			for line := range strings.Lines(comments(d.Doc)) {
				if strings.HasPrefix(line, "//export ") {
					exports += line
				}
			}
		}
	}
	return preamble, exports, nil
}
