package reload

import (
	"slices"
	"strings"
	"testing"
)

// TestWays compares what two bodies let escape of a parameter.
func TestWays(t *testing.T) {
	ways := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ", ")
	}
	for _, test := range []struct {
		a, b     string
		covers   bool // whoever relies on a may call what does b
		coveredB bool
		both     string
	}{
		{"", "", true, true, ""},
		{"heap", "", true, false, ""},
		{"heap", "heap", true, true, "heap"},
		{"heap", "mutates derefs=0", true, false, "mutates derefs=0"},
		{"heap", "content level=1, mutates derefs=0", true, false, "content level=1, mutates derefs=0"},
		{"heap", "result 0 level=0", true, false, "result 0 level=0"},
		{"heap", "calls derefs=0", true, false, "calls derefs=0"},
		{"heap", "uintptr", false, false, ""},
		{"heap", "kept", false, false, ""},
		{"heap", "captured x", false, false, ""},
		{"content level=1", "content level=2", true, false, "content level=2"},
		{"content level=1", "mutates derefs=0", false, false, ""},
		{"content level=1", "mutates derefs=1", true, false, "mutates derefs=1"},
		{"content level=1, mutates derefs=0", "mutates derefs=0, result 0 level=2", true, false, "mutates derefs=0, result 0 level=2"},
		{"mutates derefs=0", "mutates derefs=1", true, false, "mutates derefs=1"},
		{"mutates derefs=0", "calls derefs=0", false, false, ""},
		{"result 0 level=0", "result 1 level=0", false, false, ""},
		{"result 0 level=0", "content level=1", false, false, ""},
		{"captured x, kept", "captured x", true, false, "captured x"},
	} {
		a, b := ways(test.a), ways(test.b)
		if got := covers(a, b); got != test.covers {
			t.Errorf("%q covers %q: %t", test.a, test.b, got)
		}
		if got := covers(b, a); got != test.coveredB {
			t.Errorf("%q covers %q: %t", test.b, test.a, got)
		}
		for _, both := range [][]string{tighter(a, b), tighter(b, a)} {
			if !slices.Equal(both, ways(test.both)) {
				t.Errorf("tighter of %q and %q is %q, want %q", test.a, test.b, both, test.both)
			}
		}
	}
}
