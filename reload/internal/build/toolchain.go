package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The versions whose object files, runtime and go command are known.
const (
	oldestGo = "go1.25"
	newestGo = "go1.27"
)

// A command runs the go command as its user would: same directory, same
// environment.
type command struct {
	path string
	dir  string
	env  []string
}

// An exitError is what the go command printed before it failed.
type exitError struct {
	args   []string
	stderr string
	err    error
}

func (e *exitError) Error() string {
	if msg := strings.TrimSpace(e.stderr); msg != "" {
		return msg
	}
	return fmt.Sprintf("%s: %v", strings.Join(e.args, " "), e.err)
}

func (e *exitError) Unwrap() error { return e.err }

// run returns what the go command prints on standard output and standard
// error. Its whole process group ends with ctx.
func (c *command) run(ctx context.Context, args ...string) (stdout, stderr []byte, err error) {
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Dir, cmd.Env = c.dir, append(c.env[:len(c.env):len(c.env)], "PWD="+c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		err = &exitError{args: append([]string{"go"}, args...), stderr: errs.String(), err: err}
	}
	return out.Bytes(), errs.Bytes(), err
}

// newCommand finds the go command on the PATH of env.
func newCommand(dir string, env []string) (*command, error) {
	c := &command{dir: dir, env: env}
	for _, entry := range filepath.SplitList(lookupEnv(env, "PATH")) {
		path, err := exec.LookPath(filepath.Join(entry, "go"))
		if err == nil && filepath.IsAbs(path) {
			c.path = path
			return c, nil
		}
	}
	return nil, errors.New("no go command on the PATH; install Go from https://go.dev/dl")
}

func lookupEnv(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// settings are the go command's own (go env).
type settings map[string]string

func (c *command) settings(ctx context.Context) (settings, error) {
	out, _, err := c.run(ctx, "env", "-json")
	if err != nil {
		return nil, err
	}
	var s settings
	if err := json.Unmarshal(out, &s); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	return s, nil
}

// check refuses a toolchain or target that is not known, with the remedy.
func (s settings) check() error {
	if s["GOOS"] != "linux" || s["GOARCH"] != "amd64" {
		return fmt.Errorf("target %s/%s: only linux/amd64 programs can be reloaded; unset GOOS and GOARCH, or build on such a machine", s["GOOS"], s["GOARCH"])
	}
	full := s["GOVERSION"]
	fields := strings.Fields(full)
	if len(fields) == 0 || !version.IsValid(fields[0]) {
		return fmt.Errorf("toolchain %q: not a release of Go; hot reload works with Go %s to %s: set GOTOOLCHAIN=%s.0 or newer",
			full, oldestGo[2:], newestGo[2:], oldestGo)
	}
	switch lang := version.Lang(fields[0]); {
	case version.Compare(lang, oldestGo) < 0:
		return fmt.Errorf("toolchain %s is too old for hot reload, which works with Go %s to %s; install a newer Go, or set GOTOOLCHAIN=%s.0",
			full, oldestGo[2:], newestGo[2:], oldestGo)
	case version.Compare(lang, newestGo) > 0:
		return fmt.Errorf("toolchain %s is newer than this limeade knows (Go %s to %s); update limeade, or set GOTOOLCHAIN=%s.0",
			full, oldestGo[2:], newestGo[2:], newestGo)
	}
	return nil
}

// The settings that decide what the go command and its tools make of the same
// sources and flags. They are recorded so that a later process, with another
// environment, can go on.
var recordedSettings = []string{
	"AR", "CC", "CXX", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_ENABLED", "CGO_FFLAGS", "CGO_LDFLAGS", "FC",
	"GO111MODULE", "GOAMD64", "GOARCH", "GOCACHE", "GOEXPERIMENT", "GOFIPS140", "GOFLAGS", "GOMODCACHE", "GOOS", "GOPATH", "GOROOT",
	"GOWORK", "PKG_CONFIG",
}

// Variables that steer the compiler and are no settings of the go command
// (cmd/go/internal/work/exec.go, buildActionID, Go 1.26).
var compilerVariables = []string{"GOCLOBBERDEADHASH", "GOCOMPILEDEBUG"}

func (s settings) env(environ []string) []string {
	env := []string{"GOTOOLCHAIN=local"} // later go commands come from this GOROOT
	for _, key := range recordedSettings {
		if v, ok := s[key]; ok {
			env = append(env, key+"="+v)
		}
	}
	for _, key := range compilerVariables {
		if v := lookupEnv(environ, key); v != "" {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// toolEnv is the environment of a compiler process: what it reads, and nothing
// that differs between two shells (cmd/internal and internal/buildcfg, Go 1.26).
func toolEnv(recorded []string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "TERM=dumb", "LC_ALL=C"}
	for _, key := range append([]string{"GOOS", "GOARCH", "GOAMD64", "GOEXPERIMENT", "GOROOT"}, compilerVariables...) {
		if v := lookupEnv(recorded, key); v != "" {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// CheckToolchain fails if the toolchain that the program was built with is not where it was. The error says what to do.
func (b *Baseline) CheckToolchain() error {
	_, err := b.toolchain(compilerProgram)
	return err
}

// compilerProgram is the compiler's path in GOROOT.
const compilerProgram = "pkg/tool/linux_amd64/compile"

// toolchain is the path of a program of the build's toolchain, by its path in
// GOROOT. An upgrade may have put another version in its place.
func (b *Baseline) toolchain(program string) (string, error) {
	path := filepath.Join(b.GOROOT, program)
	if !isFile(path) {
		return "", fmt.Errorf("%s of %s is not there any more; build the program again, with the toolchain that is installed now", path, b.GoVersion)
	}
	text, err := os.ReadFile(filepath.Join(b.GOROOT, "VERSION"))
	if err != nil {
		return "", err
	}
	if is, _, _ := strings.Cut(string(text), "\n"); is != b.GoVersion {
		return "", fmt.Errorf("%s is of %s now, but the program was built with %s; build it again", b.GOROOT, is, b.GoVersion)
	}
	return path, nil
}
