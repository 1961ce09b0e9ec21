//go:build linux && amd64

package agent_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/wire"
	"github.com/limeade-go/limeade/reload/patch"
)

// A snapshot is all of a process that a refusal must not change.
type snapshot struct {
	hello patch.HelloReply
	image []byte // text and read-only data
	maps  string // the mappings of the executable and the arena
}

func (p *process) snapshot(c *wire.Client) snapshot {
	p.t.Helper()
	s := snapshot{hello: hello(p.t, c)}
	for _, prog := range p.b.file.Progs {
		if prog.Type.String() == "PT_LOAD" && prog.Flags&2 == 0 {
			s.image = append(s.image, p.memory(prog.Vaddr+p.bias, int(prog.Filesz))...)
		}
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	var last struct {
		hi   uint64
		prot string
	}
	for _, line := range strings.Split(string(maps), "\n") {
		var lo, hi uint64
		var prot string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &prot); err != nil || hi > s.hello.ArenaHi {
			continue
		}
		// The kernel does not merge what was written to with what was not.
		if lo != last.hi || prot != last.prot {
			s.maps += fmt.Sprintf("%x %s\n", lo, prot)
		}
		last.hi, last.prot = hi, prot
	}
	s.maps += fmt.Sprintf("%x\n", last.hi)
	return s
}

// unchanged compares the process with what it was.
func (p *process) unchanged(c *wire.Client, before snapshot, after string) {
	p.t.Helper()
	now := p.snapshot(c)
	if now.hello != before.hello {
		p.t.Errorf("after %s: hello is %+v, was %+v", after, now.hello, before.hello)
	}
	if !bytes.Equal(now.image, before.image) {
		p.t.Errorf("after %s: text or read-only data has changed", after)
	}
	if now.maps != before.maps {
		p.t.Errorf("after %s: mappings are\n%s\nwere\n%s", after, now.maps, before.maps)
	}
}

