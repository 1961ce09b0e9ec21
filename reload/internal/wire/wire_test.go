package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/patch"
)

// The agent itself is the other side in reload/agent's tests. Here are servers that it would never be.

// place makes the directory of sockets for a test.
func place(t *testing.T) string {
	t.Helper()
	// A socket's path is short.
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if err := os.Mkdir(dir+"/limeade", 0o700); err != nil {
		t.Fatal(err)
	}
	return dir + "/limeade"
}

// serve listens as the agent of process pid and treats each connection as handle says.
func serve(t *testing.T, dir string, pid int, handle func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, patch.SocketName(pid)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handle(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l
}

// dead returns the pid of a process that has ended.
func dead(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestAnswers: whatever comes back, the error says what happened to which process.
func TestAnswers(t *testing.T) {
	self := os.Getpid()
	for _, test := range []struct {
		name   string
		handle func(net.Conn)
		want   string
	}{
		{"nothing", func(net.Conn) {}, "broke the conversation off"},
		{"half a frame", func(c net.Conn) { c.Write([]byte{9, 0, 0, 0, 1, 2}) }, "frame is cut short"},
		{"a huge frame", func(c net.Conn) { c.Write([]byte{255, 255, 255, 255, 1, 2}) }, "out of bounds"},
		{"another kind", func(c net.Conn) { c.Write(patch.StaleReply{}.Encode()) }, "answered with kind 132 instead of 129"},
		{"a short reply", func(c net.Conn) { c.Write([]byte{2, 0, 0, 0, byte(patch.KindHelloReply), 1}) }, "hello reply is cut short"},
		{"a refusal", func(c net.Conn) { c.Write((&patch.Error{Code: patch.Busy, Message: "come back later"}).Encode()) }, "come back later"},
		{"silence", func(c net.Conn) { c.Read(make([]byte, 64)); c.Read(make([]byte, 64)) }, "did not answer in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := place(t)
			serve(t, dir, self, test.handle)
			c, err := Dial(context.Background(), self)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			_, err = c.Hello(ctx)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			var refusal *patch.Error
			if isRefusal := errors.As(err, &refusal) && refusal.Code == patch.Busy; isRefusal != (test.name == "a refusal") {
				t.Errorf("error is %#v", err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		dir := place(t)
		ctx, cancel := context.WithCancel(context.Background())
		serve(t, dir, self, func(c net.Conn) {
			c.Read(make([]byte, 64))
			cancel()
			c.Read(make([]byte, 64))
		})
		c, err := Dial(ctx, self)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Hello(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want that it was cancelled", err)
		}
	})
}

// TestRefusalBeforeEnd: the answer of an agent that does not read to the end is found.
func TestRefusalBeforeEnd(t *testing.T) {
	dir := place(t)
	serve(t, dir, os.Getpid(), func(c net.Conn) {
		c.Write((&patch.Error{Code: patch.Busy, Message: "too many"}).Encode())
	})
	c, err := Dial(context.Background(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Apply(context.Background(), bytes.Repeat([]byte("x"), 8<<20))
	var refusal *patch.Error
	if !errors.As(err, &refusal) || refusal.Message != "too many" {
		t.Errorf("error is %v, want the refusal", err)
	}
}

// TestImpostor: a socket that another process listens at is not taken for the agent.
func TestImpostor(t *testing.T) {
	dir := place(t)
	pid := os.Getppid()
	serve(t, dir, pid, func(net.Conn) {})
	want := fmt.Sprintf("process %d: its socket is listened at by process %d", pid, os.Getpid())
	if _, err := Dial(context.Background(), pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

// TestNobody: every reason for which there is no agent has its own words.
func TestNobody(t *testing.T) {
	dir := place(t)
	gone := dead(t)
	for pid, want := range map[int]string{
		gone:         fmt.Sprintf("process %d does not exist", gone),
		os.Getppid(): fmt.Sprintf("process %d does not listen for patches", os.Getppid()),
	} {
		if _, err := Dial(context.Background(), pid); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	left := abandon(t, dir, gone)
	if _, err := Dial(context.Background(), gone); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("error is %v, want that it has ended", err)
	}
	if _, err := os.Lstat(left); err != nil {
		t.Errorf("Dial removed the socket: %v", err)
	}
	abandon(t, dir, os.Getpid())
	if _, err := Dial(context.Background(), os.Getpid()); err == nil || !strings.Contains(err.Error(), "does not listen at its socket any more") {
		t.Errorf("error is %v, want that nobody listens", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), gone); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("error is %v, want what to do about the directory", err)
	}
	if _, err := List(); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("error is %v, want what to do about the directory", err)
	}
}

// TestRemoved: a process whose socket somebody has removed is told from one that has none.
func TestRemoved(t *testing.T) {
	dir := place(t)
	serve(t, dir, os.Getpid(), func(net.Conn) {})
	if err := os.Remove(filepath.Join(dir, patch.SocketName(os.Getpid()))); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), os.Getpid()); err == nil || !strings.Contains(err.Error(), "was removed; restart it") {
		t.Errorf("error is %v, want that the socket was removed", err)
	}
	if list, err := List(); err != nil || !contains(list, dir) {
		t.Errorf("list is %v, %v, want the process whose socket was removed", list, err)
	}
}

// abandon leaves a socket that nobody listens at.
func abandon(t *testing.T, dir string, pid int) string {
	t.Helper()
	path := filepath.Join(dir, patch.SocketName(pid))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestList: processes by number; sockets of dead ones go, whatever else is there stays.
func TestList(t *testing.T) {
	dir := place(t)
	if list, err := List(); err != nil || contains(list, dir) {
		t.Errorf("list of nothing is %v, %v", list, err)
	}
	gone := abandon(t, dir, dead(t))
	mute := abandon(t, dir, os.Getppid()) // alive, and not listening: not ours to remove
	serve(t, dir, os.Getpid(), func(net.Conn) {})
	serve(t, dir, 1, func(net.Conn) {})
	for _, name := range []string{"4000000.sock", "x.sock", "007.sock", "12", "-3.sock", ".sock"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var got []Process
	for _, p := range list {
		if filepath.Dir(p.Socket) == dir {
			got = append(got, p)
		}
	}
	if len(got) != 2 || got[0].PID != 1 || got[1].PID != os.Getpid() {
		t.Errorf("list is %v, want 1 and %d", got, os.Getpid())
	}
	if _, err := os.Lstat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket of a dead process: %v", err)
	}
	if _, err := os.Lstat(mute); err != nil {
		t.Errorf("socket of a living process: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 9 {
		t.Errorf("directory holds %v, %v, want 9 entries", entries, err)
	}
}

func contains(list []Process, dir string) bool {
	for _, p := range list {
		if filepath.Dir(p.Socket) == dir {
			return true
		}
	}
	return false
}

// TestFullQueue: a listener whose queue is full is tried until the time is over, and listed.
func TestFullQueue(t *testing.T) {
	dir := place(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	path := filepath.Join(dir, patch.SocketName(os.Getpid()))
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, os.Getpid()); err == nil || !strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("error is %v, want that there was no answer", err)
	}
	if list, err := List(); err != nil || !contains(list, dir) {
		t.Errorf("list is %v, %v, want the busy process in it", list, err)
	}
}
