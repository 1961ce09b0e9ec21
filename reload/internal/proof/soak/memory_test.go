package soak

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// resident is what a process holds in memory, in KB (proc(5), /proc/pid/status).
func resident(t *testing.T, pid int) int { return statusOf(t, pid, "VmRSS") }

// parent is the process that started another.
func parent(t *testing.T, pid int) int { return statusOf(t, pid, "PPid") }

func statusOf(t *testing.T, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatalf("%s: %q", field, line)
			}
			return n
		}
	}
	t.Fatalf("process %d: no %s", pid, field)
	return 0
}

// Bounds of what a soak may take. A patch is never unmapped, so that the program grows with each refresh, by the size of
// the patch and no more.
const (
	perRefresh = 128      // KB of the program, on average
	slack      = 48 << 10 // KB by which the sidecar may be larger in the last third than it was in the one before
)

// checkMemory holds the samples against the bounds.
func (s *soak) checkMemory() {
	const settled = 3 // refreshes, after which a program has mapped what it needs once
	grown, refreshes := 0, 0
	var from *sample
	for i := range s.memory {
		m := &s.memory[i]
		switch {
		case m.epoch < settled:
			from = nil
		case from == nil:
			from = m
		}
		if last := i == len(s.memory)-1 || s.memory[i+1].epoch < m.epoch; last && from != nil {
			grown += m.program - from.program
			refreshes += m.epoch - from.epoch
		}
	}
	highest := func(list []sample) (kb int) {
		for _, m := range list {
			kb = max(kb, m.sidecar)
		}
		return kb
	}
	third := len(s.memory) / 3
	first, second, last := highest(s.memory[:third]), highest(s.memory[third:2*third]), highest(s.memory[2*third:])
	s.t.Logf("memory: the program grows by %d KB in %d refreshes; limeade-lsp run takes at most %d, %d and %d MB in the thirds",
		grown, refreshes, first>>10, second>>10, last>>10)
	if grown > perRefresh*max(refreshes, 1) {
		s.t.Errorf("the program grows by more than %d KB for each refresh", perRefresh)
	}
	if last > max(first, second)+slack {
		s.t.Errorf("limeade-lsp run grows")
	}
}