// TestRefusals: each is refused with its code, and leaves the process as it was.
func TestRefusals(t *testing.T) {
	for _, name := range []string{"go1.26", "go1.27", "pie"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			h := hello(t, c)
			p.bias = h.Bias
			lo, _ := p.symbol("main.answer")
			before := p.snapshot(c)
			for _, test := range []struct {
				name string
				edit func(q *patch.Patch)
				code patch.Code
				part string
			}{
				{"another build", func(q *patch.Patch) { q.BuildID += "x" }, patch.WrongBuild, "the process runs " + h.BuildID},
				{"another go", func(q *patch.Patch) { q.GoVersion = "go1.99" }, patch.WrongGo, "patch is for go1.99"},
				{"a later generation", func(q *patch.Patch) { q.Base, q.Next = 3, 4 }, patch.WrongGeneration, "the process is at 0"},
				{"unexpected bytes", func(q *patch.Patch) { q.Writes[0].Expect = []byte("abcde") }, patch.Mismatch, fmt.Sprintf("%#x", lo)},
				{"unexpected early bytes", func(q *patch.Patch) {
					q.Early = []patch.Write{{Addr: lo + 8, Expect: []byte("abcd"), New: []byte("abcd")}}
				}, patch.Mismatch, fmt.Sprintf("%#x", lo+8)},
				{"a place below the arena", func(q *patch.Patch) { q.Origin -= 4096 }, patch.NoMemory, "free is"},
				{"a place above the arena", func(q *patch.Patch) { q.Origin = h.ArenaHi - 4096; q.BSS = 4096 }, patch.NoMemory, "free is"},
				{"a write to the stack", func(q *patch.Patch) { q.Writes[0].Addr = 0x7ffff0000000 }, patch.Corrupt, "outside the program"},
				{"a write to nowhere", func(q *patch.Patch) { q.Writes[0].Addr = 8 }, patch.Corrupt, "outside the program"},
				{"a write to the free arena", func(q *patch.Patch) { q.Writes[0].Addr = h.ArenaNext }, patch.Corrupt, "outside the program"},
				{"a write across the end", func(q *patch.Patch) { q.Writes[0].Addr = h.ArenaNext - 2 }, patch.Corrupt, "outside the program"},
				{"two writes to one place", func(q *patch.Patch) {
					q.Writes = append(q.Writes, patch.Write{Addr: lo + 4, Expect: p.bytes(lo+4, 2), New: []byte{1, 2}})
				}, patch.Corrupt, "twice"},
				{"a wrong function", func(q *patch.Patch) { q.Runtime.StopTheWorldGC = lo }, patch.Corrupt, "runtime.stopTheWorldGC is not at"},
				{"the middle of a function", func(q *patch.Patch) { q.Runtime.ModulesInit += 16 }, patch.Corrupt, "runtime.modulesinit is not at"},
				{"a wrong range", func(q *patch.Patch) { q.Runtime.AsyncPreemptHi += 4096 }, patch.Corrupt, "does not end at"},
				{"a wrong variable", func(q *patch.Patch) { q.Runtime.FirstModuleData += 8 }, patch.Corrupt, "firstmoduledata is not at"},
				{"a variable out of reach", func(q *patch.Patch) { q.Runtime.AllGLen = 8 }, patch.Corrupt, "not in the program's data"},
				{"a wrong list", func(q *patch.Patch) { q.Runtime.AllGLen = q.Runtime.AllGPtr }, patch.Corrupt, "runtime.allgs does not list"},
				{"a wrong offset in g", func(q *patch.Patch) { q.Runtime.GStackHiOffset = 16 }, patch.Corrupt, "does not describe this runtime"},
				{"a huge offset in g", func(q *patch.Patch) { q.Runtime.GGoidOffset = 1 << 40 }, patch.Corrupt, "runtime.g has no offset"},
				{"a wrong offset in moduledata", func(q *patch.Patch) { q.Runtime.ModMinPCOffset = 8 }, patch.Corrupt, "runtime.moduledata has other offsets"},
				{"a huge offset in moduledata", func(q *patch.Patch) { q.Runtime.ModNextOffset = 1 << 40 }, patch.Corrupt, "runtime.moduledata has no offset"},
				{"a wrong link in moduledata", func(q *patch.Patch) { q.Runtime.ModNextOffset = q.Runtime.ModPctabOffset + 8 }, patch.Corrupt, ""},
				{"a wrong offset in _func", func(q *patch.Patch) { q.Runtime.FuncPcspOffset = 4 }, patch.Corrupt, ""},
				{"a wrong worldStop", func(q *patch.Patch) { q.Runtime.WorldStopSize = 24 }, patch.Corrupt, "runtime.worldStop"},
			} {
				q := p.newPatch(h, returns(42))
				p.detour(q, "main.answer", 0, 6)
				test.edit(q)
				t.Log(test.name)
				_, err := c.Apply(context.Background(), q.Encode())
				if test.part == "" {
					// What such a description finds is up to chance; it is not itself.
					var e *patch.Error
					if !errors.As(err, &e) || e.Code != test.code {
						t.Errorf("%s: error is %v, want %v", test.name, err, test.code)
					}
				} else {
					refused(t, err, test.code, test.part)
				}
				p.unchanged(c, before, test.name)
			}
			p.check("answer", "1")

			q := p.newPatch(h, returns(42))
			p.detour(q, "main.answer", 0, 6)
			encoded := q.Encode()
			for i := 0; i < len(encoded); i += 61 {
				damaged := bytes.Clone(encoded)
				damaged[i] ^= 1 << (i % 8)
				_, err := c.Apply(context.Background(), damaged)
				refused(t, err, patch.Corrupt, "patch")
				_, err = c.Apply(context.Background(), encoded[:i])
				refused(t, err, patch.Corrupt, "patch")
			}
			p.unchanged(c, before, "damaged patches")
			apply(t, c, q)
			p.check("answer", "42")
			// The same once more: another generation.
			_, err := c.Apply(context.Background(), encoded)
			refused(t, err, patch.WrongGeneration, "patch is for generation 0, the process is at 1")
			p.check("answer", "42")
		})
	}
}

// TestEarly: early writes stay when the patch succeeds and are taken back when it does not.
func TestEarly(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	h := hello(t, c)
	// Read-only data that nobody looks at while this test runs: the target's own name for a command.
	lo, _ := p.symbol("runtime.etypes")
	lo -= 64
	word := patch.Write{Addr: lo &^ 7, Expect: p.memory(lo&^7, 8), New: []byte("earlyhot")}
	before := p.snapshot(c)

	p.check("spin 1", "ok")
	q := p.newPatch(h, returns(42))
	p.detour(q, "main.spin", 0, 6)
	spin, end := p.symbol("main.spin")
	q.Windows = []patch.Window{{Lo: spin, Hi: end}}
	q.Early = []patch.Write{word}
	_, err := c.Apply(context.Background(), q.Encode())
	refused(t, err, patch.WindowBusy, "main.spin")
	p.unchanged(c, before, "a failed refresh")
	p.check("stop", "ok")

	q = p.newPatch(h, returns(42))
	q.Early = []patch.Write{word}
	apply(t, c, q)
	if got := p.memory(word.Addr, 8); string(got) != "earlyhot" {
		t.Errorf("early write left %q", got)
	}
}

