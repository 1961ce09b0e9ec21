package main_test

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCasesAreSound proves with the go command alone that the corpus tells the
// truth about Go: the source of every step compiles (or fails where it must),
// the first build answers as told, also after a refused step, and a fresh
// build of a live step's source, which is told the same inputs from its start,
// gives the answers that TestEdits wants of the refreshed process. It is so
// the third oracle of TestEdits: refreshed process = case = fresh build.
func TestCasesAreSound(t *testing.T) {
	cases := loadCorpus(t)
	for _, v := range variants(t) {
		if len(v.flags) > 0 {
			continue // its answers are those of the plain build
		}
		t.Run(v.name, func(t *testing.T) {
			list := cases
			if v.every > 0 {
				list = v.sample(cases)
			}
			for _, c := range list {
				if !v.takes(c) && !v.takesPlain(c) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					checkSound(t, v, c)
				})
			}
		})
	}
}

// takesPlain tells whether a case that is restricted to a variant of flags can
// be shown sound by a plain build on the local toolchain.
func (v variant) takesPlain(c *editCase) bool {
	return v.name == defaultVariant.name && variant{}.takes(&editCase{goMin: c.goMin})
}

func checkSound(t *testing.T, v variant, c *editCase) {
	root, dir := v.lay(t, c)
	env := childEnv(tempDir(t), v.env()...)
	// Symbols and debug information are most of a link, and not needed here.
	build := func(t *testing.T, exe string) {
		t.Helper()
		built, err := runCommand(dir, env, buildPatience, "go", "build", "-ldflags=-s -w", "-o", exe, c.pkg)
		if err != nil || built.code != 0 {
			t.Fatalf("go build: %v\n%s%s", err, built.stdout, built.stderr)
		}
	}
	exe := filepath.Join(tempDir(t), "before")
	build(t, exe)
	refused := slices.IndexFunc(c.steps, editStep.live)
	if refused < 0 {
		refused = len(c.steps)
	}
	told := slices.Clone(c.before)
	for _, s := range c.steps[:refused] {
		told = append(told, s.expect...)
	}
	var end []string
	if refused == len(c.steps) {
		end = c.end
	}
	playOut(t, "the first build", exe, dir, env, nil, told, end, refused == len(c.steps))

	told = slices.Clone(c.before)
	for i, s := range c.steps {
		if err := s.apply(root); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
		step := fmt.Sprintf("step %d", i+1)
		switch {
		case s.verdict == "error":
			failed, err := runCommand(dir, env, buildPatience, "go", "build", "-ldflags=-s -w", "-o", exe, c.pkg)
			if err != nil || failed.code == 0 {
				t.Fatalf("%s: compiles, %v", step, err)
			}
			for _, place := range s.errors {
				if file, _, _ := strings.Cut(path.Base(place), ":"); strings.Contains(failed.stderr, "import cycle not allowed") && strings.Contains(failed.stderr, " from "+file) {
					continue // of cycles the go command names the files alone
				}
				if !strings.Contains(failed.stderr, place) {
					t.Errorf("%s: the go command has no error at %s\n%s", step, place, failed.stderr)
				}
			}
		case s.live() && c.fresh:
			exe := filepath.Join(tempDir(t), "after")
			build(t, exe)
			last := i == len(c.steps)-1
			playOut(t, step+", built afresh", exe, dir, env, told, s.expect, c.end, last)
		default:
			compiled, err := runCommand(dir, env, buildPatience, "go", "list", "-export", "-f", "{{.Name}}", c.pkg)
			if err != nil || compiled.code != 0 {
				t.Fatalf("%s: does not compile: %v\n%s", step, err, compiled.stderr)
			}
		}
		told = append(told, s.expect...)
	}
}

// playOut starts a program, replays the inputs of replay with no regard to the
// answers, and then holds it to a dialogue, and to what it says at its end.
func playOut(t *testing.T, what, exe, dir string, env []string, replay, d dialogue, end []string, checkEnd bool) {
	t.Helper()
	p, err := startPartner(dir, env, exe)
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	for _, x := range replay {
		if err := p.say(x.input); err != nil {
			t.Fatalf("%s: replay of %q: %v\n%s", what, x.input, err, p.report())
		}
		for range x.answers {
			if _, err := p.hear(answerPatience); err != nil {
				t.Fatalf("%s: replay of %q: %v", what, x.input, err)
			}
		}
	}
	if err := p.converse(d, replay != nil); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	rest, state, err := p.finish(answerPatience)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if checkEnd && !slices.Equal(rest, end) {
		t.Errorf("%s: after the end of its input it says %q, want %q", what, rest, end)
	}
	if state.ExitCode() != 0 {
		t.Errorf("%s: ended with %v\n%s", what, state, p.report())
	}
}
