package retest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gobuild "go/build"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A listed package is what go list says of one.
type listed struct {
	ImportPath string
	Dir        string
	Name       string
	ForTest    string
	DepOnly    bool
	Module     *struct {
		Dir  string
		Main bool
	}
	EmbedFiles, TestEmbedFiles, XTestEmbedFiles []string
	TestGoFiles, XTestGoFiles                   []string
	Error                                       *struct{ Err string }

	context gobuild.Context // by which files are chosen
	work    string          // the go.work that the go command goes by
	reaches []string        // embedded files of the packages of its module, absolute
}

// load lists the packages that are to be tested.
func load(ctx context.Context, o Options) ([]*listed, error) {
	out, err := goCommand(ctx, o.Dir, "env", "-json", "GOWORK", "GOFLAGS", "CGO_ENABLED")
	if err != nil {
		return nil, err
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	choice := gobuild.Default
	choice.GOOS, choice.GOARCH, choice.CgoEnabled = "linux", "amd64", env["CGO_ENABLED"] == "1"
	choice.BuildTags = tags(slices.Concat(strings.Fields(env["GOFLAGS"]), o.Flags))
	args := append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,Name,ForTest,DepOnly,Module,EmbedFiles,TestEmbedFiles,XTestEmbedFiles,TestGoFiles,XTestGoFiles,Error"}, o.Flags...)
	out, err = goCommand(ctx, o.Dir, append(append(args, "--"), o.Packages...)...)
	if err != nil {
		return nil, err
	}
	var roots []*listed
	var embedded []string
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &listed{context: choice, work: env["GOWORK"]}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Module != nil && p.Module.Main {
			for _, name := range p.EmbedFiles {
				embedded = append(embedded, filepath.Join(p.Dir, name))
			}
		}
		if p.DepOnly {
			continue
		}
		if p.Dir == "" && p.Error != nil {
			return nil, errors.New(p.Error.Err)
		}
		roots = append(roots, p)
	}
	for _, p := range roots {
		p.reaches = embedded
	}
	slices.SortFunc(roots, func(a, b *listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	if len(roots) == 0 {
		return nil, fmt.Errorf("no packages to test in %s", o.Dir)
	}
	return roots, nil
}

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %s", args[0], bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// tags are the build tags that flags of go build set.
func tags(flags []string) (list []string) {
	for i, flag := range flags {
		name, value, ok := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		switch {
		case name == "race" && value != "false":
			list = append(list, "race")
		case name != "tags":
		case ok:
			list = append(list, strings.Split(value, ",")...)
		case i+1 < len(flags):
			list = append(list, strings.FieldsFunc(flags[i+1], func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	return list
}

// matches reports whether a file takes part in builds. Of one that cannot be read as Go the compiler says why.
func (p *listed) matches(name string, text []byte) bool {
	choice := p.context
	choice.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	ok, err := choice.MatchFile(p.Dir, name)
	return ok || err != nil
}

func (p *listed) tested() bool { return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 }

// embedded lists the embedded files that the tests may see, absolute.
func (p *listed) embedded() []string {
	list := slices.Clone(p.reaches)
	for _, name := range slices.Concat(p.TestEmbedFiles, p.XTestEmbedFiles) {
		list = append(list, filepath.Join(p.Dir, name))
	}
	return list
}

// unfit says why a package's tests are run by go test alone; "" if they need not be.
func (p *listed) unfit() string {
	switch {
	case p.Module == nil || !p.Module.Main:
		return "it is of no main module"
	case p.work != "" && p.work != "off":
		return "it is in a workspace"
	case p.Name == "main":
		return "a main package cannot be imported"
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "testdata", "fuzz")); err == nil {
		return "it has a corpus of fuzzing"
	}
	return ""
}

// testFlags are go build's flags for a test binary.
func testFlags(flags []string) []string {
	const mark = "-X=testing.testBinary=1" // as cmd/go/internal/load/test.go has it: testing.Testing reports it
	flags = slices.Clone(flags)
	for i, flag := range flags {
		if name, value, ok := strings.Cut(strings.TrimLeft(flag, "-"), "="); name == "ldflags" {
			if ok {
				flags[i] = "-ldflags=" + value + " " + mark
			} else if i+1 < len(flags) {
				flags[i+1] += " " + mark
			}
			return flags
		}
	}
	return append(flags, "-ldflags="+mark)
}

// names of the flags that go test hands to the test binary (cmd/go/internal/test/flagdefs.go).
var names = map[string]bool{
	"artifacts": true, "bench": true, "benchmem": true, "benchtime": true, "blockprofile": true, "blockprofilerate": true, "count": true, "cpu": true,
	"cpuprofile": true, "failfast": true, "fullpath": true, "list": true, "memprofile": true, "memprofilerate": true,
	"mutexprofile": true, "mutexprofilefraction": true, "outputdir": true, "parallel": true, "run": true, "short": true,
	"shuffle": true, "skip": true, "timeout": true, "trace": true, "v": true,
}

// IsTestFlag reports whether a flag is one of the tests.
func IsTestFlag(name string) bool { return names[name] }

// testArgs are the flags of the tests as the binary has them.
func testArgs(args []string) []string {
	list := []string{"-test.timeout=10m0s"}
	for i, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if arg == "-args" || arg == "--args" {
			return append(list, args[i+1:]...)
		}
		if strings.HasPrefix(arg, "-") && names[name] {
			arg = "-test." + strings.TrimLeft(arg, "-")
		}
		list = append(list, arg)
	}
	return list
}

// verbose reports whether all that tests print is wanted.
func verbose(args []string) bool {
	return slices.ContainsFunc(testArgs(args), func(arg string) bool {
		return arg == "-test.v" || strings.HasPrefix(arg, "-test.v=") || strings.HasPrefix(arg, "-test.bench") || strings.HasPrefix(arg, "-test.list")
	})
}