// TestConversation: what is no request ends the conversation with an answer and no harm.
func TestConversation(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	before := p.snapshot(c)
	frame := func(length uint32, rest ...byte) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, length), rest...)
	}
	for _, test := range []struct {
		name  string
		bytes []byte
		part  string
	}{
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), "out of bounds"},
		{"an empty frame", frame(0, 0), "out of bounds"},
		{"a huge frame", frame(1<<32-1, 2), "out of bounds"},
		{"a promise", frame(patch.MaxFrame, 2, 'x'), "cut short"},
		{"half a length", []byte{1, 0}, "cut short"},
		{"an unknown kind", frame(1, 77), "kind 77 is unknown"},
		{"a reply", frame(1, byte(patch.KindHelloReply)), "is unknown"},
		{"too much", frame(2, byte(patch.KindHello), 1), "bytes left over"},
		{"a short patch", frame(5, byte(patch.KindApply), 9, 0, 0, 0), "cut short"},
		{"no patch", patch.Request{Kind: patch.KindApply}.Encode(), "magic"},
		{"a long source", patch.Request{Kind: patch.KindRollback, Source: strings.Repeat("x", 200)}.Encode(), "longer than"},
	} {
		conn, err := net.Dial("unix", p.socket())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(test.bytes); err != nil {
			t.Fatal(err)
		}
		// Who hangs up after a whole request takes it back; what is cut short is only known to be so then.
		hangUp := func() {
			if err := conn.(*net.UnixConn).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
				t.Fatal(err)
			}
		}
		if test.name == "a promise" || test.name == "half a length" {
			hangUp()
		}
		kind, payload, err := patch.ReadFrame(conn, patch.MaxReply)
		hangUp()
		if err != nil || kind != patch.KindError {
			t.Errorf("%s: answer is kind %d, %v", test.name, kind, err)
		} else if e := patch.DecodeError(payload); e.Code != patch.Corrupt || !strings.Contains(e.Message, test.part) {
			t.Errorf("%s: refusal is %v: %s, want %q", test.name, e.Code, e.Message, test.part)
		}
		if rest, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(rest) != 0 {
			t.Errorf("%s: after the refusal come %q, %v", test.name, rest, err)
		}
		conn.Close()
	}
	// A client that goes away without a word, or before its answer, leaves nothing behind.
	for range 50 {
		conn, err := net.Dial("unix", p.socket())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(patch.Request{Kind: patch.KindHello}.Encode()); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	p.unchanged(c, before, "strange clients")
	for range 1000 {
		if n := sockets(t, p.pid()); n == 2 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("target has %d sockets left, want 2", sockets(t, p.pid()))
}

// TestClients: of clients that patch at the same time one at a time gets through; the rest are told why not. Too many are
// turned away.
func TestClients(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	var clients []*wire.Client
	for range 8 {
		clients = append(clients, p.dial())
	}
	h := hello(t, clients[0])
	q := p.newPatch(h, returns(42))
	p.detour(q, "main.answer", 0, 6)
	encoded := q.Encode()
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = c.Apply(context.Background(), encoded)
		}()
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		var e *patch.Error
		switch {
		case err == nil:
			won++
		case !errors.As(err, &e) || e.Code != patch.Busy && e.Code != patch.WrongGeneration:
			t.Errorf("refusal is %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d clients got through, want 1", won, len(clients))
	}
	p.check("answer", "42")
	if h := hello(t, clients[7]); h.Generation != 1 {
		t.Errorf("generation is %d, want 1", h.Generation)
	}

	// A writer that waits for a window keeps others out, not those that only ask.
	p.check("spin 1", "ok")
	q = p.newPatch(hello(t, clients[0]), returns(1))
	p.detour(q, "main.spin", 0, 6)
	lo, hi := p.symbol("main.spin")
	q.Windows = []patch.Window{{Lo: lo, Hi: hi}}
	result := make(chan error, 1)
	go func() {
		_, err := clients[0].Apply(context.Background(), q.Encode())
		result <- err
	}()
	for {
		_, err := rollback(clients[1], 7, "")
		var e *patch.Error
		if errors.As(err, &e) && e.Code == patch.Busy {
			break
		}
		refused(t, err, patch.WrongGeneration, "") // the writer has not come yet
	}
	hello(t, clients[2])
	if got := stale(t, clients[3]); got != "[]" {
		t.Errorf("stale during a refresh: %s", got)
	}
	refused(t, <-result, patch.WindowBusy, "main.spin")
	p.check("stop", "ok")

	for range 8 {
		hello(t, p.dial())
	}
	_, err := p.dial().Hello(context.Background())
	refused(t, err, patch.Busy, "too many clients")
}

