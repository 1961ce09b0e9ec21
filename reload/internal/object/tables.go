package object

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Tables holds the numbers of one toolchain's object format. It is immutable.
type Tables struct {
	version string // first line of GOROOT/VERSION; "" in a development tree

	kinds    [256]Kind
	relocs   [512]RelocType // by number, without the weak bit
	weakBit  uint16
	builtins []builtin

	flags symFlags
	obj   objFlags
	aux   auxTypes
	pkg   pkgIndexes
	abi   uint16 // SymABIstatic
}

// builtin is a runtime symbol that objects refer to by its number.
type builtin struct {
	name string
	abi  uint16
}

// symFlags are the bits of a symbol's two flag bytes.
type symFlags struct {
	dupok, local, typelink, noSplit, reflectMethod, goType uint8 // Flag
	usedInIface, itab, dict, pkgInit, linkname, abiWrapper uint8 // Flag2
}

// objFlags are the bits of the header's flag word.
type objFlags struct {
	shared, fromAssembly, unlinkable uint32
}

// auxTypes are the auxiliary symbols' types that are of use here.
type auxTypes struct {
	gotype, funcInfo, funcdata, pcsp, pcfile, pcline, pcinline, pcdata uint8
}

// pkgIndexes are the special package indexes of a symref.
type pkgIndexes struct {
	none, hashed64, hashed, builtin, self uint32
}

// LoadTables reads the object format's numbers from the sources of the toolchain at
// goroot: cmd/internal/objabi/{reloctype,symkind}.go and
// cmd/internal/goobj/{objfile,builtinlist}.go. It fails when that toolchain's format
// is laid out in another way than this package reads.
func LoadTables(goroot string) (*Tables, error) {
	dir := filepath.Join(goroot, "src", "cmd", "internal")
	t := new(Tables)
	if v, err := os.ReadFile(filepath.Join(goroot, "VERSION")); err == nil {
		t.version, _, _ = strings.Cut(string(v), "\n")
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("toolchain version: %w", err)
	}
	steps := []struct {
		file string
		read func(*Tables, *ast.File, constants) error
	}{
		{"objabi/reloctype.go", (*Tables).readRelocs},
		{"objabi/symkind.go", (*Tables).readKinds},
		{"goobj/objfile.go", (*Tables).readFormat},
		{"goobj/builtinlist.go", (*Tables).readBuiltins},
	}
	for _, s := range steps {
		path := filepath.Join(dir, filepath.FromSlash(s.file))
		file, consts, err := parseConstants(path)
		if err != nil {
			return nil, fmt.Errorf("object format of %s: %w", goroot, err)
		}
		if err := s.read(t, file, consts); err != nil {
			return nil, fmt.Errorf("object format: %s: %w", path, err)
		}
	}
	return t, nil
}

// Version returns the toolchain's version, such as "go1.26.8", or "" when its GOROOT
// has no VERSION file.
func (t *Tables) Version() string { return t.version }

// Builtin returns the name and ABI of the i-th builtin symbol.
func (t *Tables) Builtin(i int) (name string, abi uint16, ok bool) {
	if i < 0 || i >= len(t.builtins) {
		return "", 0, false
	}
	return t.builtins[i].name, t.builtins[i].abi, true
}

// RelocNumber returns the number that objects of this toolchain give to a relocation
// type, without the weak bit.
func (t *Tables) RelocNumber(r RelocType) (uint16, bool) {
	for n, typ := range t.relocs {
		if typ == r {
			return uint16(n), true
		}
	}
	return 0, false
}

// constants are the package-level constants of one file.
type constants map[string]constant.Value

// parseConstants evaluates the constants of a file on its own. Errors of type checking
// (its imports are not read) do not matter: a constant that depends on them is absent.
func parseConstants(path string) (*ast.File, constants, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	conf := types.Config{
		IgnoreFuncBodies: true,
		Importer:         noImporter{},
		Error:            func(error) {},
	}
	pkg, _ := conf.Check(file.Name.Name, fset, []*ast.File{file}, nil)
	consts := make(constants)
	if pkg != nil {
		for _, name := range pkg.Scope().Names() {
			if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && c.Val().Kind() != constant.Unknown {
				consts[name] = c.Val()
			}
		}
	}
	return file, consts, nil
}

// noImporter refuses all imports.
type noImporter struct{}

func (noImporter) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("%s: not imported", path)
}

func (c constants) int(name string) (int64, error) {
	v, ok := c[name]
	if !ok {
		return 0, fmt.Errorf("constant %s not found", name)
	}
	n, ok := constant.Int64Val(constant.ToInt(v))
	if !ok {
		return 0, fmt.Errorf("constant %s is %s, not an integer", name, v)
	}
	return n, nil
}

// bind stores constants into variables of the width that the format gives them.
func bind[T uint8 | uint16 | uint32](c constants, vars map[string]*T) error {
	for name, p := range vars {
		n, err := c.int(name)
		if err != nil {
			return err
		}
		if int64(T(n)) != n {
			return fmt.Errorf("constant %s is %d, does not fit its field", name, n)
		}
		*p = T(n)
	}
	return nil
}

func (t *Tables) readRelocs(_ *ast.File, c constants) error {
	weak, err := c.int("R_WEAK")
	if err != nil {
		return err
	}
	t.weakBit = uint16(weak)
	for name, typ := range relocNames {
		n, err := c.int(name)
		if err != nil {
			return err
		}
		if n < 0 || n >= int64(len(t.relocs)) {
			return fmt.Errorf("relocation %s has the number %d", name, n)
		}
		t.relocs[n] = typ
	}
	return nil
}

