package stub

import (
	"slices"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/build"
)

func TestFlows(t *testing.T) {
	for _, tt := range []struct {
		way  string
		want flow
	}{
		{"heap", flow{to: toHeap}},
		{"content level=2", flow{to: toHeap, derefs: 2}},
		{"result 1 level=3", flow{to: toResult, result: 1, derefs: 3}},
		{"mutates derefs=0", flow{to: toMutator}},
		{"calls derefs=1", flow{to: toCallee, derefs: 1}},
		{"something new level=5", flow{to: toHeap}},
		{"content level=x", flow{to: toHeap}},
		{"", flow{to: toHeap}},
	} {
		got := Fact{Params: [][]string{nil, {tt.way}}}.flows()
		if tt.want.param = 1; len(got) != 1 || got[0] != tt.want {
			t.Errorf("%q: got %v, want %v", tt.way, got, tt.want)
		}
	}
}

// TestHollow asks the compiler about hollow functions, and wants the facts that they were made of.
func TestHollow(t *testing.T) {
	tc := newToolchain(t, "")
	tc.list(t, "", "text/template")
	for _, path := range []string{"text/template", "fmt"} {
		c := tc.check(t, path)
		c.compileFull(t, build.FactFlags...)
		in := c.input()
		in.Keep = sample(c.funcs(), 12)
		in.Facts = c.fact
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		archive, _, err := c.compileStub(t, s, build.FactFlags...)
		if err != nil {
			t.Fatal(err)
		}
		files := make(map[string][]byte)
		for _, f := range s.Files {
			files[f.Name] = f.Content
		}
		facts := c.parseFacts(t, files, c.messages(archive))
		if len(s.Hollow) < 10 {
			t.Errorf("%s: only %d hollow functions", path, len(s.Hollow))
		}
		for _, fn := range s.Hollow {
			want, _ := c.fact(linkFunc(fn))
			got := facts[linkFunc(fn)]
			if got == nil || got.CanInline || !sameWays(got.Params, want.Params) {
				t.Errorf("%s: hollow has %v, not %v", linkFunc(fn), got, want)
			}
		}
	}
}

// sameWays compares ways, but for those that the compiler does not tell from a leak as deep
// (cmd/compile/internal/escape/leaks.go, Optimize, Go 1.26).
func sameWays(x, y [][]string) bool {
	covered := func(ways, by []flow) bool {
		return !slices.ContainsFunc(ways, func(w flow) bool {
			return !slices.ContainsFunc(by, func(v flow) bool {
				same := v.to == w.to && v.result == w.result || v.to == toHeap
				return v.param == w.param && same && v.derefs <= w.derefs
			})
		})
	}
	a, b := Fact{Params: x}.flows(), Fact{Params: y}.flows()
	return covered(a, b) && covered(b, a)
}
