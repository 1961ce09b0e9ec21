//go:build linux && amd64

package agent_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/patch"
)

// A module is a hand-made runtime.moduledata with one function table, as the linker makes them: everything is in Data
// except the code.
type module struct {
	p     *process
	q     *patch.Patch
	funcs []moduleFunc
	data  []byte // grows; its address is dataAddr
	text  []byte
}

// A moduleFunc is a function of the module. pcsp is its table of stack depths.
type moduleFunc struct {
	name       string
	start, end int
	pcsp       []byte
}

// Sizes that the module is laid out with: text and data take one page each.
const (
	modulePage  = 4096
	rootOffset  = 0 // a word of Data that is a root of the garbage collector
	slotOffset  = 8 // a word that is filled by an Itab
	plainOffset = 16
)

// newModule begins a module whose origin is the next free address.
func (p *process) newModule(h patch.HelloReply) *module {
	return &module{p: p, q: p.newPatch(h, nil), data: make([]byte, 64)}
}

func (m *module) textAddr() uint64 { return m.q.Origin }

func (m *module) dataAddr() uint64 { return m.q.Origin + modulePage }

// add appends a function and returns its address.
func (m *module) add(name string, pcsp []byte, code func(at uint64) []byte) uint64 {
	for len(m.text)%32 != 0 {
		m.text = append(m.text, 0xcc)
	}
	at := m.textAddr() + uint64(len(m.text))
	start := len(m.text)
	m.text = append(m.text, code(at)...)
	m.funcs = append(m.funcs, moduleFunc{name, start, len(m.text), pcsp})
	return at
}

// leafDepth is the pcsp of a function without a frame, n bytes long; frameDepth that of one that begins with PUSHQ BP,
// MOVQ SP, BP and ends with POPQ BP, RET.
func leafDepth(n int) []byte { return pcsp(step{0, n}) }

func frameDepth(n int) []byte { return pcsp(step{0, 1}, step{8, n - 2}, step{0, 1}) }

type step struct{ depth, size int }

// pcsp encodes a pc-value table (cmd/internal/obj/pcln.go): deltas of the value, zigzag, and of the pc.
func pcsp(steps ...step) []byte {
	var out []byte
	value := -1
	for i, s := range steps {
		size := s.size
		if i == len(steps)-1 {
			size++ // the table reaches beyond the last byte
		}
		out = binary.AppendVarint(out, int64(s.depth-value))
		out = binary.AppendUvarint(out, uint64(size))
		value = s.depth
	}
	return append(out, 0)
}

// framed is code that calls target and returns.
func framed(target uint64) func(at uint64) []byte {
	return func(at uint64) []byte {
		code := []byte{0x55, 0x48, 0x89, 0xe5} // push rbp; mov rbp, rsp
		d := uint32(target - (at + uint64(len(code)) + 5))
		code = append(code, 0xe8, byte(d), byte(d>>8), byte(d>>16), byte(d>>24)) // call target
		return append(code, 0x5d, 0xc3)                                          // pop rbp; ret
	}
}

const framedSize = 11

// put appends bytes to Data and returns their address.
func (m *module) put(align int, b []byte) uint64 {
	for len(m.data)%align != 0 {
		m.data = append(m.data, 0)
	}
	at := m.dataAddr() + uint64(len(m.data))
	m.data = append(m.data, b...)
	return at
}

