package image

import (
	"bytes"
	"debug/gosym"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// TestVariants builds one program in every way and with every Go version, and checks all
// that this package says of it.
func TestVariants(t *testing.T) {
	for _, tc := range toolchains {
		for _, v := range variants {
			t.Run(tc+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				p := build(t, tc, v)
				checkHead(t, p, tc, v)
				checkFuncs(t, p)
				blind := invert(p.im, p.lib, false)
				checkBlind(t, p, blind)
				checkIndex(t, p)
			})
		}
	}
}

func checkHead(t *testing.T, p program, toolchain string, v variant) {
	t.Helper()
	im := p.im
	if im.GoVersion != toolchain {
		t.Errorf("Go version is %q", im.GoVersion)
	}
	if strings.Count(im.BuildID, "/") != 3 {
		t.Errorf("build ID is %q", im.BuildID)
	}
	if pie := strings.HasSuffix(v.name, "pie"); im.PIE != pie || im.Race != (v.name == "race") || im.Stripped != v.stripped {
		t.Errorf("PIE %v, race %v, stripped %v", im.PIE, im.Race, im.Stripped)
	}
	// What the moduledata says must be what the symbol table says.
	md := &im.Module
	want := map[string]uint64{
		"runtime.firstmoduledata": md.Addr, "runtime.text": md.Text, "runtime.etext": md.EText,
		"runtime.types": md.Types, "runtime.etypes": md.ETypes, "runtime.rodata": md.ROData,
		"runtime.data": md.Data, "runtime.ebss": md.EBSS, "runtime.noptrdata": md.NoPtrData, "runtime.end": md.End,
		"runtime.pclntab": md.PCHeader, "go:func.*": md.GoFunc,
	}
	for s := range im.Symbols() {
		if addr, ok := want[s.Name]; ok && addr != s.Addr {
			t.Errorf("%s is %#x, the moduledata says %#x", s.Name, s.Addr, addr)
		}
	}
}

// checkFuncs compares the function tables with the standard library's reader of them.
func checkFuncs(t *testing.T, p program) {
	t.Helper()
	md := &p.im.Module
	tab, err := p.im.Bytes(md.PCHeader, int(md.PCLNTable.Addr+md.PCLNTable.Len-md.PCHeader))
	if err != nil {
		t.Fatal(err)
	}
	std, err := gosym.NewTable(nil, gosym.NewLineTable(tab, md.Text))
	if err != nil {
		t.Fatal(err)
	}
	if len(std.Funcs) != p.im.NumFuncs() {
		t.Fatalf("%d functions, debug/gosym has %d", p.im.NumFuncs(), len(std.Funcs))
	}
	i := 0
	for f := range p.im.Funcs() {
		s := std.Funcs[i]
		if f.Entry != s.Entry || f.End != s.End || f.Name() != s.Name {
			t.Fatalf("function %d is %s %#x–%#x, debug/gosym has %s %#x–%#x", i, f.Name(), f.Entry, f.End, s.Name, s.Entry, s.End)
		}
		lines, err := p.im.PCTable(f.Field(FieldPCLine))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range lines {
			pc := f.Entry + uint64(r.Start)
			file, line, ok := f.Position(pc)
			sFile, sLine, _ := std.PCToLine(pc)
			if i%17 == 0 && (file != sFile || int(line) != sLine || !ok) {
				t.Fatalf("%s+%#x is at %s:%d, debug/gosym has %s:%d", f.Name(), r.Start, file, line, sFile, sLine)
			}
		}
		if g, ok := p.im.FuncAt(f.Entry + (f.End-f.Entry)/2); f.End > f.Entry && (!ok || g != f) {
			t.Fatalf("FuncAt does not find %s", f.Name())
		}
		i++
	}
	caller, ok := p.im.FuncByName("main.caller")
	if !ok {
		t.Fatal("main.caller not found")
	}
	tree, err := caller.InlineTree()
	if err != nil || len(tree) == 0 {
		t.Errorf("inline tree of main.caller is %v, %v", tree, err)
	}
	for _, call := range tree {
		_, line, ok := caller.Position(caller.Entry + uint64(call.ParentPC))
		if call.Name != "main.inlined" || call.StartLine == 0 || !ok || line <= caller.StartLine() {
			t.Errorf("inlined call %+v at line %d", call, line)
		}
	}
}

