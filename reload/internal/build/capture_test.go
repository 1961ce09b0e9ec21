package build

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What a build with the agent compiles is what an ordinary build finds in the
// go command's cache, and the other way round.
func TestToolexecKeepsCacheIdentity(t *testing.T) {
	o := testOptions(t, unpack(t, plainProgram))
	list := func() string {
		cmd := exec.Command("go", "list", "-export", "-f", "{{.Export}}", "./p")
		cmd.Dir, cmd.Env = o.Dir, o.Env
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	b := mustBuild(t, o)
	archive := b.Packages["example.com/app/p"].Archive
	if got := cacheFileHash(list()); got != archive {
		t.Errorf("go list -export finds %s, the program has %s", got, archive)
	}
	log := filepath.Join(t.TempDir(), "tools")
	o.Env = append(o.Env, "LIMEADE_TEST_TOOL_LOG="+log, `LIMEADE_TEST_TOOL_HOOK=case "$2" in -V*) ;; *) echo "$1" >>"$LIMEADE_TEST_TOOL_LOG";; esac`)
	// A file can be linked to within one file system only.
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(strings.TrimSpace(string(cache))), "limeade-test-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if o.Store, err = OpenStore(dir); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, o)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for tool := range strings.Lines(string(text)) {
		if name := filepath.Base(strings.TrimSpace(tool)); name != "link" {
			t.Errorf("a second build of the same sources runs %s", name)
		}
	}
	info, err := os.Stat(o.Store.BlobPath(archive))
	if err != nil {
		t.Fatal(err)
	}
	cached, err := os.Stat(list())
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(info, cached) {
		t.Error("the archive in the store is a copy, not a link to the go command's file")
	}
}

