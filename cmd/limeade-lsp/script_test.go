package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	modpath "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
	"golang.org/x/sys/unix"
)

// TestScript runs testdata/script: the command line end to end, with the real
// binary. The commands that the scripts have beside those of testscript are
// described in testdata/script/README.md.
func TestScript(t *testing.T) {
	bin, err := limeade()
	if err != nil {
		t.Fatal(err)
	}
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "../../testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			runtimeDir, err := os.MkdirTemp(shared.root, "")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(runtimeDir) })
			for _, v := range childEnv(runtimeDir) {
				key, value, _ := strings.Cut(v, "=")
				if key != "HOME" && key != "TMPDIR" {
					env.Setenv(key, value)
				}
			}
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("PATH", filepath.Dir(bin)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			env.Setenv("GOROOT_REAL", shared.goEnv["GOROOT"])
			env.Setenv("GOROOT", "") // as good as unset; scripts may set it
			env.Setenv("LIMEADE_REPO", repo)
			if err := serveModules(env); err != nil {
				return err
			}
			s := &stage{env: env, programs: map[string]*partner{}}
			env.Values[stageKey{}] = s
			env.Defer(s.clear)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":  cmdStart,
			"ask":    cmdAsk,
			"hear":   cmdHear,
			"says":   cmdSays,
			"until":  cmdUntil,
			"signal": cmdSignal,
			"ends":   cmdEnds,
			"code":   cmdCode,
			"json":   cmdJSON,
			"keep":   cmdKeep,
			"edit":   cmdEdit,
			"tree":   cmdTree,
			"goroot": cmdGoroot,
			"hooked": cmdHooked,
		},
	})
}

// serveModules makes the modules of a script's directory modules, module@version each, a module proxy.
func serveModules(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, "modules")
	modules, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, m := range modules {
		name, version, _ := strings.Cut(m.Name(), "@")
		v := modpath.Version{Path: strings.ReplaceAll(name, "_", "/"), Version: version}
		to := filepath.Join(env.WorkDir, "proxy", v.Path, "@v")
		if err := os.MkdirAll(to, 0o777); err != nil {
			return err
		}
		mod, err := os.ReadFile(filepath.Join(dir, m.Name(), "go.mod"))
		if err != nil {
			return err
		}
		var archive bytes.Buffer
		if err := zip.CreateFromDir(&archive, v, filepath.Join(dir, m.Name())); err != nil {
			return err
		}
		for ext, data := range map[string][]byte{".mod": mod, ".zip": archive.Bytes(), ".info": fmt.Appendf(nil, "{%q: %q}", "Version", version)} {
			if err := os.WriteFile(filepath.Join(to, version+ext), data, 0o666); err != nil {
				return err
			}
		}
	}
	env.Setenv("GOPROXY", "file://"+filepath.Join(env.WorkDir, "proxy"))
	env.Setenv("GOMODCACHE", filepath.Join(env.WorkDir, "mod"))
	env.Setenv("GOFLAGS", "-modcacherw")
	env.Setenv("GOSUMDB", "off")
	return nil
}

// stage holds the programs that one script has started.
type stage struct {
	env      *testscript.Env
	programs map[string]*partner
}

type stageKey struct{}

func (s *stage) clear() {
	for _, p := range s.programs {
		p.kill()
	}
}

func program(ts *testscript.TestScript, name string) *partner {
	p := ts.Value(stageKey{}).(*stage).programs[name]
	if p == nil {
		ts.Fatalf("program %s was not started", name)
	}
	return p
}

func need(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

// cmdStart is "start NAME [KEY=VALUE…] COMMAND ARG…": a program in the
// background that is talked to.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "start name [key=value...] command arg...")
	s := ts.Value(stageKey{}).(*stage)
	name, args := args[0], args[1:]
	var env []string
	for _, v := range s.env.Vars {
		key, _, _ := strings.Cut(v, "=")
		env = append(env, key+"="+ts.Getenv(key))
	}
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	command := args[0]
	if !strings.ContainsRune(command, filepath.Separator) {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(filepath.ListSeparator)) {
			if _, err := os.Stat(filepath.Join(dir, command)); err == nil {
				command = filepath.Join(dir, command)
				break
			}
		}
	}
	if strings.HasPrefix(command, ".") {
		command = ts.MkAbs(command)
	}
	if old := s.programs[name]; old != nil {
		old.kill()
	}
	p, err := startPartner(ts.MkAbs("."), env, command, args[1:]...)
	ts.Check(err)
	s.programs[name] = p
}

