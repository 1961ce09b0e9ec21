//go:build linux && amd64

package agent_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is what the agent may bring into a program besides what package runtime brings along.
var allowed = []string{
	"cmp", "errors", "hash", "hash/crc32", "io", "iter", "math/bits", "slices", "sort", "strconv", "sync", "sync/atomic",
	"syscall", "unicode/utf8",
	"github.com/limeade-go/limeade/reload/agent",
	"github.com/limeade-go/limeade/reload/agent/internal/rt",
	"github.com/limeade-go/limeade/reload/patch",
}

// TestImports: each import of the agent joins the user's program.
func TestImports(t *testing.T) {
	for _, p := range deps(t, "github.com/limeade-go/limeade/reload/agent") {
		if !slices.Contains(allowed, p) && !strings.HasPrefix(p, "internal/") && p != "runtime" && p != "unsafe" {
			t.Errorf("the agent imports %s, which is not on its list", p)
		}
	}
	for _, p := range deps(t, "github.com/limeade-go/limeade/reload/patch") {
		if strings.HasSuffix(p, "/agent") || strings.HasSuffix(p, "/rt") || p == "syscall" || p == "os" {
			t.Errorf("package patch imports %s", p)
		}
	}
}

func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}
