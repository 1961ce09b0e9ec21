package stub

import (
	"go/token"
	"go/types"
	"testing"
)

// TestStandIns makes stand-ins for all fields of all structs of many packages.
func TestStandIns(t *testing.T) {
	tc := newToolchain(t, "")
	tc.list(t, "", "net/http", "runtime/cgo", "text/template")
	im := &archiveImporter{&checked{listed: new(listed), tc: tc, fset: token.NewFileSet()}, make(map[string]*types.Package)}
	b := newBuilder(Input{Fset: token.NewFileSet(), Pkg: types.NewPackage("p", "p"), Info: new(types.Info)})
	structs, kept := 0, 0
	for path, p := range tc.packages {
		if p.Export == "" {
			continue
		}
		pkg, err := im.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pkg.Scope().Names() {
			obj, ok := pkg.Scope().Lookup(name).(*types.TypeName)
			if !ok {
				continue
			}
			named, ok := obj.Type().(*types.Named)
			if !ok || named.TypeParams().Len() > 0 {
				continue
			}
			s, ok := named.Underlying().(*types.Struct)
			if !ok {
				continue
			}
			structs++
			var fields, shaped []*types.Var
			for v := range s.Fields() {
				fields = append(fields, v)
				if b.replaceable(v.Type()) {
					shaped = append(shaped, b.standInField(v))
				} else {
					kept++
					shaped = append(shaped, v)
				}
			}
			if err := b.sameLayout(fields, shaped); err != nil {
				t.Errorf("%s.%s: %v", path, name, err)
			}
		}
	}
	if structs < 500 || kept == 0 {
		t.Errorf("only %d structs, %d fields that have no stand-in", structs, kept)
	}
}

// TestLayoutErrors compares structs that differ.
func TestLayoutErrors(t *testing.T) {
	b := newBuilder(Input{Fset: token.NewFileSet(), Pkg: types.NewPackage("p", "p"), Info: new(types.Info)})
	fields := func(list ...types.Type) (vars []*types.Var) {
		for i, t := range list {
			vars = append(vars, types.NewField(token.NoPos, nil, string(rune('a'+i)), t, false))
		}
		return vars
	}
	word, half, tiny, text := types.Typ[types.Int], types.Typ[types.Int32], types.Typ[types.Int8], types.Typ[types.String]
	for _, tt := range []struct {
		real, shaped []*types.Var
		want         string
	}{
		{fields(word, text), fields(word, text), ""},
		{fields(word), fields(half), "stand-in has size 4, not 8"},
		{fields(half, half, word), fields(half, word, half), "stand-in has size 24, not 16"},
		{fields(tiny, tiny, half), fields(tiny, types.Typ[types.Int16], half), "stand-in of field b has offset 2, not 1"},
		{fields(word), fields(bytePointer), "stand-in of field a has other pointer words"},
		{fields(types.NewArray(text, 2)), fields(types.NewArray(types.NewStruct(fields(word, bytePointer), nil), 2)),
			"stand-in of field a has other pointer words"},
	} {
		got := ""
		if err := b.sameLayout(tt.real, tt.shaped); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