// checkBlind checks what inverse relocation finds from pclntab alone, as in a stripped
// executable, against the symbol table if there is one.
func checkBlind(t *testing.T, p program, v *inversion) {
	t.Helper()
	for _, c := range v.stats.Conflicts {
		t.Errorf("conflict: %v", c)
	}
	found := make(map[object.Sym]uint64)
	addrs := make(map[uint64]bool)
	for _, pl := range v.places {
		if pl.addr != 0 {
			found[pl.sym], addrs[pl.addr] = pl.addr, true
		}
	}
	same, missed := 0, 0
	for s := range p.im.Symbols() {
		def := p.lib.Lookup(s.Name, object.ABI0)
		if s.Func {
			def = v.lookupFunc(s.Name)
		} else if def.Kind() == object.Text {
			continue
		}
		addr := found[p.lib.Resolve(def)]
		switch {
		case def.IsZero():
		case addr == 0:
			if missed++; missed < 10 {
				t.Logf("missed %v", def)
			}
		case addr != s.Addr:
			t.Errorf("%v is at %#x by relocation, at %#x by the symbol table", def, addr, s.Addr)
		default:
			same++
		}
	}
	t.Logf("without the symbol table: %d seeds, %d symbols, %d refused; the symbol table agrees in %d, has %d more",
		v.stats.Seeds, len(found), v.stats.Refused, same, missed)
	if p.im.Stripped != (same == 0) || missed > same/100 {
		t.Errorf("too few symbols of the symbol table were found")
	}

	// Everything that the linker lists has a name.
	var unnamed []string
	for f := range p.im.Funcs() {
		if name := f.Name(); !addrs[f.Entry] && p.funcs[name] {
			unnamed = append(unnamed, name)
		}
	}
	if len(unnamed) > 0 {
		t.Errorf("functions without a name: %v", unnamed)
	}
	links, err := p.im.Typelinks()
	if err != nil {
		t.Error(err)
	}
	if len(links) == 0 {
		links = v.unnamedTypes()
	}
	itabs, err := p.im.Itabs()
	if err != nil || len(itabs) < 10 {
		t.Errorf("%d itabs, %v", len(itabs), err)
	}
	for _, addr := range slices.Concat(links, itabs) {
		if !addrs[addr] {
			t.Errorf("type or itab at %#x has no name", addr)
		}
	}
	checkTables(t, p, v)
}

// checkTables compares what the linker made of the functions' tables with the objects.
func checkTables(t *testing.T, p program, v *inversion) {
	t.Helper()
	n := 0
	for _, pl := range v.places {
		if pl.addr == 0 || pl.def.Kind() != object.Text {
			continue
		}
		f, ok := p.im.FuncAt(pl.addr)
		if !ok || f.Entry != pl.addr {
			t.Errorf("%v at %#x is no function", pl.sym, pl.addr)
			continue
		}
		if pl.def.IsContentHashed() {
			continue // equal closures may stand in different files: any of them may have been linked
		}
		info, err := pl.def.DecodeFuncInfo()
		if err != nil {
			t.Error(err)
			continue
		}
		if info.StartLine != f.StartLine() || uint32(info.FuncID) != f.Field(FieldFuncID) || uint32(info.FuncFlag) != f.Field(FieldFlag) {
			t.Errorf("%v: start line, function ID or flag differ", pl.sym)
		}
		want := map[uint32]object.Sym{f.Field(FieldPCSP): pl.def.Pcsp(), f.Field(FieldPCLine): pl.def.Pcline(), f.Field(FieldPCFile): pl.def.Pcfile()}
		for i, s := range pl.def.Pcdata() {
			want[f.PCData(i)] = s
		}
		for off, s := range want {
			if off == 0 {
				continue
			}
			if data := s.Data(); !bytes.HasPrefix(p.im.funcs.pctab[off:], data) {
				t.Errorf("%v: table at %#x differs from the object's", pl.sym, off)
			}
		}
		if len(info.Files) > 0 {
			file, _, ok := f.Position(f.Entry)
			if !ok || !slices.ContainsFunc(info.Files, func(i int) bool {
				return strings.HasSuffix(file, strings.TrimPrefix(pl.def.Obj.File(i), "$GOROOT"))
			}) {
				t.Errorf("%v: file is %q", pl.sym, file)
			}
		}
		n++
	}
	if n < 1000 {
		t.Errorf("only %d functions compared", n)
	}
}

