package stub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// withoutArgs drops type arguments from a symbol's name.
func withoutArgs(name string) string {
	var b strings.Builder
	depth := 0
	for _, r := range name {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// partOf matches what follows a function's name in the names of the functions inside it.
var partOf = regexp.MustCompile(`^(\.(func|gowrap|deferwrap)\d+|-range\d+)`)

// codeOf returns the code symbols of a function: its own, its instances', its closures'.
func codeOf(p *object.Package, name string) map[string]object.Sym {
	list := make(map[string]object.Sym)
	for _, o := range p.Objects {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			if s.Kind() != object.Text || s.ABI() != 1 {
				continue
			}
			full := s.Name()
			plain := full
			if strings.Contains(full, "[") {
				plain = withoutArgs(full)
			}
			if rest, ok := strings.CutPrefix(plain, name); ok && (rest == "" || partOf.MatchString(rest)) {
				list[full] = s
			}
		}
	}
	return list
}

// A comparer compares symbols of two objects of one package.
type comparer struct {
	done map[[2]object.Sym]bool
}

// made matches the names of data that the compiler makes up and numbers through the package.
var made = regexp.MustCompile(`\.\.?(stmp_|gobytes\.|typeAssert\.|interfaceSwitch\.)\d+$|\.(stkobj|arginfo\d|argliveinfo|opendefer|wrapinfo|args_stackmap|jump\d+)$|^runtime\.gcbits|^gclocals`)

// differs says how two symbols differ, "" if they do not.
func (c *comparer) differs(full, stub object.Sym) string {
	key := [2]object.Sym{full, stub}
	if c.done[key] {
		return ""
	}
	c.done[key] = true
	if full.Size() != stub.Size() {
		return fmt.Sprintf("size %d, not %d", stub.Size(), full.Size())
	}
	if !bytes.Equal(full.Data(), stub.Data()) {
		return "bytes"
	}
	if full.NumRelocs() != stub.NumRelocs() {
		return "number of relocations"
	}
	for i := range full.NumRelocs() {
		f, s := full.Reloc(i), stub.Reloc(i)
		if f.Off != s.Off || f.Type != s.Type || f.Weak != s.Weak || f.Add != s.Add {
			return fmt.Sprintf("relocation %d: %v of %s, not %v of %s", i, s.Type, s.Sym.Name(), f.Type, f.Sym.Name())
		}
		if d := c.target(f.Sym, s.Sym); d != "" {
			return fmt.Sprintf("relocation %d: %s", i, d)
		}
	}
	return ""
}

// target compares what two relocations refer to: by name, or by content if the name is made up.
func (c *comparer) target(full, stub object.Sym) string {
	f, s := full.Name(), stub.Name()
	if f != "" && !made.MatchString(f) {
		if f != s {
			return fmt.Sprintf("%s, not %s", s, f)
		}
		return ""
	}
	if full.IsZero() || stub.IsZero() {
		if full.IsZero() != stub.IsZero() {
			return "one target only"
		}
		return ""
	}
	if d := c.differs(full, stub); d != "" {
		return f + ": " + d
	}
	return ""
}

// compareCode compares the code of one function and what belongs to it. It returns how the code differs, and
// how only the tables do.
func compareCode(full, stub object.Sym) (code, tables string) {
	c := &comparer{done: make(map[[2]object.Sym]bool)}
	if code = c.differs(full, stub); code != "" {
		return code, ""
	}
	return "", c.tables(full, stub)
}

func (c *comparer) tables(full, stub object.Sym) string {
	for _, t := range []struct {
		name string
		of   func(object.Sym) object.Sym
	}{{"pcsp", object.Sym.Pcsp}, {"pcline", object.Sym.Pcline}, {"pcinline", object.Sym.Pcinline}} {
		if f, s := t.of(full), t.of(stub); !bytes.Equal(f.Data(), s.Data()) {
			return t.name
		}
	}
	for _, t := range []struct {
		name string
		of   func(object.Sym) []object.Sym
	}{{"pcdata", object.Sym.Pcdata}, {"funcdata", object.Sym.Funcdata}} {
		f, s := t.of(full), t.of(stub)
		if len(f) != len(s) {
			return "number of " + t.name
		}
		for i := range f {
			if d := c.target(f[i], s[i]); d != "" {
				return fmt.Sprintf("%s %d: %s", t.name, i, d)
			}
		}
	}
	f, err := full.DecodeFuncInfo()
	if err != nil {
		return err.Error()
	}
	s, err := stub.DecodeFuncInfo()
	if err != nil {
		return err.Error()
	}
	if f.StartLine != s.StartLine {
		return fmt.Sprintf("start line %d, not %d", s.StartLine, f.StartLine)
	}
	if a, b := pcfile(full), pcfile(stub); a != b {
		return "pcfile: " + b + ", not " + a
	}
	if len(f.InlTree) != len(s.InlTree) {
		return "inline tree"
	}
	for i := range f.InlTree {
		x, y := f.InlTree[i], s.InlTree[i]
		if x.Parent != y.Parent || x.Line != y.Line || x.ParentPC != y.ParentPC || !sameFunc(x.Func, y.Func) ||
			full.Obj.File(x.File) != stub.Obj.File(y.File) {
			return "inline tree"
		}
	}
	return ""
}

// sameFunc compares references to functions. One of another package has a name only if a relocation refers to
// it, too, and its number depends on that package's object.
func sameFunc(x, y object.Sym) bool {
	return x.Name() == "" || y.Name() == "" || x.Name() == y.Name()
}

// pcfile decodes a function's file table: differences of file numbers and of pcs, as varints, the former zigzag
// (cmd/internal/obj/pcln.go, funcpctab).
func pcfile(s object.Sym) string {
	var out strings.Builder
	data := s.Pcfile().Data()
	file, pc := int64(-1), uint64(0)
	for len(data) > 0 {
		delta, n := binary.Uvarint(data)
		if n <= 0 || n >= len(data) {
			break
		}
		file += int64(delta>>1) ^ -int64(delta&1)
		length, m := binary.Uvarint(data[n:])
		data = data[n+m:]
		pc += length
		fmt.Fprintf(&out, "%s<%d ", s.Obj.File(int(file)), pc)
	}
	return out.String()
}
