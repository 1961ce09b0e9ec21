package stub

import (
	"go/types"
	"strings"
	"testing"
)

// TestInit wants new variables to keep their initialisers, and to hear of others that had to.
func TestInit(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	c := trap(t, tc, dir, "vars", archives["vars"])
	in := c.input()
	for _, name := range []string{"table", "first", "handler"} {
		in.Init = append(in.Init, c.pkg.Scope().Lookup(name).(*types.Var))
	}
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	archive, _, err := c.compileStub(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if text(c.read(t, archive), linkPath(c.pkg)+".init").IsZero() {
		t.Error("the object has no init function")
	}
	var all strings.Builder
	for _, f := range s.Files {
		all.Write(f.Content)
	}
	for _, want := range []string{`{"a": nil}`, "first       = second + 1", "second int", "chan<- (<-chan int) { return nil }"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("the stub has no %q:\n%s", want, all.String())
		}
	}
	if len(s.Reinit) != 0 {
		t.Errorf("initialised again: %v", s.Reinit)
	}
	in.Init, in.Keep = nil, []*types.Func{c.lookup(t, "unexported")}
	if s, err = Build(in); err != nil {
		t.Fatal(err)
	}
	if len(s.Reinit) != 1 || s.Reinit[0].Name() != "hidden" {
		t.Errorf("initialised again: %v, want hidden", s.Reinit)
	}
}
