package object

import (
	"testing"
)

// FuzzObject reads archives of any bytes, and asks of their symbols all that one can.
// testdata/fuzz has what compiler and assembler made of a few lines.
func FuzzObject(f *testing.F) {
	tables, err := LoadTables(goCommand(f, ".", "local", "env", "GOROOT"))
	if err != nil {
		f.Fatal(err)
	}
	anyVersion := *tables
	anyVersion.version = ""
	f.Fuzz(func(t *testing.T, data []byte) {
		base := NewLibrary(&anyVersion)
		if _, err := base.addArchive("p", data); err != nil {
			return
		}
		over := base.Overlay()
		if _, err := over.addArchive("p", data); err != nil {
			t.Fatalf("added once, but not again: %v", err)
		}
		for _, l := range []*Library{base, over} {
			for _, o := range l.Objects() {
				o.Imports()
				for i := -1; i <= o.NumSyms(); i++ {
					visit(t, l, o.Sym(i))
				}
				for i := -1; i <= o.NumFiles(); i++ {
					o.File(i)
				}
			}
		}
	})
}

func visit(t *testing.T, l *Library, s Sym) {
	if c := l.Resolve(s); !c.IsZero() && !c.IsDef() {
		t.Fatalf("%v resolves to %v, which is no definition", s, c)
	}
	if s.Align() == 1<<31 || s.Size() == 1<<31 || s.Local() || s.Typelink() || s.ReflectMethod() || s.IsGoType() ||
		s.UsedInIface() || s.IsItab() || s.IsDict() || s.IsPkgInit() || s.IsLinkname() || s.IsABIWrapper() || s.NoSplit() {
		_ = s.String()
	}
	for d := range l.Definitions(s.Name(), s.ABI()) {
		_ = d.Data()
	}
	n := 0
	for r := range s.Relocs() {
		if r != s.Reloc(n) {
			t.Fatalf("%v: relocation %d is %v or %v", s, n, r, s.Reloc(n))
		}
		_ = r.Sym.String() + r.Sym.ImportedFrom() + r.Type.String()
		l.Resolve(r.Sym)
		n++
	}
	if n != s.NumRelocs() || s.Reloc(n) != (Reloc{}) {
		t.Fatalf("%v has %d relocations, not %d", s, n, s.NumRelocs())
	}
	for _, list := range [][]Sym{s.Funcdata(), s.Pcdata(), {s.Gotype(), s.Pcsp(), s.Pcfile(), s.Pcline(), s.Pcinline()}} {
		for _, aux := range list {
			_ = aux.Data()
			l.Resolve(aux)
		}
	}
	if info, err := s.DecodeFuncInfo(); err == nil {
		for _, call := range info.InlTree {
			l.Resolve(call.Func)
		}
	}
}
