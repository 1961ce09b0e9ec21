package link

import (
	"fmt"
	"math"

	"golang.org/x/arch/x86/x86asm"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// relocate computes the bytes of every symbol of the patch.
func (l *linker) relocate() error {
	for _, n := range l.nodes {
		sec := l.sectionOf(n)
		if sec == nil {
			continue
		}
		for r := range n.sym.Relocs() {
			if r.IsMarker() {
				continue
			}
			if err := l.apply(n, sec, r); err != nil {
				return fmt.Errorf("%s+%#x: %w", n.key.Name, r.Off, err)
			}
		}
	}
	return nil
}

func (l *linker) sectionOf(n *node) *section {
	switch n.seg {
	case segText:
		return &l.text
	case segROData:
		return &l.ro
	case segData, segNoPtr:
		return &l.data
	}
	return nil
}

// apply computes one relocation (cmd/link/internal/ld/data.go, relocsym, Go 1.25–1.27).
func (l *linker) apply(n *node, sec *section, r object.Reloc) error {
	if r.Off < 0 || int64(r.Off)+int64(r.Size) > int64(n.sym.Size()) {
		return fmt.Errorf("relocation lies outside its symbol")
	}
	at := n.addr + uint64(r.Off)
	var t target
	if r.Sym.Obj != nil && r.Type != object.TLSLE && r.Type != object.TLSIE {
		var err error
		if r.Weak || r.Type == object.MethodOff {
			if t, err = l.existing(r.Sym); err == nil && !t.found() && r.Type == object.Call && isMapInit(r.Sym.Name()) {
				t, err = l.noMapInit()
			}
		} else {
			t, err = l.target(r.Sym)
		}
		if err != nil {
			return err
		}
	}
	if n.early {
		if c := l.early[l.callee(r)]; c != nil {
			t = target{node: c}
		}
	}
	if r.Add != 0 && t.node == nil && r.Type == object.Addr {
		t = l.inside(r, t)
	}
	switch r.Type {
	case object.Addr:
		switch {
		case t.itab != nil:
			if r.Size != 8 {
				return fmt.Errorf("itab address of %d bytes", r.Size)
			}
			l.itabAt = append(l.itabAt, itabRef{t.itab, at})
			return nil
		case !t.found():
			t.addr, _ = l.address(Key{Name: "runtime.unreachableMethod", ABI: object.ABIInternal})
		}
		v := t.address() + uint64(r.Add)
		if r.Size == 4 {
			if v > math.MaxInt32 {
				return fmt.Errorf("%s is out of reach of a 32-bit address", r.Sym.Name())
			}
			sec.u32(at, uint32(v))
			return nil
		}
		sec.u64(at, v)
		return nil

	case object.AddrOff, object.MethodOff:
		if !t.found() {
			if r.Type == object.MethodOff {
				sec.u32(at, ^uint32(0))
			}
			return nil
		}
		v := int64(t.address()-l.offsetBase(r.Sym)) + r.Add
		if v < math.MinInt32 || v > math.MaxUint32 {
			return fmt.Errorf("offset of %s is out of range: %#x", r.Sym.Name(), v)
		}
		sec.u32(at, uint32(v))
		return nil

	case object.PCRel, object.Call, object.GOTPCRel:
		if t.itab != nil && r.Add == itabHash {
			return l.immediate(n, sec, r)
		}
		if r.Type == object.GOTPCRel || t.itab != nil {
			// The address of an itab becomes a load of its slot. A load of an address from a table, or
			// from inside of an itab, becomes the address itself.
			from, to := byte(opMov), byte(opLea)
			switch inside := t.itab != nil && r.Add != 0; {
			case t.itab != nil && !inside:
				from, to = opLea, opMov
			case inside && r.Off >= 2 && sec.buf[at-2-sec.base] == opLea:
				from = opLea // the race detector is told where is read: there is the same word
			}
			if r.Off < 2 || sec.buf[at-2-sec.base] != from || r.Type == object.GOTPCRel && r.Add != 0 {
				return refuse(n.key.Name, "has an instruction of a form that is not known here, which refers to %s", r.Sym.Name())
			}
			if t.itab != nil && r.Add != 0 {
				var err error
				if t, err = l.itabWord(r); err != nil {
					return err
				}
				r.Add = 0
			}
			sec.buf[at-2-sec.base] = to
		}
		if !t.found() && r.Sym.Obj != nil {
			return fmt.Errorf("%s is nowhere", r.Sym.Name())
		}
		v := int64(t.address()) + r.Add - int64(at+uint64(r.Size))
		if v != int64(int32(v)) {
			return fmt.Errorf("%s is out of reach", r.Sym.Name())
		}
		sec.u32(at, uint32(v))
		return nil

	case object.TLSLE:
		sec.u32(at, uint32(l.host.Index.TLSOffset()+r.Add))
		return nil

	case object.TLSIE:
		// MOVQ off(IP), reg becomes MOVQ $off, reg (cmd/link/internal/amd64/asm.go, tlsIEtoLE).
		op := sec.buf[at-3-sec.base : at-sec.base]
		if r.Off < 3 || op[1] != opMov || op[0]&^0x04 != 0x48 {
			return fmt.Errorf("instruction of unknown form reads the thread pointer's offset")
		}
		reg := op[2] >> 3 & 7
		op[0] = 0x48 | op[0]>>2&1
		op[1] = 0xc7
		op[2] = 0xc0 | reg
		sec.u32(at, uint32(l.host.Index.TLSOffset()))
		return nil
	}
	return refuse(n.key.Name, "has a relocation of a kind that is not known here (%v, %d bytes)", r.Type, r.Size)
}

// itabHash is where an itab has its type's hash (internal/abi/iface.go, ITab).
const itabHash = 16

// immediate turns an instruction that reads the hash in an itab into one that has it as its operand, of
// the same length: MOVL m, reg and CMPL reg, m.
func (l *linker) immediate(n *node, sec *section, r object.Reloc) error {
	data := l.definition(r.Sym).Data()
	code := sec.buf[n.addr-sec.base:][:n.sym.Size()]
	start := instructionAt(code, int(r.Off))
	op := code[max(start, 0):r.Off]
	rex := byte(0)
	if len(op) == 3 {
		rex, op = op[0], op[1:]
	}
	if n.seg != segText || start < 0 || len(op) != 2 || rex&^0x04 != 0 && rex&^0x04 != 0x40 || len(data) < itabHash+4 {
		return refuse(n.key.Name, "has an instruction of a form that is not known here, which refers to %s", r.Sym.Name())
	}
	reg, digit := op[1]>>3&7, byte(0)
	switch op[0] {
	case opMov:
		op[0] = 0xc7
	case 0x3b: // CMPL
		op[0], digit = 0x81, 7
	default:
		return refuse(n.key.Name, "has an instruction of a form that is not known here, which refers to %s", r.Sym.Name())
	}
	op[1] = 0xc0 | digit<<3 | reg
	if rex != 0 {
		code[start] = 0x40 | rex>>2&1 // what extended the register now extends the operand
	}
	copy(code[r.Off:], data[itabHash:itabHash+4])
	return nil
}

// instructionAt returns where the instruction begins that a byte of a function belongs to; -1 if that
// cannot be told.
func instructionAt(code []byte, off int) int {
	for pc := 0; pc < len(code); {
		inst, err := x86asm.Decode(code[pc:], 64)
		if err != nil {
			return -1
		}
		if off < pc+inst.Len {
			return pc
		}
		pc += inst.Len
	}
	return -1
}

// inside resolves the address of a place within a function, as jump tables have it: it is in the code that
// the patch brings, wherever callers call it.
func (l *linker) inside(r object.Reloc, t target) target {
	if def := l.definition(r.Sym); def.Kind() == object.Text {
		if n := l.byKey[keyOf(def)]; n != nil {
			return target{node: n}
		}
	}
	return t
}

// Opcodes of MOVQ r/m, r and LEAQ m, r, both with a REX prefix before and a ModRM byte behind.
const (
	opMov = 0x8b
	opLea = 0x8d
)

// offsetBase is what a 32-bit offset to a symbol counts from: the first text section for functions,
// moduledata.types for type data, moduledata.rodata for the rest.
func (l *linker) offsetBase(s object.Sym) uint64 {
	types, text := l.bases()
	def := l.definition(s)
	if def.IsZero() {
		def = s
	}
	switch name := def.Name(); {
	case def.Kind() == object.Text:
		return text
	case isTypeSym(name) || def.IsGoType():
		return types
	}
	return l.host.Image.Module.ROData + l.state.Bias
}
