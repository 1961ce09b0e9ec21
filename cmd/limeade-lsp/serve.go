package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/limeade-go/limeade/server"
)

// stdio is what a language server talks to its client with. The input is its own file: os.Stdin is not in the runtime's
// poller, and closing it would not end a read.
type stdio struct{ in *os.File }

func (s stdio) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (s stdio) Close() error                { return s.in.Close() }

// memoryGoal is what the collector tries to stay below: an editor has other tools beside it that need memory. Below it the
// collector runs half as often as by default, since it takes time from keystrokes. GOMEMLIMIT and GOGC in the environment come
// first.
const (
	memoryGoal = 160 << 20
	garbage    = 200 // in percent of what is in use (runtime/debug, SetGCPercent)
)

func serveCommand(args []string) int {
	for _, arg := range args {
		if arg != "--stdio" && arg != "-stdio" { // what clients add
			return misused("serve: unexpected argument %q", arg)
		}
	}
	tool, err := os.Executable()
	if err != nil {
		say("%v", err)
		return 3
	}
	in := os.Stdin
	if fd, err := syscall.Dup(0); err == nil && syscall.SetNonblock(fd, true) == nil {
		in = os.NewFile(uintptr(fd), "standard input")
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	signal.Ignore(syscall.SIGPIPE) // a client that is gone is seen by its closed input
	ctx, stop := interruptible()
	defer stop()
	return server.New(server.Options{Tool: tool, Version: version(), Log: os.Stderr}).Serve(ctx, stdio{in})
}

// version is that of the module that this program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