// TestStopped: a process that does not answer is described by what to do about it.
func TestStopped(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	hello(t, c)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.status(), "T (stopped)") {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := c.Hello(ctx)
	want := fmt.Sprintf("process %d is stopped (SIGSTOP); continue it with kill -CONT %d", p.pid(), p.pid())
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	list, err := wire.List()
	if err != nil || !listed(list, p.pid()) {
		t.Errorf("list is %v, %v, want the stopped process in it", list, err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	hello(t, p.dial())
	p.check("answer", "1")

	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
	if _, err := p.hello(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("error is %v, want that the process has ended", err)
	}
	list, err = wire.List()
	if err != nil || listed(list, p.pid()) {
		t.Errorf("list is %v, %v, want the dead process out of it", list, err)
	}
	if _, err := p.hello(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("error is %v, want that the process does not exist", err)
	}
	if _, err := wire.Dial(context.Background(), os.Getppid()); err == nil || !strings.Contains(err.Error(), "limeade-lsp") {
		t.Errorf("error is %v, want what to do about a process without agent", err)
	}
}

func (p *process) hello() (patch.HelloReply, error) {
	c, err := wire.Dial(context.Background(), p.pid())
	if err != nil {
		return patch.HelloReply{}, err
	}
	defer c.Close()
	return c.Hello(context.Background())
}

func (p *process) status() string {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func listed(list []wire.Process, pid int) bool {
	for _, l := range list {
		if l.PID == pid {
			return true
		}
	}
	return false
}

// TestOtherUser: neither the directory nor the agent lets another user in.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs a second user: run it as root, in a container for example")
	}
	p := start(t, build(t, "go1.26"), "serve")
	dir := filepath.Dir(p.socket())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory is %v, %v, want mode 0700", info.Mode(), err)
	}
	if info, err := os.Stat(p.socket()); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket is %v, %v, want mode 0600", info.Mode(), err)
	}
	// The helper is this test binary, where another user can reach it.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.MkdirTemp("", "limeade-knock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(public)
	helper := filepath.Join(public, "knock")
	if err := os.WriteFile(helper, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(public, 0o755); err != nil {
		t.Fatal(err)
	}
	knock := func(q patch.Request) string {
		t.Helper()
		cmd := exec.Command(helper, "knock", p.socket())
		cmd.Dir = "/"
		cmd.Stdin = bytes.NewReader(q.Encode())
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helper: %v\n%s", err, out)
		}
		return string(out)
	}
	if got := knock(patch.Request{Kind: patch.KindHello}); !strings.Contains(got, "permission denied") {
		t.Errorf("another user gets %q, want permission denied", got)
	}
	// As if the directory had been opened by somebody: the agent still looks at who comes.
	for path, mode := range map[string]os.FileMode{scratch: 0o711, dir: 0o711, p.socket(): 0o666} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(path, info.Mode().Perm())
	}
	own, err := net.Dial("unix", p.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ask := func(q patch.Request) (patch.Kind, []byte) {
		t.Helper()
		if _, err := own.Write(q.Encode()); err != nil {
			t.Fatal(err)
		}
		kind, payload, err := patch.ReadFrame(own, patch.MaxReply)
		if err != nil {
			t.Fatal(err)
		}
		return kind, payload
	}
	_, payload := ask(patch.Request{Kind: patch.KindHello})
	h, err := patch.DecodeHelloReply(payload)
	if err != nil {
		t.Fatal(err)
	}
	q := p.newPatch(h, returns(42))
	p.detour(q, "main.answer", 0, 6)
	good := patch.Request{Kind: patch.KindApply, Patch: q.Encode()}
	// What the process would take of its own user it does not take of another.
	for _, q := range []patch.Request{{Kind: patch.KindHello}, good, {Kind: patch.KindStale}} {
		if got := knock(q); got != "process belongs to another user\n" {
			t.Errorf("another user gets %q for request %d, want a refusal", got, q.Kind)
		}
	}
	p.check("answer", "1")
	if kind, _ := ask(good); kind != patch.KindApplyReply {
		t.Errorf("the same patch gets kind %d of the process's own user", kind)
	}
	p.check("answer", "42")
	if _, err := wire.Dial(context.Background(), p.pid()); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("client trusts a directory that is open to others: %v", err)
	}
}

