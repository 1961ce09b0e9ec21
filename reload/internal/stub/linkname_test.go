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

// TestLayoutNames wants the types that layouts are made of to have the names that the compiler gives them: it wrote each into
// the description of the type.
func TestLayoutNames(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	list := []*checked{trap(t, tc, dir, "generics", archives["generics"]), trap(t, tc, dir, "interfaces", archives["interfaces"]), trap(t, tc, dir, "shapes", archives["shapes"])}
	std := []string{"net/http", "encoding/json", "go/types", "text/template"}
	tc.list(t, ".", std...)
	for _, path := range std {
		list = append(list, tc.check(t, path))
	}
	for _, c := range list {
		c.compileFull(t)
		symbols := typeSymbols(c.full)
		b := newBuilder(c.input())
		names := 0
		check := func(of, name string) {
			if !strings.ContainsAny(name, "[({ ") && name != "" && !strings.Contains(name, linkPath(c.pkg)+".") {
				return // it is described in another object, and has a number here
			}
			if names++; name == "" || !symbols["type:"+name] {
				t.Errorf("%s: %s has %q in it, and the object has no such type", c.pkg.Path(), of, name)
			}
		}
		for _, l := range b.layouts() {
			if !symbols["type:"+l.Type] || l.Kind == "interface" && l.Partial {
				continue
			}
			for _, f := range l.Fields {
				check(l.Type+"."+f.Name, f.Type)
			}
			for _, m := range l.Methods {
				check(l.Type+"."+m.Name, m.Type)
			}
		}
		t.Logf("%s: %d names", c.pkg.Path(), names)
	}
}

// BenchmarkLayouts measures what the layouts of a large package take, beside the stub itself.
func BenchmarkLayouts(b *testing.B) {
	tc := newToolchain(b, "")
	tc.list(b, ".", "net/http")
	in := tc.check(b, "net/http").input()
	builder := newBuilder(in)
	for b.Loop() {
		builder.layouts()
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
