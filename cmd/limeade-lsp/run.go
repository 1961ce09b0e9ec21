package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/limeade-go/limeade/reload"
	"github.com/limeade-go/limeade/server/session"
)

// buildRequest is what run and build share.
type buildRequest struct {
	options     reload.BuildOptions
	args        []string // of the program
	autoRestart bool
}

// parseBuild reads "[-C DIR] [-o FILE] [--auto-restart] [build flags] PACKAGE [-- ARGS]".
func parseBuild(args []string) (buildRequest, error) {
	var r buildRequest
	flags, target, rest := reload.SplitBuildArgs(args)
	for i := 0; i < len(flags); i++ {
		name, value, joined := cutFlag(flags[i])
		if name == "auto-restart" && !joined {
			r.autoRestart = true
			continue
		}
		if name != "C" && name != "o" {
			r.options.Flags = append(r.options.Flags, flags[i])
			continue
		}
		if !joined {
			if i++; i == len(flags) {
				return r, errors.New("flag -" + name + " needs a value")
			}
			value = flags[i]
		}
		if name == "C" {
			r.options.Dir = value
		} else {
			r.options.Output = value
		}
	}
	if len(target) == 0 {
		target = []string{"."}
	}
	r.options.Target = target
	r.args = rest
	if r.options.Output != "" {
		out, err := filepath.Abs(r.options.Output)
		if err != nil {
			return r, err
		}
		r.options.Output = out
	}
	return r, nil
}

// compileFailed is go build's own answer in exit codes of this tool.
func buildFailed(err error) int {
	var source *reload.CompileError
	if errors.As(err, &source) {
		os.Stderr.WriteString(source.Output)
		return 2
	}
	say("%v", err)
	return 3
}

func newBuild(r buildRequest) (*reload.Program, error) {
	tool, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, stop := interruptible()
	defer stop()
	return reload.NewBuild(ctx, tool, r.options)
}

// tidy keeps the store of builds from growing. That it cannot is no reason not to run a program.
func tidy(p *reload.Program) {
	if err := p.Tidy(); err != nil {
		say("%v", err)
	}
}

func buildCommand(args []string) int {
	r, err := parseBuild(args)
	if err != nil {
		return misused("build: %v", err)
	}
	if len(r.args) > 0 {
		return misused("build: arguments after -- are for a program that is started; use run")
	}
	if r.autoRestart {
		return misused("build: flag --auto-restart is for run")
	}
	if r.options.Output == "" {
		r.options.Output, err = defaultOutput(r.options)
		if err != nil {
			return misused("build: %v", err)
		}
	}
	program, err := newBuild(r)
	if err != nil {
		return buildFailed(err)
	}
	tidy(program)
	return 0
}

func runCommand(args []string) int {
	r, err := parseBuild(args)
	if err != nil {
		return misused("run: %v", err)
	}
	if r.options.Output != "" {
		return misused("run: flag -o is for build")
	}
	program, err := newBuild(r)
	if err != nil {
		return buildFailed(err)
	}
	go tidy(program)
	runner := &session.Runner{
		Args: r.args,
		Build: func(ctx context.Context) (*reload.Program, error) {
			tool, err := os.Executable()
			if err != nil {
				return nil, err
			}
			return reload.NewBuild(ctx, tool, r.options)
		},
		Auto: r.autoRestart,
		Say:  say,
	}
	code, err := runner.Run(program)
	if err != nil {
		say("%v", err)
	}
	return code
}
