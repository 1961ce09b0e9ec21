package stub

import (
	"go/types"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// TestWrappers wants the methods that the compiler makes to be made again as in a build of the whole, and with
// them no method that is not asked for.
func TestWrappers(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	c := trap(t, tc, dir, "wrappers", archives["wrappers"])
	c.compileFull(t, build.FactFlags...)
	for _, tt := range []struct {
		typ, method string
		want        string // symbols
	}{
		{"Inner", "Get", "(*Inner).Get"},
		{"Inner", "Long", "(*Inner).Long"},
		{"Middle", "Get", "(*Middle).Get Middle.Get"},
		{"Middle", "Long", "(*Middle).Long Middle.Long"},
		{"Middle", "set", "(*Middle).set"},
		{"Outer", "Get", "(*Outer).Get Outer.Get"},
		{"Outer", "set", "(*Outer).set Outer.set"},
		{"Defined", "set", "(*Defined).set Defined.set"},
		{"Reads", "Read", "(*Reads).Read Reads.Read"},
		{"Kind", "String", "(*Kind).String"},
	} {
		t.Run(tt.typ+"."+tt.method, func(t *testing.T) {
			typ := c.pkg.Scope().Lookup(tt.typ).(*types.TypeName)
			obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(typ.Type()), true, c.pkg, tt.method)
			in := c.input()
			in.Facts = c.fact
			in.Wrappers = []Wrapper{{typ, obj.(*types.Func)}}
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			archive, _, err := c.compileStub(t, s)
			if err != nil {
				t.Fatal(err)
			}
			stub := c.read(t, archive)
			for _, name := range strings.Fields(tt.want) {
				full, made := text(c.full, linkPath(c.pkg)+"."+name), text(stub, linkPath(c.pkg)+"."+name)
				if full.IsZero() || made.IsZero() {
					t.Fatalf("%s is missing", name)
				}
				if code, tables := compareCode(full, made); code != "" || tables != "" {
					t.Errorf("%s differs: %s%s", name, code, tables)
				}
			}
			if other := text(stub, linkPath(c.pkg)+".(*"+tt.typ+").Other"); !other.IsZero() {
				t.Errorf("%v was not asked for", other)
			}
		})
	}
}

// TestBound wants the functions of method values to be made again.
func TestBound(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	c := trap(t, tc, dir, "wrappers", archives["wrappers"])
	c.compileFull(t, build.FactFlags...)
	for _, tt := range []struct {
		typ     string
		pointer bool
		method  string
		want    string
	}{
		{"Inner", false, "Get", "Inner.Get-fm"},
		{"Inner", true, "set", "(*Inner).set-fm"},
		{"Kind", false, "String", "Kind.String-fm"},
	} {
		typ := c.pkg.Scope().Lookup(tt.typ).(*types.TypeName)
		obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(typ.Type()), true, c.pkg, tt.method)
		in := c.input()
		in.Facts = c.fact
		in.Bound = []Binding{{Wrapper{typ, obj.(*types.Func)}, tt.pointer}}
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		archive, _, err := c.compileStub(t, s)
		if err != nil {
			t.Fatal(err)
		}
		name := linkPath(c.pkg) + "." + tt.want
		if got := in.Bound[0].LinkName(linkPath(c.pkg)); got != name {
			t.Errorf("link name is %s, want %s", got, name)
		}
		full, made := text(c.full, name), text(c.read(t, archive), name)
		if full.IsZero() || made.IsZero() {
			t.Fatalf("%s is missing", name)
		}
		if code, tables := compareCode(full, made); code != "" || tables != "" {
			t.Errorf("%s differs: %s%s", name, code, tables)
		}
	}
}

// text returns a function of the compiler's object.
func text(p *object.Package, name string) object.Sym {
	for _, o := range p.Objects {
		for i := range o.NumDefs() {
			if s := o.Sym(i); s.Kind() == object.Text && s.ABI() == 1 && s.Name() == name {
				return s
			}
		}
	}
	return object.Sym{}
}

// TestWrapperErrors wants to hear of what cannot be made.
func TestWrapperErrors(t *testing.T) {
	tc := newToolchain(t, "")
	_, archives, dir := loadTraps(t, tc)
	c := trap(t, tc, dir, "wrappers", archives["wrappers"])
	inner := c.pkg.Scope().Lookup("Inner").(*types.TypeName)
	kind := c.pkg.Scope().Lookup("Kind").(*types.TypeName)
	get, _, _ := types.LookupFieldOrMethod(inner.Type(), true, c.pkg, "Get")
	in := c.input()
	in.Wrappers = []Wrapper{{kind, get.(*types.Func)}}
	if _, err := Build(in); err == nil || err.Error() != "Kind.Get: the type has no such method" {
		t.Errorf("got error %v", err)
	}
	in = c.input()
	in.Keep = []*types.Func{types.NewFunc(0, c.pkg, "gone", types.NewSignatureType(nil, nil, nil, nil, nil, false))}
	if _, err := Build(in); err == nil || err.Error() != "example.com/trap/wrappers.gone: no function body to compile" {
		t.Errorf("got error %v", err)
	}
}