func TestToolexecPassesOn(t *testing.T) {
	run := func(args ...string) (string, int) {
		cmd := exec.Command(os.Args[0], append([]string{"toolexec", t.TempDir(), t.TempDir()}, args...)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"compile", "link", "asm"} {
		path := filepath.Join(strings.TrimSpace(string(goroot)), "pkg/tool/linux_amd64", tool)
		want, err := exec.Command(path, "-V=full").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		if got, code := run(path, "-V=full"); got != string(want) || code != 0 {
			t.Errorf("%s -V=full says %q (%d), want %q", tool, got, code, want)
		}
	}
	if out, code := run("/bin/sh", "-c", "echo a; exit 7"); out != "a\n" || code != 7 {
		t.Errorf("exit code %d, output %q", code, out)
	}
	if out, code := run("/no/such/tool"); code != 1 || !strings.Contains(out, "/no/such/tool") {
		t.Errorf("missing tool: %d, %q", code, out)
	}
}

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             SourceError
	}{
		{"type", "p/generic.go", "package p\n\nfunc Map() int {\n\treturn \"a\"\n}\n", SourceError{Line: 4, Column: 9, Message: `cannot use "a"`}},
		{"syntax", "p/generic.go", "package p\n\nfunc Map( {\n", SourceError{Line: 3, Column: 11}},
		{"import", "p/generic.go", "package p\n\nimport _ \"example.com/none\"\n", SourceError{Line: 3, Column: 8, Message: "no required module provides package example.com/none"}},
		{"main", "main.go", "package main\n\nfunc main() { undefined() }\n", SourceError{Line: 3, Column: 15, Message: "undefined: undefined"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, plainProgram))
			path := filepath.Join(o.Dir, tt.file)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Build(t.Context(), o)
			var compile *CompileError
			if !errors.As(err, &compile) || len(compile.Errors) == 0 {
				t.Fatalf("Build: %v, want a CompileError with places", err)
			}
			e := compile.Errors[0]
			if e.File != path || e.Line != tt.want.Line || e.Column != tt.want.Column || !strings.Contains(e.Message, tt.want.Message) {
				t.Errorf("first error is %v, want %s:%d:%d: %s", e, path, tt.want.Line, tt.want.Column, tt.want.Message)
			}
			cmd := exec.Command("go", "build", "-o", os.DevNull)
			cmd.Dir, cmd.Env = o.Dir, o.Env
			if out, _ := cmd.CombinedOutput(); string(out) != compile.Output {
				t.Errorf("output %q, want that of go build: %q", compile.Output, out)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name    string
		program string
		flags   []string
		env     []string
		target  []string
		want    []string
	}{
		{"other system", plainProgram, nil, []string{"GOOS=windows"}, nil, []string{"windows/amd64", "only linux/amd64", "unset GOOS"}},
		{"other machine", plainProgram, nil, []string{"GOARCH=arm64"}, nil, []string{"linux/arm64"}},
		{"no module", "-- main.go --\npackage main\n\nfunc main() {}\n", nil, nil, nil, []string{"in no module", "go mod init"}},
		{"modules off", plainProgram, nil, []string{"GO111MODULE=off"}, nil, []string{"in no module", "GO111MODULE"}},
		{"no program", plainProgram, nil, nil, []string{"./p"}, []string{"example.com/app/p is not a program", "./cmd/app"}},
		{"many", plainProgram, nil, nil, []string{"./..."}, []string{"more than one package is named"}},
		{"no such package", plainProgram, nil, nil, []string{"./q"}, []string{"directory not found"}},
		{"no build ID", plainProgram, []string{"-ldflags=-buildid="}, nil, nil, []string{"no build ID", "leave -ldflags=-buildid= out"}},
		{"toolexec", plainProgram, []string{"-toolexec", "garble"}, nil, nil, []string{"-toolexec=garble"}},
		{"toolexec in GOFLAGS", plainProgram, nil, []string{"GOFLAGS=-toolexec=garble"}, nil, []string{"-toolexec=garble"}},
		{"library", plainProgram, []string{"-buildmode=c-shared"}, nil, nil, []string{"-buildmode=c-shared"}},
		{"sanitizer", plainProgram, []string{"-msan"}, nil, nil, []string{"-msan"}},
		{"output", plainProgram, []string{"-o=x"}, nil, nil, []string{"-o"}},
		{"no flag", plainProgram, []string{"main.go"}, nil, nil, []string{`"main.go" is not a flag`}},
		{"no go command", plainProgram, nil, []string{"PATH=/nowhere"}, nil, []string{"no go command on the PATH", "go.dev/dl"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, tt.program))
			o.Env, o.Flags, o.Target = append(o.Env, tt.env...), tt.flags, tt.target
			_, err := Build(t.Context(), o)
			wantError(t, err, tt.want...)
		})
	}
	for _, tt := range []struct{ version, want string }{
		{"go1.24.9", "too old"}, {"go1.28.0", "newer than this limeade knows"}, {"devel go1.28-abcdef", "not a release"}, {"", "not a release"},
		{"go1.25.0", ""}, {"go1.26.8 X:nogreenteagc", ""}, {"go1.27rc1", ""}, {"go1.26.1-vendor", ""},
	} {
		err := settings{"GOOS": "linux", "GOARCH": "amd64", "GOVERSION": tt.version}.check()
		if tt.want == "" && err != nil {
			t.Errorf("%q is refused: %v", tt.version, err)
		} else if tt.want != "" {
			wantError(t, err, tt.want, "GOTOOLCHAIN=")
		}
	}
}

// A hook for the link step that edits a file of the program.
const editAtLink = `LIMEADE_TEST_TOOL_HOOK=case "$1 $2" in *"/link -V"*) ;; *"/link "*) EDIT ;; esac`

