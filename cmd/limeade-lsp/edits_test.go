package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// answer is what check, refresh and rollback print with --json.
type answer struct {
	Generation int                `json:"generation"`
	Applied    bool               `json:"applied"`
	PID        int                `json:"pid"`
	Edits      []editAnswer       `json:"edits"`
	Stale      []staleFunc        `json:"stale"`
	Phases     map[string]float64 `json:"phases"`
	Error      any                `json:"error"`
}

type editAnswer struct {
	Decl    string `json:"decl"`
	Kind    string `json:"kind"`
	Verdict string `json:"verdict"`
	Code    string `json:"code"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

func (e editAnswer) String() string {
	return fmt.Sprintf("%s:%d:%d %s %s %s %s", e.File, e.Line, e.Column, e.Decl, e.Kind, e.Verdict, e.Code)
}

type staleFunc struct {
	Func       string `json:"func"`
	Goroutines int    `json:"goroutines"`
}

// statusAnswer is what status prints with --json.
type statusAnswer struct {
	Processes []struct {
		PID        int          `json:"pid"`
		Package    string       `json:"package"`
		Dir        string       `json:"dir"`
		BuildID    string       `json:"build_id"`
		Go         string       `json:"go"`
		Generation int          `json:"generation"`
		Pending    []editAnswer `json:"pending"`
		Stale      []staleFunc  `json:"stale"`
	} `json:"processes"`
}

// variant is one way to build a program that must be refreshable.
type variant struct {
	name      string
	toolchain string // GOTOOLCHAIN; empty: the local one
	flags     []string
	cgo       bool // a file of main imports "C"
	every     int  // of so many rows, one has a case in the sample
}

// defaultVariant is the one that every run covers whole. The others cost minutes: they run whole when
// LIMEADE_TEST_MATRIX is "all" or names them, and otherwise a sample of their cases does.
var defaultVariant = variant{name: "default"}

var matrix = []variant{
	{name: "go1.25.14", toolchain: "go1.25.14", every: 2},
	{name: "go1.27.3", toolchain: "go1.27.3", every: 2},
	{name: "pie", flags: []string{"-buildmode=pie"}, every: 6},
	{name: "race", flags: []string{"-race"}, every: 8},
	{name: "cover", flags: []string{"-cover"}, every: 8},
	{name: "cgo", flags: []string{"-ldflags=-linkmode=external"}, cgo: true, every: 8},
	{name: "stripped", flags: []string{"-ldflags=-s -w"}, every: 8},
}

// variants returns the variants that the environment asks for by "all", or by names separated by commas.
func variants(t *testing.T) []variant {
	t.Helper()
	asked := os.Getenv("LIMEADE_TEST_MATRIX")
	switch asked {
	case "":
		return append([]variant{defaultVariant}, matrix...)
	case "all":
		all := append([]variant{defaultVariant}, matrix...)
		for i := range all {
			all[i].every = 0
		}
		return all
	}
	var chosen []variant
	for name := range strings.SplitSeq(asked, ",") {
		i := slices.IndexFunc(matrix, func(v variant) bool { return v.name == name })
		switch {
		case name == defaultVariant.name:
			chosen = append(chosen, defaultVariant)
		case i >= 0:
			v := matrix[i]
			v.every = 0
			chosen = append(chosen, v)
		default:
			t.Fatalf("LIMEADE_TEST_MATRIX: no variant %q", name)
		}
	}
	return chosen
}

func (v variant) env() []string {
	if v.toolchain == "" {
		return nil
	}
	return []string{"GOTOOLCHAIN=" + v.toolchain}
}

// release is the variant's Go release as numbers, {1, 26}.
func (v variant) release() [2]int {
	version := v.toolchain
	if version == "" {
		version = shared.goEnv["GOVERSION"]
	}
	return release(strings.TrimPrefix(version, "go"))
}

func release(version string) (r [2]int) {
	// A development version has no numbers; it counts as newer than all.
	if n, _ := fmt.Sscanf(version, "%d.%d", &r[0], &r[1]); n < 2 {
		return [2]int{99, 0}
	}
	return r
}

// sample returns the cases that the variant runs: all that it takes, or the first one of some rows.
func (v variant) sample(cases []*editCase) []*editCase {
	var list []*editCase
	seen := map[int]bool{}
	for _, c := range cases {
		if !v.takes(c) || v.every > 0 && (c.row%v.every != 0 || seen[c.row]) {
			continue
		}
		seen[c.row] = true
		list = append(list, c)
	}
	return list
}

// takes tells whether a case is run in the variant.
func (v variant) takes(c *editCase) bool {
	if c.goMin != "" && slices.Compare(sliceOf(v.release()), sliceOf(release(c.goMin))) < 0 {
		return false
	}
	only := false
	for _, name := range c.variants {
		if name == v.name {
			return true
		}
		if name == "!"+v.name {
			return false
		}
		only = only || !strings.HasPrefix(name, "!")
	}
	return !only
}

func sliceOf(r [2]int) []int { return r[:] }

// cgoFile joins main in the variant that has cgo.
const cgoFile = `package main

// static int limeade_case_one(void) { return 1; }
import "C"

func init() {
	if C.limeade_case_one() != 1 {
		panic("cgo does not work")
	}
}
`

// lay writes a case's first source to a directory of its own, and returns the
// directory that commands are run in.
func (v variant) lay(t *testing.T, c *editCase) (root, dir string) {
	t.Helper()
	root = tempDir(t)
	files := c.files
	if v.cgo {
		files = map[string]string{filepath.Join(c.dir, c.pkg, "zz_cgo.go"): cgoFile}
		for name, text := range c.files {
			files[name] = text
		}
	}
	if err := writeFiles(root, files); err != nil {
		t.Fatal(err)
	}
	return root, filepath.Join(root, c.dir)
}

// TestEdits makes the edit of every case in a running process, and holds
// verdict, answer and process to what the case says.
func TestEdits(t *testing.T) {
	bin, err := limeade()
	if err != nil {
		t.Fatal(err)
	}
	cases := loadCorpus(t)
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			n := 0
			for _, c := range v.sample(cases) {
				n++
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					b := &bench{v: v, c: c, bin: bin}
					b.check(t)
				})
			}
			t.Logf("%s: %d of %d cases", v.name, n, len(cases))
		})
	}
}

// bench is one case in one variant: its files, its program, its tool.
type bench struct {
	v         variant
	c         *editCase
	bin       string
	root, dir string
	env       []string
	program   *partner
	pid       int
}

func (b *bench) check(t *testing.T) {
	b.root, b.dir = b.v.lay(t, b.c)
	runtimeDir := tempDir(t)
	b.env = childEnv(runtimeDir, b.v.env()...)
	b.start(t, runtimeDir)
	defer b.program.kill()
	if err := b.program.converse(b.c.before, false); err != nil {
		t.Fatalf("before the edit: %v", err)
	}
	generation := 0
	b.pid = b.status(t, generation, nil)
	defer func() { _ = syscall.Kill(b.pid, syscall.SIGKILL) }()

	for i, s := range b.c.steps {
		step := fmt.Sprintf("step %d", i+1)
		if err := s.apply(b.root); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		s, checked := b.ask(t, s, step+": check", "check")
		if checked.Applied {
			t.Errorf("%s: check says applied", step)
		}
		b.status(t, generation, nil)
		_, refreshed := b.ask(t, s, step+": refresh", "refresh")
		if fmt.Sprint(checked.Edits) != fmt.Sprint(refreshed.Edits) {
			t.Errorf("%s: check and refresh list different edits:\n%v\n%v", step, checked.Edits, refreshed.Edits)
		}
		if refreshed.Applied != (s.applied == "yes") && s.applied != "any" {
			t.Errorf("%s: refresh: applied is %v, want %s", step, refreshed.Applied, s.applied)
		}
		if refreshed.Applied {
			generation++
		}
		if refreshed.Generation != generation && s.verdict != "error" {
			t.Errorf("%s: refresh: generation %d, want %d", step, refreshed.Generation, generation)
		}
		checkStale(t, s, step, refreshed)
		if err := b.program.converse(s.expect, false); err != nil {
			t.Fatalf("%s: after a refresh that said\n%v\nthe program: %v", step, describe(refreshed), err)
		}
		b.status(t, generation, &s)
	}

	rest, state, err := b.program.finish(answerPatience)
	if err != nil {
		t.Fatalf("at the end: %v", err)
	}
	if !slices.Equal(rest, b.c.end) {
		t.Errorf("after the end of its input the program says %q, want %q", rest, b.c.end)
	}
	if state.ExitCode() != 0 {
		t.Errorf("the program ended with %v\n%s", state, b.program.report())
	}
}

// start builds the program and starts it, by one of the two ways that there are.
func (b *bench) start(t *testing.T, runtimeDir string) {
	t.Helper()
	var err error
	if b.c.start == "build" {
		exe := filepath.Join(runtimeDir, "program")
		args := append([]string{"build", "-C", b.dir, "-o", exe}, b.v.flags...)
		built, err := runCommand(b.root, b.env, buildPatience, b.bin, append(args, b.c.pkg)...)
		if err != nil || built.code != 0 {
			t.Fatalf("limeade-lsp build: exit code %d, %v\n%s%s", built.code, err, built.stdout, built.stderr)
		}
		b.program, err = startPartner(b.dir, b.env, exe)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	args := append([]string{"run", "-C", b.dir}, b.v.flags...)
	b.program, err = startPartner(b.root, b.env, b.bin, append(args, b.c.pkg)...)
	if err != nil {
		t.Fatal(err)
	}
}

// ask runs check or refresh and holds its answer to the step, which it returns
// with the verdict decided.
func (b *bench) ask(t *testing.T, s editStep, step, verb string) (editStep, answer) {
	t.Helper()
	done, err := runCommand(b.root, b.env, answerPatience, b.bin, append([]string{verb, "-C", b.dir, "--json"}, s.flags...)...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", step, err, b.program.report())
	}
	var a answer
	if err := json.Unmarshal([]byte(done.stdout), &a); err != nil {
		t.Fatalf("%s: exit code %d, not the JSON of the contract: %v\n%s%s", step, done.code, err, done.stdout, done.stderr)
	}
	s = s.decided(a.verdict())
	want := map[string]int{"hot": 0, "caveat": 0, "restart": 1, "error": 2}[s.verdict]
	if done.code != want {
		t.Errorf("%s: exit code %d, want %d (verdict %s)\n%s%s", step, done.code, want, s.verdict, done.stdout, done.stderr)
	}
	for _, place := range s.errors {
		if !names(a, place) {
			t.Errorf("%s: the error at %s is not named\n%s", step, place, done.stdout)
		}
	}
	if s.verdict != "error" {
		checkEdits(t, s, step, a)
	}
	return s, a
}

// verdict is the gravest verdict of an answer's edits; none: hot.
func (a answer) verdict() string {
	gravest := 0
	for _, e := range a.Edits {
		gravest = max(gravest, slices.Index(verdictOrder, e.Verdict))
	}
	return verdictOrder[gravest]
}

// names tells whether an answer gives a place, file:line:column, as an edit or in its error.
func names(a answer, place string) bool {
	for _, e := range a.Edits {
		if fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column) == place {
			return true
		}
	}
	return says(a.Error, place)
}

// says looks for a place in a decoded JSON value: as a text, or as an object
// with a file, a line and a column.
func says(v any, place string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, place)
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return says(v, place) })
	case map[string]any:
		if fmt.Sprintf("%v:%v:%v", v["file"], v["line"], v["column"]) == place {
			return true
		}
		for _, field := range v {
			if says(field, place) {
				return true
			}
		}
	}
	return false
}

// incidental are the kinds of hot edits that say where code stands and what
// files say around it; an answer may have them or not.
var incidental = []string{
	"text", "line shift", "declarations reordered", "declaration moved", "file renamed", "file added", "file deleted",
	"same meaning", "blank declaration", "import", "import removed",
}

// checkEdits compares verdict and list of edits with what the step says: each
// wanted edit is there, each edit is wanted or incidental.
func checkEdits(t *testing.T, s editStep, step string, a answer) {
	t.Helper()
	for _, e := range a.Edits {
		if !slices.Contains(verdictOrder[:3], e.Verdict) {
			t.Errorf("%s: edit %v: verdict %q: not one of %v", step, e, e.Verdict, verdictOrder[:3])
		}
		if e.Decl == "" || e.Kind == "" || !strings.HasPrefix(e.Code, "LMD") || e.Message == "" {
			t.Errorf("%s: edit %v lacks a decl, kind, code or message", step, e)
		}
		if filepath.IsAbs(e.File) {
			t.Errorf("%s: edit %v: file is not relative to the module's root", step, e)
		}
	}
	if a.verdict() != s.verdict {
		t.Errorf("%s: verdict %s, want %s\n%s", step, a.verdict(), s.verdict, describe(a))
	}
	if s.noEdits && len(a.Edits) > 0 {
		t.Errorf("%s: edits %v, want none", step, a.Edits)
	}
	if s.edits == nil {
		return
	}
	for _, w := range s.edits {
		if !slices.ContainsFunc(a.Edits, w.matches) {
			t.Errorf("%s: no edit %q\n%s", step, w, describe(a))
		}
	}
	for _, e := range a.Edits {
		if e.Verdict == "hot" && slices.Contains(incidental, e.Kind) {
			continue
		}
		if !slices.ContainsFunc(s.edits, func(w wantedEdit) bool { return w.matches(e) }) {
			t.Errorf("%s: unwanted edit %v", step, e)
		}
	}
}

func checkStale(t *testing.T, s editStep, step string, a answer) {
	t.Helper()
	if s.noStale && len(a.Stale) > 0 {
		t.Errorf("%s: stale %v, want none", step, a.Stale)
	}
	for _, want := range s.stale {
		if !slices.Contains(a.Stale, want) {
			t.Errorf("%s: stale %v, want %v in it", step, a.Stale, want)
		}
	}
}

// status asks for the one process, and holds its generation and, after a step,
// its pending edits to what was done. It returns the process id.
func (b *bench) status(t *testing.T, generation int, s *editStep) int {
	t.Helper()
	done, err := runCommand(b.root, b.env, answerPatience, b.bin, "status", "-C", b.dir, "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, b.program.report())
	}
	var a statusAnswer
	if err := json.Unmarshal([]byte(done.stdout), &a); err != nil || done.code != 0 || len(a.Processes) != 1 {
		t.Fatalf("status: exit code %d, %d processes, %v\n%s%s\n%s",
			done.code, len(a.Processes), errors.Join(err), done.stdout, done.stderr, b.program.report())
	}
	p := a.Processes[0]
	if p.Generation != generation {
		t.Errorf("status: generation %d, want %d", p.Generation, generation)
	}
	if s == nil {
		return p.PID
	}
	if s.live() && len(p.Pending) > 0 {
		t.Errorf("status after a live refresh: pending %v", p.Pending)
	}
	if s.verdict == "restart" && len(p.Pending) == 0 {
		t.Error("status after a refused refresh: nothing is pending")
	}
	return p.PID
}

func describe(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d, applied %v, stale %v, error %v, edits:\n", a.Generation, a.Applied, a.Stale, a.Error)
	for _, e := range a.Edits {
		fmt.Fprintf(&b, "  %v: %s\n", e, e.Message)
	}
	return b.String()
}
