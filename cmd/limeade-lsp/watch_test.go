package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWatchInTerminal: in a terminal, watch shows the state of the program below what was done, drawn anew at each
// change, and leaves the latter there when ctrl-c ends it.
func TestWatchInTerminal(t *testing.T) {
	bin, err := limeade()
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	env := childEnv(tempDir(t), "TERM=xterm")
	main := filepath.Join(dir, "main.go")
	write := func(v, count string) {
		t.Helper()
		text := fmt.Sprintf("package main\n\nimport \"fmt\"\n\nvar count %s\n\nfunc main() {\n\tvar line string\n\tfor {\n"+
			"\t\tif _, err := fmt.Scanln(&line); err != nil {\n\t\t\treturn\n\t\t}\n\t\tfmt.Println(answer())\n\t}\n}\n\n"+
			"//go:noinline\nfunc answer() string {\n\tcount++\n\treturn fmt.Sprint(%s, count)\n}\n", count, v)
		if err := os.WriteFile(main, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/app\n\ngo 1.25\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	write(`"v1 "`, "int")
	app, err := startPartner(dir, env, bin, "run", ".")
	if err != nil {
		t.Fatal(err)
	}
	defer app.kill()
	if err := app.converse(dialogue{{input: "a", answers: []string{"v1 1"}}}, false); err != nil {
		t.Fatal(err)
	}
	tty := newTerminal(t, 12)
	watch := exec.Command(bin, "watch", "-C", dir)
	tty.start(t, watch, env)
	tty.await(t, "process * of example.com/app is watched, at generation 0", "─ *  example.com/app  generation 0 since *  runs what the files say")

	write(`"v2 "`, "int")
	tty.await(t, "process * is watched*", "process * is at generation 1  (*", "  hot  LMD0001  main.answer  main.go:18  *",
		"─ *  example.com/app  generation 1 since *  * ms  runs what the files say")

	// What is pending stands in the state, with the reason, and goes with it.
	write(`"v3 "`, "int64")
	tty.await(t, "process * is watched*", "process * is at generation 1  (*", "  hot  LMD0001 *",
		"─ *  generation 1 *  does not run what the files say", "  restart  LMD0405  main.count   main.go:5   *", "  hot      LMD0001  main.answer  main.go:18  *",
		"  a restart is required by main.count (LMD0405); nothing was changed")
	write("v3", "int")
	tty.await(t, "process * is watched*", "process * is at generation 1  (*", "  hot  LMD0001 *",
		"─ *  does not run what the files say", "  main.go:20:*: undefined: v3", "  the source does not compile; nothing was changed")
	write(`"v4 "`, "int")
	tty.await(t, "process * is watched*", "process * is at generation 1  (*", "  hot  LMD0001 *", "process * is at generation 2  (*",
		"  hot  LMD0001 *", "─ *  generation 2 *  runs what the files say")
	if err := app.converse(dialogue{{input: "a", answers: []string{"v4 2"}}}, false); err != nil {
		t.Fatal(err)
	}

	if _, err := tty.master.Write([]byte{3}); err != nil { // ctrl-c
		t.Fatal(err)
	}
	tty.await(t, "process * is watched*", "process * is at generation 1  (*", "  hot  LMD0001 *", "process * is at generation 2  (*",
		"  hot  LMD0001 *")
	if err := watch.Wait(); err != nil {
		t.Errorf("watch: %v", err)
	}
}

// A terminal is what a person sees: lines, to the end of the last. It knows what watch uses.
type terminal struct {
	master, slave *os.File

	mu      sync.Mutex
	lines   []string
	at      int // line of the cursor, which is at its end
	unknown string
	changed chan struct{}
}

func newTerminal(t *testing.T, rows uint16) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 60}); err != nil {
		t.Fatal(err)
	}
	tty := &terminal{master: master, slave: slave, lines: []string{""}, changed: make(chan struct{}, 1)}
	go tty.read()
	return tty
}

// start starts a command for which this is the controlling terminal.
func (tty *terminal) start(t *testing.T, cmd *exec.Cmd, env []string) {
	t.Helper()
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.slave, tty.slave, tty.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all went well
}

func (tty *terminal) read() {
	in := bufio.NewReader(tty.master)
	for {
		r, _, err := in.ReadRune()
		if err != nil {
			return
		}
		tty.mu.Lock()
		switch r {
		case '\r':
		case '\n':
			if tty.at++; tty.at == len(tty.lines) {
				tty.lines = append(tty.lines, "")
			}
		case '\x1b':
			tty.control(in)
		default:
			tty.lines[tty.at] += string(r)
		}
		tty.mu.Unlock()
		select {
		case tty.changed <- struct{}{}:
		default:
		}
	}
}

func (tty *terminal) control(in *bufio.Reader) {
	var seq strings.Builder
	for {
		r, _, err := in.ReadRune()
		if err != nil {
			return
		}
		seq.WriteRune(r)
		if r >= '@' && r != '[' {
			break
		}
	}
	switch s := seq.String(); {
	case s == "[?7l", s == "[?7h":
	case strings.HasSuffix(s, "A"):
		n, err := strconv.Atoi(strings.Trim(s, "[A"))
		if err != nil || n > tty.at {
			tty.unknown = s
			return
		}
		tty.at -= n
	case s == "[J":
		tty.lines = tty.lines[:tty.at+1]
		tty.lines[tty.at] = ""
	default:
		tty.unknown = s
	}
}

// await waits until the screen shows lines that match the patterns, and nothing else but what a typed ctrl-c leaves.
func (tty *terminal) await(t *testing.T, patterns ...string) {
	t.Helper()
	timeout := time.After(answerPatience)
	for {
		tty.mu.Lock()
		var lines []string
		for _, line := range tty.lines {
			if line != "" && line != "^C" {
				lines = append(lines, line)
			}
		}
		unknown := tty.unknown
		tty.mu.Unlock()
		if unknown != "" {
			t.Fatalf("control sequence %q", unknown)
		}
		same := len(lines) == len(patterns)
		for i := range lines {
			same = same && matchStars(patterns[i], lines[i])
		}
		if same {
			return
		}
		select {
		case <-tty.changed:
		case <-timeout:
			t.Fatalf("the screen is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(patterns, "\n"))
		}
	}
}