// TestReplay: what was taken once is not taken again, in whatever generation, nor by another process.
func TestReplay(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	h := hello(t, c)
	q := p.newPatch(h, returns(42))
	p.detour(q, "main.answer", 0, 6)
	apply(t, c, q)
	replay := func(want string) {
		t.Helper()
		before := p.snapshot(c)
		_, err := c.Apply(context.Background(), q.Encode())
		refused(t, err, patch.WrongGeneration, "the process is at "+want)
		p.unchanged(c, before, "a replayed patch")
	}
	replay("1")
	if _, err := rollback(c, 1, "back"); err != nil {
		t.Fatal(err)
	}
	p.check("answer", "1")
	replay("2")
	before := p.snapshot(c)
	_, err := c.Rollback(context.Background(), h.BuildID, 1, "back")
	refused(t, err, patch.WrongGeneration, "the process is at 2")
	_, err = c.Rollback(context.Background(), h.BuildID+"x", 2, "back")
	refused(t, err, patch.WrongBuild, "the process runs "+h.BuildID)
	p.unchanged(c, before, "a replayed and a forged rollback")
	p.check("answer", "1")

	other := start(t, build(t, "pie"), "serve")
	d := other.dial()
	other.bias = hello(t, d).Bias
	before = other.snapshot(d)
	_, err = d.Apply(context.Background(), q.Encode())
	refused(t, err, patch.WrongBuild, "patch is for the build "+h.BuildID)
	other.unchanged(d, before, "a patch for another program")
}

// knock sends its standard input to a socket and prints what comes of it. It runs as another user.
func knock(socket string) int {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Println(err)
		return 0
	}
	// The agent may have refused already.
	_, _ = io.Copy(conn, os.Stdin)
	kind, payload, err := patch.ReadFrame(conn, patch.MaxReply)
	switch {
	case err != nil:
		fmt.Println(err)
	case kind == patch.KindError:
		fmt.Println(patch.DecodeError(payload).Message)
	default:
		fmt.Printf("kind %d, %d bytes\n", kind, len(payload))
	}
	return 0
}

// TestSocketPlace: a socket is made only where nobody else can; the program runs in any case.
func TestSocketPlace(t *testing.T) {
	b := build(t, "go1.26")
	fallback := patch.SocketDirs("", os.Geteuid())[0]
	serve := func(t *testing.T, runtimeDir string) (stderr string, pid int) {
		cmd := exec.Command(b.path, "busy")
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtimeDir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || out.String() != "done\n" {
			t.Errorf("target said %q, %v", &out, err)
		}
		os.Remove(filepath.Join(fallback, patch.SocketName(cmd.Process.Pid)))
		return errs.String(), cmd.Process.Pid
	}
	exists := func(dir string, pid int) bool {
		_, err := os.Lstat(filepath.Join(dir, patch.SocketName(pid)))
		return err == nil
	}
	t.Run("its own directory", func(t *testing.T) {
		dir := t.TempDir()
		if errs, pid := serve(t, dir); errs != "" || !exists(dir+"/limeade", pid) {
			t.Errorf("no socket in %s: %s", dir, errs)
		}
	})
	for name, make := range map[string]func(dir string) error{
		"a symbolic link": func(dir string) error { return os.Symlink(os.TempDir(), dir) },
		"a file":          func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"an open directory": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o755)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := make(dir + "/limeade"); err != nil {
				t.Fatal(err)
			}
			if errs, pid := serve(t, dir); errs != "" || exists(dir+"/limeade", pid) {
				t.Errorf("target listens in %s, which is %s: %s", dir, name, errs)
			}
		})
	}
	t.Run("a long path", func(t *testing.T) {
		dir := t.TempDir() + "/" + strings.Repeat("long", 25)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if errs, _ := serve(t, dir); errs != "" {
			t.Errorf("target says %q, want it to listen elsewhere", errs)
		}
	})
}