func TestFileChangesWhileBuilding(t *testing.T) {
	edits := map[string]string{
		"source":   `[ -e done ] || { touch done; echo "// edited" >>p/p.go; }`,
		"same":     `[ -e done ] || { touch done; cp p/p.go keep; echo "// edited" >p/p.go; cp keep p/p.go; rm keep; echo "// last" >>p/p.go; }`,
		"new file": `[ -e done ] || { touch done; printf 'package p\nvar Added = 1\n' >p/new.go; }`,
		"go.mod":   `[ -e done ] || { touch done; echo "// comment" >>go.mod; }`,
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, plainProgram))
			o.Env = append(o.Env, strings.Replace(editAtLink, "EDIT", `(cd "`+o.Dir+`"; `+edit+`)`, 1))
			b := mustBuild(t, o)
			checkExact(t, b)
			for _, f := range slices.Concat(b.Packages["example.com/app/p"].Files, b.Inputs) {
				if hash, err := hashFile(f.Path); err != nil || hash != f.Hash {
					t.Errorf("%s is recorded with other contents than it has (%v)", f.Path, err)
				}
			}
			if got := len(b.Packages["example.com/app/p"].Files); name == "new file" && got != 3 {
				t.Errorf("%d files of package p are recorded, want the new one among 3", got)
			}
		})
	}
	t.Run("always", func(t *testing.T) {
		t.Parallel()
		o := testOptions(t, unpack(t, plainProgram))
		o.Env = append(o.Env, strings.Replace(editAtLink, "EDIT", `date +%N >"`+o.Dir+`/p/changing.txt"; echo "// $(date +%N)" >>"`+o.Dir+`/p/p.go"`, 1))
		_, err := Build(t.Context(), o)
		wantError(t, err, filepath.Join(o.Dir, "p/p.go"), "save it and try again")
		wantIs(t, err, ErrChanging)
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		o := testOptions(t, unpack(t, `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import _ "embed"

//go:embed text
var text string

func main() { println(text) }
-- text --
one
`))
		o.Env = append(o.Env, strings.Replace(editAtLink, "EDIT", `(cd "`+o.Dir+`"; [ -e done ] || { touch done; echo two >text; })`, 1))
		b := mustBuild(t, o)
		if out := runProgram(t, b.Binary); !strings.HasSuffix(out, "two\n\n") {
			t.Errorf("the program says %q, want what the file says at the end", out)
		}
	})
}

