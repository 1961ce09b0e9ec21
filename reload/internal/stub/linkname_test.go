package stub

import (
	"go/types"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// typeSymbols returns the names of all type descriptors that an object defines or refers to.
func typeSymbols(p *object.Package) map[string]bool {
	names := make(map[string]bool)
	for _, o := range p.Objects {
		for i := range o.NumSyms() {
			if name := o.Sym(i).Name(); strings.HasPrefix(name, "type:") {
				names[name] = true
			}
		}
	}
	return names
}

// TestTypeNames wants the names of types to be those that the compiler gives them.
func TestTypeNames(t *testing.T) {
	tc := newToolchain(t, "")
	names, archives, dir := loadTraps(t, tc)
	for _, name := range names {
		c := trap(t, tc, dir, name, archives[name])
		c.compileFull(t, append(embedFlags(t, c), build.FactFlags...)...)
		symbols := typeSymbols(c.full)
		asked := make(map[string]bool)
		in := c.input()
		in.Keep = c.funcs()
		in.HostHasType = func(name string) bool { asked[name] = true; return true }
		if _, err := Build(in); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.pkg.Scope().Names() {
			obj, ok := c.pkg.Scope().Lookup(n).(*types.TypeName)
			if !ok || obj.IsAlias() || obj.Type().(*types.Named).TypeParams().Len() > 0 || !isMethodSet(obj.Type()) {
				continue
			}
			if link := "type:" + linkPath(c.pkg) + "." + n; !symbols[link] {
				t.Errorf("the object has no %s", link)
			}
		}
		for link := range asked {
			if strings.Contains(link, "[") && !symbols[link] {
				t.Logf("%s is not in the object", link) // an array need not have a descriptor
			}
		}
		if name == "generics" && !asked["type:example.com/trap/generics.Pair[string,int]"] {
			t.Errorf("%s: an instance was not asked for", name)
		}
	}
	for path, want := range map[string]string{
		"example.com/go.mod/x.y-z": "example.com/go.mod/x%2ey-z",
		"a b/\x7f%":                "a%20b/%7f%25",
		"plain":                    "plain",
	} {
		if got := linkPath(types.NewPackage(path, "p")); got != want {
			t.Errorf("link path of %q is %q, want %q", path, got, want)
		}
	}
}

func isMethodSet(t types.Type) bool {
	iface, ok := t.Underlying().(*types.Interface)
	return !ok || iface.IsMethodSet()
}

// TestNewTypes wants types to be whole that the host lacks.
func TestNewTypes(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	for _, tt := range []struct {
		archive, fn, lacks string
		has                []string
		whole              string
	}{
		{"shapes", "(*Big).first", "shapes.Big", []string{"request http.Request", "func (b *Big) lock()"}, "Big"},
		{"shapes", "(*Outer).hides", "shapes.Outer", []string{"*Embedded", "bytes.Buffer", "func (d *Deeper) dive() int"}, "Outer"},
		{"shapes", "equalArray", "[3]example.com/trap/shapes.Part", []string{"rest float64"}, ""},
		{"generics", "push", "generics.List[example.com/trap/generics.Item]", []string{"func (l *List[T]) unused() *other { return nil }"}, "List"},
	} {
		c := trap(t, tc, dir, tt.archive, archives[tt.archive])
		in := c.input()
		in.Keep = []*types.Func{c.lookup(t, tt.fn)}
		in.HostHasType = func(name string) bool { return !strings.HasSuffix(name, tt.lacks) }
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.compileStub(t, s); err != nil {
			t.Errorf("%s: %v", tt.fn, err)
		}
		var text strings.Builder
		for _, f := range s.Files {
			text.Write(f.Content)
		}
		for _, has := range tt.has {
			if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), has) {
				t.Errorf("without %s, the stub of %s has no %q:\n%s", tt.lacks, tt.fn, has, text.String())
			}
		}
		if tt.whole != "" && s.Shaped[linkPath(c.pkg)+"."+tt.whole] {
			t.Errorf("without %s, %s is shaped", tt.lacks, tt.whole)
		}
	}
}