// cmdAsk is "ask NAME INPUT ANSWER…": one line to the program, and the lines
// that it must answer.
func cmdAsk(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "ask name input answer...")
	if err := program(ts, args[0]).say(args[1]); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, program(ts, args[0]).report())
	}
	cmdHear(ts, false, slices.Delete(slices.Clone(args), 1, 2))
}

// cmdHear is "hear NAME LINE…": the lines that the program must print next.
func cmdHear(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "hear name line...")
	p := program(ts, args[0])
	for _, want := range args[1:] {
		got, err := p.hear(buildPatience)
		if err != nil {
			ts.Fatalf("%s: %v", args[0], err)
		}
		if got != want {
			ts.Fatalf("%s says %q, want %q\n%s", args[0], got, want, p.report())
		}
	}
}

// cmdSays is "says NAME PATTERN…": the lines that the program must print next match these patterns, each as a whole.
func cmdSays(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "says name pattern...")
	p := program(ts, args[0])
	for _, pattern := range args[1:] {
		want, err := regexp.Compile("^(?:" + pattern + ")$")
		ts.Check(err)
		got, err := p.hear(answerPatience)
		if err != nil {
			ts.Fatalf("%s: %v", args[0], err)
		}
		if !want.MatchString(got) {
			ts.Fatalf("%s says %q, want %s\n%s", args[0], got, pattern, p.report())
		}
	}
}

// cmdUntil is "until NAME PATTERN": a line that the program prints from now on matches the pattern as a whole.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "until name pattern")
	p := program(ts, args[0])
	want, err := regexp.Compile("^(?:" + args[1] + ")$")
	ts.Check(err)
	for {
		got, err := p.hear(answerPatience)
		if err != nil {
			ts.Fatalf("%s, until %s: %v", args[0], args[1], err)
		}
		if want.MatchString(got) {
			return
		}
	}
}

// cmdSignal is "signal NAME SIGNAL": a signal to the started process alone,
// whose end it waits for if the signal is KILL.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "signal name signal")
	sig := unix.SignalNum("SIG" + args[1])
	if sig == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	p := program(ts, args[0])
	ts.Check(syscall.Kill(p.cmd.Process.Pid, sig))
	if sig == syscall.SIGKILL {
		<-p.ended
	}
}

// cmdEnds is "ends NAME [eof] CODE|SIGNAL": the program's end, after its input
// was closed or by itself; exit code 128+n counts as signal n. What it still printed and all that it wrote to
// standard error are then in NAME.stdout and NAME.stderr.
func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "ends name [eof] code|signal")
	p := program(ts, args[0])
	if args[1] == "eof" {
		p.stdin.Close()
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	rest, state, err := p.await(answerPatience)
	if err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	var out strings.Builder
	for _, line := range rest {
		out.WriteString(line + "\n")
	}
	work := ts.Getenv("WORK")
	ts.Check(os.WriteFile(filepath.Join(work, args[0]+".stdout"), []byte(out.String()), 0o666))
	ts.Check(os.WriteFile(filepath.Join(work, args[0]+".stderr"), []byte(p.stderr.String()), 0o666))
	got, want := strconv.Itoa(state.ExitCode()), args[1]
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		got = strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
	} else if sig := unix.SignalNum("SIG" + want); sig != 0 {
		want = strconv.Itoa(128 + int(sig)) // as a shell says it
	}
	if got != want {
		ts.Fatalf("%s ended with %s, want %s\n%s", args[0], got, args[1], p.report())
	}
}

