package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A step is how the go command compiles one package, read from a script.
type step struct {
	path  string   // import path, from the file names in $WORK's import configurations
	work  string   // "$WORK/b002", where its intermediate files lie
	flags []string // of the compiler, without any path and without what only directs output
	trim  []Rewrite
	files []string // as given to the compiler; below $WORK when made by a tool

	imports   []string
	importMap map[string]string

	symabis bool
	embed   string // contents of the embed configuration
	profile string // "$WORK/…" or a path
	covered bool
	lang    string
}

// A Rewrite is one element of the compiler's -trimpath: file names that are
// From or below it are recorded as To or below it.
type Rewrite struct {
	From, To string
}

// Flags of the compiler with a value that go build prints as an argument of
// its own (cmd/go/internal/work/gc.go, Go 1.25 to 1.27).
var compileValues = map[string]bool{
	"-o": true, "-trimpath": true, "-p": true, "-installsuffix": true, "-buildid": true, "-goversion": true, "-symabis": true,
	"-importcfg": true, "-embedcfg": true, "-asmhdr": true, "-D": true,
}

// What people add with -gcflags to see something; it makes no code. Boolean
// ones stand as given, the others with their value behind "=".
var compileOutput = map[string]bool{
	"-S": true, "-m": true, "-W": true, "-live": true, "-v": true, "-json": true, "-bench": true, "-cpuprofile": true, "-memprofile": true, "-memprofilerate": true, "-blockprofile": true,
	"-mutexprofile": true, "-traceprofile": true, "-c": true, "-linkobj": true, "-pack": true,
}

// steps reads every compile command of a script, keyed by import path.
func (s *script) steps() (map[string]*step, error) {
	paths, err := s.importPaths()
	if err != nil {
		return nil, err
	}
	steps := map[string]*step{}
	for i := range s.commands {
		c := &s.commands[i]
		if c.tool() != "compile" {
			continue
		}
		st, err := s.compileStep(c)
		if err != nil {
			return nil, err
		}
		if st.path = paths[st.work]; st.path == "" {
			return nil, fmt.Errorf("go build -n: compile command in %s belongs to no package", st.work)
		}
		steps[st.path] = st
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("go build -n: no compile command in its output")
	}
	return steps, nil
}

// importPaths maps each work directory to the package that is built in it. For a
// program, the linker's import configuration lists them all; elsewhere the
// compiler is told.
func (s *script) importPaths() (map[string]string, error) {
	for name, text := range s.files {
		if path.Base(name) != "importcfg.link" {
			continue
		}
		paths := map[string]string{}
		for line := range strings.Lines(text) {
			if pkg, file, ok := packageFile(line); ok {
				paths[path.Dir(file)] = pkg
			}
		}
		return paths, nil
	}
	paths := map[string]string{}
	for i := range s.commands {
		if c := &s.commands[i]; c.tool() == "compile" {
			paths[path.Dir(flagValue(c.args, "-o"))] = flagValue(c.args, "-p")
		}
	}
	return paths, nil
}

// packageFile reads a line "packagefile path=file" of an import configuration
// (cmd/compile/internal/base/flag.go, readImportCfg, Go 1.26).
func packageFile(line string) (pkg, file string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "packagefile ")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "=")
}

func (s *script) compileStep(c *scriptCommand) (*step, error) {
	st := &step{importMap: map[string]string{}}
	args := c.args[1:]
	for len(args) > 0 {
		arg := args[0]
		if !strings.HasPrefix(arg, "-") {
			st.files = args
			break
		}
		args = args[1:]
		var value string
		if compileValues[arg] {
			if len(args) == 0 {
				return nil, fmt.Errorf("go build -n: compile command ends at %s", arg)
			}
			value, args = args[0], args[1:]
		}
		name, inline, _ := strings.Cut(arg, "=")
		switch {
		case arg == "-o":
			st.work = path.Dir(value)
		case arg == "-buildid", arg == "-asmhdr":
		case arg == "-trimpath":
			st.trim = parseTrim(value)
		case arg == "-symabis":
			st.symabis = true
		case arg == "-importcfg":
			text, ok := s.files[value]
			if !ok {
				return nil, fmt.Errorf("go build -n: %s is not written", value)
			}
			st.readImports(text)
		case arg == "-embedcfg":
			st.embed = s.files[value]
		case name == "-pgoprofile":
			st.profile = inline
		case name == "-coveragecfg":
			st.covered = true
		case compileOutput[name]:
		default:
			if name == "-lang" {
				st.lang = inline
			}
			st.flags = append(st.flags, arg)
			if compileValues[arg] {
				st.flags = append(st.flags, value)
			}
		}
	}
	return st, nil
}