// What is edited between the list of packages and the first snapshot changes
// no snapshot, but the list.
func TestPackageComesAfterTheList(t *testing.T) {
	edits := map[string]func(text string) string{
		"import": func(text string) string {
			return strings.Replace(text, "import ", "import _ \"example.com/app/q\"\nimport ", 1)
		},
		"none": func(text string) string { return text },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, plainProgram+"-- q/q.go --\npackage q\n\nvar Q = 1\n"))
			o.Target = []string{"."}
			p, err := newProbe(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			agent, err := readAgent(testAgent)
			if err != nil {
				t.Fatal(err)
			}
			c := &capture{probe: p, options: o, agent: agent, temp: t.TempDir()}
			if err := c.load(t.Context()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(o.Dir, "p/p.go")
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, []byte(edit(string(text))), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			b, changed, err := c.buildLoaded(t.Context())
			if err != nil || (b == nil) != (name == "import") || (changed == setOfFiles) != (name == "import") {
				t.Errorf("build %v, changed %q, %v", b != nil, changed, err)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	o := testOptions(t, unpack(t, plainProgram))
	for _, output := range []string{filepath.Join(t.TempDir(), "program"), t.TempDir()} {
		o.Output = output
		b := mustBuild(t, o)
		at := output
		if fi, err := os.Stat(output); err == nil && fi.IsDir() {
			at = filepath.Join(output, "app")
		}
		id, err := ReadBuildID(at)
		if err != nil || id != b.BuildID {
			t.Errorf("%s has build ID %q (%v), want %q", at, id, err, b.BuildID)
		}
		runProgram(t, at)
		a, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.Stat(b.Binary)
		if err != nil || os.SameFile(a, kept) {
			t.Errorf("the output is the store's own file (%v): go build would write over both", err)
		}
	}
	o.Output = filepath.Join(o.Dir, "none", "program")
	_, err := Build(t.Context(), o)
	wantError(t, err, "program "+o.Output, "no such file or directory")
}

func TestLoadUnknown(t *testing.T) {
	s := testStore(t)
	_, err := Load(s, "a/b/c/d")
	wantIs(t, err, fs.ErrNotExist)
	wantError(t, err, "a/b/c/d is not known here", "build the program again")
	if err := s.WriteFile(filepath.Join(s.BuildDir("x"), "manifest.json"), []byte(`{"Schema": 999, "BuildID": "x"}`)); err != nil {
		t.Fatal(err)
	}
	_, err = Load(s, "x")
	wantIs(t, err, fs.ErrNotExist)
	wantError(t, err, "another version of limeade")
}

// Builds of the same program by several processes at the same time do not
// disturb each other.
func TestBuildsAtOnce(t *testing.T) {
	o := testOptions(t, unpack(t, plainProgram))
	var wg sync.WaitGroup
	ids := make([]string, 3)
	for i := range ids {
		wg.Go(func() {
			b, err := Build(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = b.BuildID
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Clone(ids))) != 1 {
		t.Errorf("build IDs %q of one program", ids)
	}
	b, err := Load(o.Store, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	checkExact(t, b)
	if left, err := os.ReadDir(filepath.Join(o.Store.Dir(), "tmp")); err != nil || len(left) > 0 {
		t.Errorf("unfinished work is left: %v, %v", left, err)
	}
}

func TestBuildIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := testOptions(t, unpack(t, plainProgram))
	started := filepath.Join(t.TempDir(), "started")
	if err := exec.Command("mkfifo", started).Run(); err != nil {
		t.Fatal(err)
	}
	o.Env = append(o.Env, strings.Replace(editAtLink, "EDIT", `echo >"`+started+`"; sleep 1000`, 1))
	done := make(chan error)
	go func() {
		_, err := Build(ctx, o)
		done <- err
	}()
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	cancel()
	wantIs(t, <-done, ctx.Err())
	if left, err := os.ReadDir(filepath.Join(o.Store.Dir(), "tmp")); err != nil || len(left) > 0 {
		t.Errorf("unfinished work is left: %v, %v", left, err)
	}
}

// A profile with one hot call, in the encoding of pprof
// (github.com/google/pprof/proto/profile.proto).
func profile() []byte {
	field := func(n int, data []byte) []byte { return append([]byte{byte(n<<3 | 2), byte(len(data))}, data...) }
	number := func(n, v int) []byte { return []byte{byte(n << 3), byte(v)} }
	list := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	words := []string{"", "samples", "count", "main.main", "example.com/app/p.(*List).Join", "main.go", "p.go"}
	out := list(field(1, list(number(1, 1), number(2, 2))),
		field(2, list(field(1, []byte{2, 1}), field(2, []byte{100}))),
		field(4, list(number(1, 1), field(4, list(number(1, 1), number(2, 11))))),
		field(4, list(number(1, 2), field(4, list(number(1, 2), number(2, 9))))),
		field(5, list(number(1, 1), number(2, 3), number(3, 3), number(4, 5), number(5, 11))),
		field(5, list(number(1, 2), number(2, 4), number(3, 4), number(4, 6), number(5, 9))))
	for _, w := range words {
		out = append(out, field(6, []byte(w))...)
	}
	return out
}

func TestProfile(t *testing.T) {
	o := testOptions(t, unpack(t, `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import "example.com/app/p"

func main() { println((&p.List{1, 2}).Join()) }
-- p/p.go --
package p

type List []int

func (l *List) Join() (n int) {
	for _, x := range *l {
		n += x
	}
	return n
}
`))
	if err := os.WriteFile(filepath.Join(o.Dir, "default.pgo"), profile(), 0o600); err != nil {
		t.Fatal(err)
	}
	b := check(t, o, "3\n")
	if b.Main().Profile == "" || !slices.ContainsFunc(b.Inputs, func(f File) bool { return filepath.Base(f.Path) == "default.pgo" }) {
		t.Errorf("the profile is not recorded: %+v", b.Inputs)
	}
}

func TestManifestIsSmall(t *testing.T) {
	o := testOptions(t, unpack(t, plainProgram))
	b := mustBuild(t, o)
	text, err := os.ReadFile(filepath.Join(o.Store.BuildDir(b.BuildID), "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var again Baseline
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if per := len(text) / len(b.Packages); per > 1000 {
		t.Errorf("manifest has %d bytes per package", per)
	}
	if strings.Contains(string(text), os.Getenv("HOME")+"/.ssh") || strings.Contains(string(text), "LIMEADE_TEST") {
		t.Error("the manifest holds the environment")
	}
}

func TestToolchainIsUpgraded(t *testing.T) {
	b := &Baseline{GoVersion: "go1.26.1", GOROOT: t.TempDir(), store: testStore(t)}
	_, err := NewCompiler(b)
	wantError(t, err, "compile of go1.26.1 is not there any more", "build the program again")
	compiler := filepath.Join(b.GOROOT, "pkg/tool/linux_amd64/compile")
	if err := os.MkdirAll(filepath.Dir(compiler), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{compiler: "", filepath.Join(b.GOROOT, "VERSION"): "go1.26.2\ntime 2026-01-01T00:00:00Z\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = NewCompiler(b)
	wantError(t, err, "is of go1.26.2 now, but the program was built with go1.26.1")
}
