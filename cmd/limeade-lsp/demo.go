package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/server/session"
)

//go:embed demo.txtar
var demoFiles []byte

func demoCommand(args []string) int {
	if len(args) != 0 {
		return misused("usage: limeade-lsp demo")
	}
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := demo(ctx); err != nil {
		say("demo: %v", err)
		return 1
	}
	return 0
}

// demo is the main job on a real program: it fails unless every part of it was seen to work.
func demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "limeade-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := writeDemo(dir, "before/"); err != nil {
		return err
	}
	fmt.Println("A small HTTP server with a counter, a cache and an open connection is built and started with")
	fmt.Println("    limeade-lsp run .")
	server, err := startDemo(ctx, dir)
	if err != nil {
		return err
	}
	defer server.stop()

	client := &http.Client{Timeout: 10 * time.Second}
	get := func(name string) (string, error) { return fetch(ctx, client, server.addr, "hello?name="+name) }
	stats := func() (pid, conns int, err error) {
		line, err := fetch(ctx, client, server.addr, "stats")
		if err == nil {
			_, err = fmt.Sscanf(line, "process %d, connections %d", &pid, &conns)
		}
		return pid, conns, err
	}
	pid, _, err := stats()
	if err != nil {
		return err
	}
	var before []string
	for _, name := range []string{"ann", "bob", "ann"} {
		line, err := get(name)
		if err != nil {
			return err
		}
		before = append(before, line)
	}
	fmt.Printf("\nbefore\n")
	for _, line := range before {
		fmt.Println("    " + line)
	}
	if want := "Hello, ann! Visit 3, 2 people."; before[2] != want {
		return fmt.Errorf("the server said %q, and not %q", before[2], want)
	}

	fmt.Printf("\nTwo functions of greet/greet.go are edited, and\n    limeade-lsp refresh\n")
	if err := writeDemo(dir, "after/"); err != nil {
		return err
	}
	reply, err := session.Ask(ctx, session.Query{Verb: session.Refresh, Dirs: []string{dir}, PID: pid})
	if err != nil {
		return err
	}
	answer := reply.Answer(session.Query{})
	printAnswer(session.Refresh, answer)
	if !answer.Applied {
		return errors.New("the edit did not go live")
	}

	after, err := get("ann")
	if err != nil {
		return err
	}
	fmt.Printf("\nafter\n    %s\n", after)
	if want := "Welcome back, ann! That makes 4 visits by two people."; after != want {
		return fmt.Errorf("the server said %q, and not %q", after, want)
	}
	now, conns, err := stats()
	switch {
	case err != nil:
		return err
	case now != pid:
		return fmt.Errorf("process %d answers, and not %d", now, pid)
	case conns != 1:
		return fmt.Errorf("the client's connection was not kept: the server has seen %d", conns)
	}
	fmt.Printf("\nkept\n    process %d, its counter (4 visits), its cache (two people), the client's only connection\n", pid)
	fmt.Printf("\nphases\n    detect %.1f ms, check %.1f ms, compile %.1f ms, link %.1f ms, inject %.1f ms, in all %.1f ms; the program stood still for %.0f µs\n",
		answer.Phases.Detect, answer.Phases.Check, answer.Phases.Compile, answer.Phases.Link, answer.Phases.Inject, answer.Phases.Total, answer.Phases.Pause)
	return nil
}

// writeDemo writes the files of one state of the program.
func writeDemo(dir, state string) error {
	for _, f := range txtar.Parse(demoFiles).Files {
		name, ok := strings.CutPrefix(f.Name, state)
		if !ok {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// demoServer is the program, run by this program's own run command.
type demoServer struct {
	cmd  *exec.Cmd
	addr string
}

func startDemo(ctx context.Context, dir string) (*demoServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "run", ".")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &demoServer{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

func (s *demoServer) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait() // it ends by the signal
}

func fetch(ctx context.Context, client *http.Client, addr, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body)), err
}