// finish lays the tables out and completes the patch.
func (m *module) finish() *patch.Patch {
	p, l := m.p, m.p.b.layout
	p.t.Helper()
	le := binary.LittleEndian
	host, _ := p.symbol("runtime.firstmoduledata")
	text, _ := p.symbol("runtime.text")
	size := int(l.Structs["moduledata"].Size)
	md := make([]byte, size)
	set := func(name string, v uint64, sub ...uint64) {
		f, ok := l.Structs["moduledata"].Fields[name]
		if !ok {
			p.t.Fatalf("moduledata has no field %s", name)
		}
		for i, v := range append([]uint64{v}, sub...) {
			le.PutUint64(md[f.Offset+int64(8*i):], v)
		}
	}
	get := func(name string) uint64 {
		return le.Uint64(p.memory(host+uint64(l.Structs["moduledata"].Fields[name].Offset), 8))
	}
	slice := func(name string, at uint64, n int) { set(name, at, uint64(n), uint64(n)) }

	names, tables := []byte{0}, []byte{0}
	var funcs, ftab []byte
	fn := l.Structs["_func"]
	for _, f := range m.funcs {
		record := make([]byte, fn.Size)
		le.PutUint32(record[fn.Fields["entryOff"].Offset:], uint32(m.textAddr()+uint64(f.start)-text))
		le.PutUint32(record[fn.Fields["nameOff"].Offset:], uint32(len(names)))
		le.PutUint32(record[fn.Fields["pcsp"].Offset:], uint32(len(tables)))
		le.PutUint32(record[fn.Fields["cuOffset"].Offset:], ^uint32(0))
		names = append(append(names, f.name...), 0)
		tables = append(tables, f.pcsp...)
		ftab = le.AppendUint32(ftab, uint32(m.textAddr()+uint64(f.start)-text))
		ftab = le.AppendUint32(ftab, uint32(len(funcs)))
		funcs = append(funcs, record...)
		for len(funcs)%8 != 0 {
			funcs = append(funcs, 0)
		}
	}
	end := m.textAddr() + uint64(len(m.text))
	ftab = le.AppendUint32(ftab, uint32(end-text))
	ftab = le.AppendUint32(ftab, 0)
	// One bucket of 4096 bytes: an index and 16 of 256 bytes each (runtime/symtab.go).
	bucket := make([]byte, 20)
	for i := range 16 {
		for k, f := range m.funcs {
			if f.start <= i*256 {
				bucket[4+i] = byte(k)
			}
		}
	}
	header := p.memory(get("pcHeader"), int(l.Structs["pcHeader"].Size))

	set("pcHeader", m.put(8, header))
	slice("funcnametab", m.put(1, names), len(names))
	slice("pctab", m.put(1, tables), len(tables))
	slice("pclntable", m.put(8, funcs), len(funcs))
	slice("ftab", m.put(8, ftab), len(ftab)/8)
	set("findfunctab", m.put(4, bucket))
	set("minpc", m.textAddr())
	set("maxpc", end)
	set("text", text)
	set("etext", end)
	set("types", get("types"))
	set("etypes", m.dataAddr()+modulePage)
	set("rodata", get("rodata"))
	set("gofunc", m.dataAddr())
	mask := m.put(1, []byte{1}) // the first word is a pointer
	set("gcdatamask", 1, mask)
	set("gcbssmask", 0, mask)
	set("data", m.dataAddr())
	set("edata", m.dataAddr()+8)
	set("bss", m.dataAddr()+8)
	set("ebss", m.dataAddr()+8)
	m.q.Module = m.put(8, md)
	m.q.Text, m.q.Data = m.text, m.data
	if len(m.text) > modulePage || len(m.text) == 0 || len(m.data) > modulePage {
		p.t.Fatalf("module has %d bytes of code and %d of data", len(m.text), len(m.data))
	}
	return m.q
}

// moduleVariants are the kinds of executable in which modules are tried.
var moduleVariants = []string{"go1.25", "go1.26", "go1.27", "pie", "pie1.27", "race", "racecover"}