func (st *step) readImports(text string) {
	for line := range strings.Lines(text) {
		if pkg, _, ok := packageFile(line); ok {
			st.imports = append(st.imports, pkg)
		} else if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "importmap "); ok {
			if from, to, ok := strings.Cut(rest, "="); ok {
				st.importMap[from] = to
			}
		}
	}
	slices.Sort(st.imports)
}

// parseTrim reads the value of -trimpath (cmd/internal/objabi/line.go,
// ApplyRewrites, Go 1.26). What names the work directory of one build is left
// out: no source lies there.
func parseTrim(value string) []Rewrite {
	var trim []Rewrite
	for field := range strings.SplitSeq(value, ";") {
		from, to, _ := strings.Cut(field, "=>")
		if from != "" && !strings.HasPrefix(from, "$WORK") {
			trim = append(trim, Rewrite{From: from, To: to})
		}
	}
	return trim
}

// A replay runs recorded commands of one work directory in a real one.
type replay struct {
	script *script
	work   string // "$WORK/b002"
	dir    string // stands for $WORK
	env    []string
}

// subst replaces $WORK in an argument. With -cover, cgo is given the name of a
// work file below the package directory, which is no file at all.
func (r *replay) subst(arg string) string {
	if i := strings.Index(arg, "/$WORK/"); i >= 0 && strings.HasPrefix(arg, "/") {
		arg = arg[i+1:]
	}
	return strings.ReplaceAll(arg, "$WORK", r.dir)
}

// prepare makes the work directory with the files that go build writes or
// copies there before it runs a tool.
func (r *replay) prepare() error {
	dir := r.subst(r.work)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, text := range r.script.files {
		if path.Dir(name) == r.work {
			if err := os.WriteFile(r.subst(name), []byte(strings.ReplaceAll(text, "$WORK", r.dir)), 0o600); err != nil {
				return err
			}
		}
	}
	for _, c := range r.script.commands {
		if len(c.args) == 3 && c.args[0] == "cp" && path.Dir(c.args[2]) == r.work {
			data, err := os.ReadFile(c.args[1])
			if err == nil {
				err = os.WriteFile(r.subst(c.args[2]), data, 0o600)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs one recorded command.
func (r *replay) run(ctx context.Context, c *scriptCommand) error {
	cmd := exec.CommandContext(ctx, c.args[0])
	for _, arg := range c.args[1:] {
		cmd.Args = append(cmd.Args, r.subst(arg))
	}
	cmd.Dir = r.subst(c.dir)
	cmd.Env = append(r.env[:len(r.env):len(r.env)], c.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(c.args[0]), err, out)
	}
	return nil
}

// command finds the command of a tool in a work directory that satisfies is.
func (s *script) command(tool, work string, is func(args []string) bool) *scriptCommand {
	for i := range s.commands {
		c := &s.commands[i]
		if c.tool() == tool && is(c.args) && slices.ContainsFunc(c.args, func(a string) bool { return strings.HasPrefix(a, work+"/") }) {
			return c
		}
	}
	return nil
}

// symabis runs the assembler's first pass of a package as go build does and
// returns what it says of the functions' ABIs (cmd/asm -gensymabis).
func (s *script) symabis(ctx context.Context, st *step, temp string, env []string) ([]byte, error) {
	c := s.command("asm", st.work, func(args []string) bool { return slices.Contains(args, "-gensymabis") })
	if c == nil {
		return nil, fmt.Errorf("package %s: go build -n shows no command for its assembly", st.path)
	}
	r := replay{script: s, work: st.work, dir: temp, env: env}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if err := r.run(ctx, c); err != nil {
		return nil, fmt.Errorf("package %s: %w", st.path, err)
	}
	i := slices.Index(c.args, "-o")
	if i < 0 || i+1 == len(c.args) {
		return nil, fmt.Errorf("package %s: assembler without output", st.path)
	}
	return os.ReadFile(r.subst(c.args[i+1]))
}

// profile returns the profile that the compiler is given: go build makes it
// from the user's (cmd/preprofile).
func (s *script) profile(ctx context.Context, file, temp string, env []string) ([]byte, error) {
	if !strings.HasPrefix(file, "$WORK/") {
		return os.ReadFile(file)
	}
	c := s.command("preprofile", path.Dir(file), func(args []string) bool { return slices.Contains(args, file) })
	if c == nil {
		return nil, fmt.Errorf("profile %s: go build -n shows no command that makes it", file)
	}
	r := replay{script: s, work: path.Dir(file), dir: temp, env: env}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if err := r.run(ctx, c); err != nil {
		return nil, err
	}
	return os.ReadFile(r.subst(file))
}
