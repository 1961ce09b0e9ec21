package session

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/limeade-go/limeade/reload"
)

// The test binary is also what another user runs: it asks at a socket and prints what it is told. And it is what stands between
// the go command and its tools.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "toolexec" {
		os.Exit(reload.Toolexec(os.Args[2:]))
	}
	if len(os.Args) == 3 && os.Args[1] == "knock" {
		os.Exit(knock(os.Args[2]))
	}
	os.Exit(m.Run())
}

func knock(path string) int {
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println(err)
		return 0
	}
	_ = json.NewEncoder(conn).Encode(Query{Verb: GetState, Dirs: []string{"/"}}) // it may be hung up already
	said, err := io.ReadAll(conn)
	fmt.Printf("%q %v\n", said, err)
	return 0
}

// TestOtherUser: a service answers its own user alone, also where somebody has opened its directory.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs a second user: run it as root, in a container for example")
	}
	dir := runtimeDir(t)
	s := New()
	defer s.Close()
	svc, err := s.serve(os.Getpid(), &Runner{})
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	if info, err := os.Stat(svc.path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket is %v, %v, want mode 0600", info.Mode(), err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	public := t.TempDir()
	helper := filepath.Join(public, "knock")
	if err := os.WriteFile(helper, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for d := public; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	as := func(uid uint32) string {
		t.Helper()
		cmd := exec.Command(helper, "knock", svc.path)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helper: %v\n%s", err, out)
		}
		return string(out)
	}
	const other = 65534
	if got := as(other); !strings.Contains(got, "permission denied") {
		t.Errorf("another user gets %s, want permission denied", got)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o711, dir: 0o711, svc.path: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := as(other); !strings.HasPrefix(got, `"" `) {
		t.Errorf("another user gets %s, want nothing", got)
	}
	if got := as(0); !strings.HasPrefix(got, `"\n{`) {
		t.Errorf("this user gets %s, want an answer", got)
	}
}