// TestModule registers code with the runtime: a goroutine in it is unwound and collected, its data is a root, its itabs
// are the program's, its initialisers run.
func TestModule(t *testing.T) {
	for _, name := range moduleVariants {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			h := hello(t, c)
			p.bias = h.Bias
			m := p.newModule(h)
			hook, _ := p.symbol("main.hook")
			note, _ := p.symbol("main.note")
			initial := m.add("patch.init", frameDepth(framedSize), framed(hook))
			leaf := m.add("patch.leaf", leafDepth(6), func(uint64) []byte { return returns(42) })
			through := m.add("main.through", frameDepth(framedSize), framed(note))
			types := p.types()
			q := m.finish()
			q.Calls = []uint64{initial, initial}
			q.Itabs = []patch.Itab{{Inter: types.shaper, Type: types.square, Slot: m.dataAddr() + slotOffset}}
			p.detour(q, "main.answer", leaf-q.Origin, 6)
			p.detour(q, "main.through", through-q.Origin, framedSize)
			r := apply(t, c, q)
			if r.Register == 0 || r.Init == 0 {
				t.Errorf("reply is %+v", r)
			}
			p.check("answer", "42")
			p.check("hooks", "2")
			if got := p.tell("trace"); !strings.HasPrefix(got, "main.note main.through main.trace") {
				t.Errorf("trace through the patch is %q", got)
			}
			p.check(fmt.Sprintf("itab %d", m.dataAddr()+slotOffset), "true square3")
			p.check(fmt.Sprintf("heap %d", m.dataAddr()+rootOffset), "ok")
			p.check(fmt.Sprintf("side %d", m.dataAddr()+rootOffset), "7")

			// A second module goes behind the first.
			m2 := p.newModule(hello(t, c))
			leaf2 := m2.add("patch.leaf2", leafDepth(6), func(uint64) []byte { return returns(43) })
			through2 := m2.add("main.through", frameDepth(framedSize), framed(note))
			q2 := m2.finish()
			entry, _ := p.symbol("main.answer")
			q2.Writes = []patch.Write{{Addr: entry, Expect: jump(entry, leaf), New: jump(entry, leaf2)}}
			entry, _ = p.symbol("main.through")
			q2.Writes = append(q2.Writes, patch.Write{Addr: entry, Expect: jump(entry, through), New: jump(entry, through2)})
			apply(t, c, q2)
			p.check("answer", "43")
			if got := p.tell("trace"); !strings.HasPrefix(got, "main.note main.through main.trace") {
				t.Errorf("trace through the second patch is %q", got)
			}
			p.check(fmt.Sprintf("side %d", m.dataAddr()+rootOffset), "7")
			if _, err := rollback(c, 2, ""); err != nil {
				t.Fatal(err)
			}
			p.check("answer", "42")
		})
	}
}

// TestModuleRefusals: what is wrong with a module is found before the runtime sees it, or before the swap; an initialiser
// that fails refuses the patch, whose memory stays taken.
func TestModuleRefusals(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	h := hello(t, c)
	p.bias = h.Bias
	before := p.snapshot(c)
	boom, _ := p.symbol("main.boom")
	goexit, _ := p.symbol("runtime.Goexit")
	types := p.types()
	field := func(name string) int { return int(p.b.layout.Structs["moduledata"].Fields[name].Offset) }
	for _, test := range []struct {
		name  string
		edit  func(m *module, q *patch.Patch, md []byte)
		code  patch.Code
		part  string
		taken bool // the module was registered before it was refused
	}{
		{"foreign text", func(m *module, q *patch.Patch, md []byte) { md[field("text")]++ }, patch.Corrupt, "not based", false},
		{"a range outside", func(m *module, q *patch.Patch, md []byte) { md[field("maxpc")+1] += 16 }, patch.Corrupt, "outside the patch's text", false},
		{"a next", func(m *module, q *patch.Patch, md []byte) { md[field("next")] = 8 }, patch.Corrupt, "not fresh", false},
		{"no masks", func(m *module, q *patch.Patch, md []byte) { clear(md[field("gcdatamask"):][:16]) }, patch.Corrupt, "pointer masks", false},
		{"a table outside", func(m *module, q *patch.Patch, md []byte) { md[field("ftab")+10] = 1 }, patch.Corrupt, "function table lies outside", false},
		{"a table out of order", func(m *module, q *patch.Patch, md []byte) { md[field("ftab")] += 8 }, patch.Corrupt, "not in order", false},
		{"too little room", func(m *module, q *patch.Patch, md []byte) { q.Module = q.End() - 64 }, patch.Corrupt, "does not fit", false},
		{"an itab that is none", func(m *module, q *patch.Patch, md []byte) {
			q.Itabs = []patch.Itab{{Inter: types.shaper, Type: types.secret, Slot: m.dataAddr() + slotOffset}}
		}, patch.Corrupt, "does not implement", true},
		{"a function that is not in its table", func(m *module, q *patch.Patch, md []byte) { q.Funcs[0].NewLo++ }, patch.Corrupt, "not in its function table", true},
		{"an initialiser that panics", func(m *module, q *patch.Patch, md []byte) {
			q.Calls = []uint64{m.textAddr()}
		}, patch.InitFailed, "patch.boom panicked: boom in target", true},
		{"an initialiser that ends its goroutine", func(m *module, q *patch.Patch, md []byte) {
			q.Calls = []uint64{m.textAddr() + 32}
		}, patch.InitFailed, "patch.exit ended its goroutine", true},
	} {
		m := p.newModule(hello(t, c))
		m.add("patch.boom", frameDepth(framedSize), framed(boom))
		m.add("patch.exit", frameDepth(framedSize), framed(goexit))
		leaf := m.add("patch.leaf", leafDepth(6), func(uint64) []byte { return returns(42) })
		q := m.finish()
		p.detour(q, "main.answer", leaf-q.Origin, 6)
		test.edit(m, q, q.Data[q.Module-m.dataAddr():])
		_, err := c.Apply(context.Background(), q.Encode())
		refused(t, err, test.code, test.part)
		p.check("answer", "1")
		now := p.snapshot(c)
		if taken := now.hello.ArenaNext == q.End(); taken != test.taken || now.hello.Generation != 0 || now.hello.Undo != 0 {
			t.Errorf("%s: hello is %+v, want memory taken: %v", test.name, now.hello, test.taken)
		}
		if string(now.image) != string(before.image) {
			t.Errorf("%s: text or read-only data has changed", test.name)
		}
	}
	// The program goes on, and takes a good one.
	m := p.newModule(hello(t, c))
	leaf := m.add("patch.leaf", leafDepth(6), func(uint64) []byte { return returns(42) })
	q := m.finish()
	p.detour(q, "main.answer", leaf-q.Origin, 6)
	apply(t, c, q)
	p.check("answer", "42")
}

