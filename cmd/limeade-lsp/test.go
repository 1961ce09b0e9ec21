package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/server/retest"
)

func testCommand(args []string) int {
	fresh, verbose := false, false
	before, after := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		before, after = args[:i:i], args[i:]
	}
	before = slices.DeleteFunc(slices.Clone(before), func(arg string) bool {
		fresh = fresh || arg == "-fresh" || arg == "--fresh"
		verbose = verbose || arg == "-v"
		return arg == "-fresh" || arg == "--fresh" || arg == "-v"
	})
	for _, arg := range before {
		if name, _, _ := cutFlag(arg); strings.HasPrefix(arg, "-") && retest.IsTestFlag(name) {
			return misused("test: %s is a flag of the tests: they follow the packages and --, as in limeade-lsp test ./... -- -run TestName", arg)
		}
	}
	r, err := parseBuild(append(before, after...))
	switch {
	case err != nil:
		return misused("test: %v", err)
	case r.options.Output != "" || r.autoRestart:
		return misused("test: flags -o and --auto-restart are not for it")
	}
	if verbose { // of the tests, as go test has it
		r.args = append([]string{"-v"}, r.args...)
	}
	for _, target := range r.options.Target {
		if strings.HasSuffix(target, ".go") {
			return misused("test: %s is no package", target)
		}
	}
	dir, err := filepath.Abs(r.options.Dir)
	if err != nil {
		return misused("test: %v", err)
	}
	tool, err := os.Executable()
	if err != nil {
		say("%v", err)
		return 3
	}
	ctx, stop := interruptible()
	defer stop()
	passed, err := retest.Run(ctx, retest.Options{
		Dir: dir, Tool: tool, Flags: r.options.Flags, Packages: r.options.Target, Args: r.args, Fresh: fresh, Out: os.Stdout,
	})
	switch {
	case err != nil:
		say("test: %v", err)
		return 3
	case !passed:
		return 1
	}
	return 0
}