func checkIndex(t *testing.T, p program) {
	t.Helper()
	start := time.Now()
	ix, err := BuildIndex(p.im, p.lib)
	if err != nil {
		t.Fatal(err)
	}
	built := time.Since(start)
	for _, c := range ix.Stats.Conflicts {
		t.Errorf("conflict: %v", c)
	}
	start = time.Now()
	again, err := Decode(slices.Clone(ix.Encode()), p.im, p.lib)
	if err != nil {
		t.Fatal(err)
	}
	decoded := time.Since(start)
	s := ix.Stats
	t.Logf("index: %d symbols (%d functions, %d types, %d verified) of %d seeds, %d refused; %d bytes; built in %v, decoded in %v",
		s.Symbols, s.Functions, s.Types, s.Verified, s.Seeds, s.Refused, len(ix.Encode()), built, decoded)
	if !bytes.Equal(encode(invert(p.im, p.lib, !p.im.Stripped)), ix.Encode()) {
		t.Error("two indexes of one program differ")
	}
	if ix.TLSOffset() != -8 {
		t.Errorf("TLS offset is %d", ix.TLSOffset())
	}

	// What the index says must be what one finds by all of its ways.
	named := 0
	for e := range again.All("") {
		named++
		addrs := again.Addrs(e.Name, e.ABI)
		if !slices.Contains(addrs, e.Addr) {
			t.Fatalf("%s is at %#x in the list, %#x by name", e.Name, e.Addr, addrs)
		}
		if addr, ok := again.Addr(e.Name, e.ABI); ok != (len(addrs) == 1) || ok && addr != e.Addr {
			t.Fatalf("%s is at %#x in the list, %#x by name", e.Name, e.Addr, addr)
		}
	}
	if n, all := again.Len(); n != named || all < s.Symbols {
		t.Errorf("index has %d of %d names, %d of %d symbols", named, n, all, s.Symbols)
	}
	v := invert(p.im, p.lib, !p.im.Stripped)
	for _, pl := range v.places {
		if pl.def.IsZero() {
			continue
		}
		if addr, ok := again.AddrOf(pl.def); !ok || addr != pl.addr {
			t.Fatalf("%v is at %#x, the index says %#x %v", pl.def, pl.addr, addr, ok)
		}
	}
	for _, c := range []struct {
		name    string
		abi     uint16
		present bool
	}{
		{"main.main", object.ABIInternal, true},
		{"main.(*List[go.shape.int]).Sorted", object.ABIInternal, true},
		{"main.main.func2", object.ABIInternal, true},
		{"main.table", object.ABI0, true},
		{"main.Named.Unused", object.ABIInternal, false},
		{"type:*main.Square", object.ABI0, true},
		{"type:main.local·1", object.ABI0, true},
		{"go:itab.*main.Square,main.Shape", object.ABI0, true},
		{"example.com/prog/deep%2ev2.Twice", object.ABIInternal, true},
		{"example.com/prog/low.Add", object.ABI0, true},
		{"example.com/prog/low.Table", object.ABI0, true},
		{"example.com/prog/low.helper", object.ABIInternal, false},
		{"main.inlined", object.ABIInternal, false},
		{"runtime.firstmoduledata", object.ABI0, true},
		{"os..inittask", object.ABI0, true},
		{"main.map.init.0", object.ABIInternal, true},
		{"main.map.init.1", object.ABIInternal, false}, // main.never
	} {
		def := p.lib.Lookup(c.name, c.abi)
		if def.IsZero() && !p.funcs[c.name] && !strings.HasPrefix(c.name, "go:itab.") {
			t.Errorf("%s is not in the library", c.name)
		}
		addr, ok := again.Addr(c.name, c.abi)
		if ok != c.present {
			t.Errorf("%s: found %v at %#x", c.name, ok, addr)
		}
	}
	if len(slices.Collect(again.All("type:"))) < s.Types || len(slices.Collect(again.All("go:itab."))) < 10 {
		t.Error("list of types or itabs is too short")
	}
}