func (t *Tables) readKinds(_ *ast.File, c constants) error {
	for name := range c {
		n, err := c.int(name)
		if err != nil || n < 0 || n >= int64(len(t.kinds)) {
			return fmt.Errorf("symbol kind %s is out of range", name)
		}
		switch plain := strings.TrimSuffix(name, "FIPS"); {
		case strings.HasPrefix(name, "SDWARF"):
			t.kinds[n] = DWARF
		default:
			t.kinds[n] = kindNames[plain] // Unknown when absent
		}
	}
	for name := range kindNames {
		if _, ok := c[name]; !ok {
			return fmt.Errorf("symbol kind %s not found", name)
		}
	}
	return nil
}

func (t *Tables) readFormat(_ *ast.File, c constants) error {
	if m := c["Magic"]; m == nil || m.Kind() != constant.String || constant.StringVal(m) != magic {
		return fmt.Errorf("magic is %v, this reader knows %q only", m, magic)
	}
	want := map[string]int64{
		"stringRefSize": stringSize, "SymSize": symSize, "RelocSize": relocSize, "AuxSize": auxSize,
		"RefNameSize": refNameSize, "RefFlagsSize": refFlagsSize, "Hash64Size": hash64Size, "HashSize": hashSize,
		"BlkAutolib": blkAutolib, "BlkPkgIdx": blkPkgIdx, "BlkFile": blkFile, "BlkSymdef": blkSymdef,
		"BlkHashed64def": blkHashed64def, "BlkHasheddef": blkHasheddef, "BlkNonpkgdef": blkNonpkgdef,
		"BlkNonpkgref": blkNonpkgref, "BlkRefFlags": blkRefFlags, "BlkHash64": blkHash64, "BlkHash": blkHash,
		"BlkRelocIdx": blkRelocIdx, "BlkAuxIdx": blkAuxIdx, "BlkDataIdx": blkDataIdx, "BlkReloc": blkReloc,
		"BlkAux": blkAux, "BlkData": blkData, "BlkRefName": blkRefName, "BlkEnd": blkEnd,
	}
	for name, n := range want {
		got, err := c.int(name)
		if err != nil {
			return err
		}
		if got != n {
			return fmt.Errorf("%s is %d, this reader knows %d only", name, got, n)
		}
	}
	f, o, a, p := &t.flags, &t.obj, &t.aux, &t.pkg
	return errors.Join(
		bind(c, map[string]*uint8{
			"SymFlagDupok": &f.dupok, "SymFlagLocal": &f.local, "SymFlagTypelink": &f.typelink,
			"SymFlagNoSplit": &f.noSplit, "SymFlagReflectMethod": &f.reflectMethod, "SymFlagGoType": &f.goType,
			"SymFlagUsedInIface": &f.usedInIface, "SymFlagItab": &f.itab, "SymFlagDict": &f.dict,
			"SymFlagPkgInit": &f.pkgInit, "SymFlagLinkname": &f.linkname, "SymFlagABIWrapper": &f.abiWrapper,
			"AuxGotype": &a.gotype, "AuxFuncInfo": &a.funcInfo, "AuxFuncdata": &a.funcdata, "AuxPcsp": &a.pcsp,
			"AuxPcfile": &a.pcfile, "AuxPcline": &a.pcline, "AuxPcinline": &a.pcinline, "AuxPcdata": &a.pcdata,
		}),
		bind(c, map[string]*uint32{
			"ObjFlagShared": &o.shared, "ObjFlagFromAssembly": &o.fromAssembly, "ObjFlagUnlinkable": &o.unlinkable,
			"PkgIdxNone": &p.none, "PkgIdxHashed64": &p.hashed64, "PkgIdxHashed": &p.hashed,
			"PkgIdxBuiltin": &p.builtin, "PkgIdxSelf": &p.self,
		}),
		bind(c, map[string]*uint16{"SymABIstatic": &t.abi}),
	)
}

// readBuiltins reads the elements {"name", abi} of the variable builtins.
func (t *Tables) readBuiltins(file *ast.File, _ constants) error {
	var list *ast.CompositeLit
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && v.Names[0].Name == "builtins" {
			list, _ = v.Values[0].(*ast.CompositeLit)
		}
		return list == nil
	})
	if list == nil || len(list.Elts) == 0 {
		return errors.New("list of builtins not found")
	}
	for i, e := range list.Elts {
		elem, ok := e.(*ast.CompositeLit)
		if !ok || len(elem.Elts) != 2 {
			return fmt.Errorf("builtin %d is not a pair", i)
		}
		name, ok1 := elem.Elts[0].(*ast.BasicLit)
		abi, ok2 := elem.Elts[1].(*ast.BasicLit)
		if !ok1 || !ok2 {
			return fmt.Errorf("builtin %d is not a pair of literals", i)
		}
		s, err := strconv.Unquote(name.Value)
		if err != nil {
			return fmt.Errorf("builtin %d: %w", i, err)
		}
		n, err := strconv.ParseUint(abi.Value, 0, 16)
		if err != nil {
			return fmt.Errorf("builtin %s: %w", s, err)
		}
		t.builtins = append(t.builtins, builtin{s, uint16(n)})
	}
	return nil
}