// TestInitBlocks: an initialiser that does not return refuses the patch after a while.
func TestInitBlocks(t *testing.T) {
	t.Parallel()
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	h := hello(t, c)
	p.bias = h.Bias
	block, _ := p.symbol("main.block")
	m := p.newModule(h)
	m.add("patch.block", frameDepth(framedSize), framed(block))
	q := m.finish()
	q.Calls = []uint64{m.textAddr()}
	_, err := c.Apply(context.Background(), q.Encode())
	refused(t, err, patch.InitFailed, "patch.block did not return within 10 s")
	p.check("answer", "1")
}

// TestTypelinks: reflect finds the types of a patch on a runtime that keeps their list outside moduledata, and on one that
// keeps it inside.
func TestTypelinks(t *testing.T) {
	for _, name := range []string{"go1.26", "go1.27", "pie1.27", "racecover"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			h := hello(t, c)
			p.bias = h.Bias
			m := p.newModule(h)
			m.add("patch.leaf", leafDepth(6), func(uint64) []byte { return returns(42) })
			// A descriptor of []main.secret, after that of []int (internal/abi/type.go).
			le := binary.LittleEndian
			base := le.Uint64(p.memory(hostField(p, "types"), 8))
			types := p.types()
			desc := p.memory(types.ints, int(p.b.layout.Structs["abi.Type"].Size)+8)
			fields := p.b.layout.Structs["abi.Type"].Fields
			text := "*[]main.secret" // with the star that TFlagExtraStar takes away
			blob := m.put(1, append([]byte{0, byte(len(text))}, text...))
			le.PutUint32(desc[fields["Str"].Offset:], uint32(blob-base))
			le.PutUint32(desc[fields["Hash"].Offset:], 0x5ec4e7)
			le.PutUint32(desc[fields["PtrToThis"].Offset:], 0)
			desc[fields["TFlag"].Offset] |= 2 // TFlagExtraStar
			le.PutUint64(desc[p.b.layout.Structs["abi.Type"].Size:], types.secret)
			at := m.put(8, desc)
			list := m.put(8, le.AppendUint64(nil, at))
			offsets := m.put(4, le.AppendUint32(nil, uint32(at-base)))
			q := m.finish()
			if f, ok := p.b.layout.Structs["moduledata"].Fields["typelinks"]; ok {
				md := q.Data[q.Module-m.dataAddr():]
				for i, v := range []uint64{offsets, 1, 1} {
					le.PutUint64(md[f.Offset+int64(8*i):], v)
				}
			} else {
				q.Typelinks, q.TypelinkCount = list, 1
			}
			apply(t, c, q)
			p.check("sliceof", fmt.Sprintf("%#x", at))
		})
	}
}

// descriptors are addresses of type descriptors in the target.
type descriptors struct{ shaper, square, secret, ints uint64 }

func (p *process) types() (d descriptors) {
	p.t.Helper()
	if _, err := fmt.Sscan(p.tell("types"), &d.shaper, &d.square, &d.secret, &d.ints); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// hostField is the address of a field of the program's first moduledata.
func hostField(p *process, field string) uint64 {
	host, _ := p.symbol("runtime.firstmoduledata")
	return host + uint64(p.b.layout.Structs["moduledata"].Fields[field].Offset)
}