// cmdCode is "code N COMMAND ARG…": exec of a command that must end with that exit code.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "code n command arg...")
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// jsonAt returns the value at a path, "edits.0.decl", in the JSON of the last
// command's standard output; "edits.len" is a length.
func jsonAt(ts *testscript.TestScript, path string) (any, bool) {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("standard output is not JSON: %v", err)
	}
	if dec.More() {
		ts.Fatalf("standard output has more than one JSON value")
	}
	for step := range strings.SplitSeq(path, ".") {
		switch w := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = w[step]; !ok {
				return nil, false
			}
		case []any:
			if step == "len" {
				return len(w), true
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(w) {
				return nil, false
			}
			v = w[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func jsonText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v) // it came out of JSON
	return string(text)
}

// cmdJSON is "[!] json PATH [VALUE]": what the last command printed has such a
// value there, or any value.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: json path [value]")
	}
	v, ok := jsonAt(ts, args[0])
	if len(args) == 2 {
		ok = ok && jsonText(v) == args[1]
	}
	if ok == neg {
		ts.Fatalf("%s is %s", args[0], jsonText(v))
	}
}

// cmdKeep is "keep VARIABLE PATH": puts a value of the last command's JSON into
// an environment variable.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "keep variable path")
	v, ok := jsonAt(ts, args[1])
	if !ok {
		ts.Fatalf("no value at %s", args[1])
	}
	ts.Setenv(args[0], jsonText(v))
}

// cmdEdit is "edit FILE OLD NEW": replaces the one place where a text stands;
// \n and \t in the texts are a new line and a tab.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "edit file old new")
	file := ts.MkAbs(args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	old, repl := []byte(escapes.Replace(args[1])), []byte(escapes.Replace(args[2]))
	if n := bytes.Count(data, old); n != 1 {
		ts.Fatalf("%s has %q %d times", args[0], old, n)
	}
	ts.Check(os.WriteFile(file, bytes.Replace(data, old, repl, 1), 0o666))
}

// cmdTree is "tree DIR FILE": writes names, modes, times and sizes of all files
// below a directory to a file.
func cmdTree(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "tree dir file")
	var out strings.Builder
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		fmt.Fprintln(&out, rel, info.Mode(), info.ModTime().UnixNano(), info.Size())
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o666))
}

// cmdGoroot is "goroot DIR PACKAGE": makes a Go tree of links to the real one,
// but for one package, whose files are copies.
func cmdGoroot(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "goroot dir package")
	own := filepath.Join("src", filepath.FromSlash(args[1]))
	ts.Check(linkTree(ts.Getenv("GOROOT_REAL"), ts.MkAbs(args[0]), own))
}

// cmdHooked is "hooked DIR HOOK": makes a Go tree of links to the real one, whose compiler runs the shell script HOOK
// before it compiles, while there is such a file. The script is removed first.
func cmdHooked(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "hooked dir hook")
	real, dir, hook := ts.Getenv("GOROOT_REAL"), ts.MkAbs(args[0]), ts.MkAbs(args[1])
	const compiler = "pkg/tool/linux_amd64/compile"
	ts.Check(linkTree(real, dir, compiler))
	ts.Check(os.Remove(filepath.Join(dir, compiler)))
	text := fmt.Sprintf("#!/bin/sh\nif mv %[1]s %[1]s.$$ 2>/dev/null; then . %[1]s.$$ >/dev/null 2>&1; fi\nexec %[2]s \"$@\"\n", hook, filepath.Join(real, compiler))
	ts.Check(os.WriteFile(filepath.Join(dir, compiler), []byte(text), 0o777))
}

// linkTree links all that is in a directory, copying the directories on the way
// to own, and the files of own itself.
func linkTree(from, to, own string) error {
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	first, rest, deeper := strings.Cut(own, string(filepath.Separator))
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case own != "" && e.Name() == first && e.IsDir():
			if !deeper {
				rest = ""
			}
			err = linkTree(src, dst, rest)
		case own == "" && e.Type().IsRegular():
			var data []byte
			if data, err = os.ReadFile(src); err == nil {
				err = os.WriteFile(dst, data, 0o666)
			}
		default:
			err = os.Symlink(src, dst)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
