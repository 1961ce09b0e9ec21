package object

import "fmt"

// FuncInfo is what the compiler or assembler says of a function beside its tables
// (cmd/internal/goobj/funcinfo.go, Go 1.25–1.27):
//
//	funcinfo = args:u32 locals:u32 funcid:u8 flag:u8 pad:u16 startline:i32
//	           nfiles:u32 file:u32{nfiles} ninl:u32 inlined{ninl}
//	inlined  = parent:i32 file:u32 line:i32 func:symref parentpc:i32
type FuncInfo struct {
	Args, Locals uint32 // sizes in bytes
	FuncID       uint8
	FuncFlag     uint8
	StartLine    int32
	Files        []int // indexes for Object.File
	InlTree      []InlinedCall
}

// InlinedCall is one node of a function's inline tree.
type InlinedCall struct {
	Parent   int32 // index of the call that this one is inlined into; -1: the function
	File     int   // of the call, an index for Object.File
	Line     int32 // of the call
	Func     Sym   // what was inlined
	ParentPC int32 // an instruction that stands for the call, from the function's entry
}

const (
	funcInfoHead    = 20 // up to and with nfiles
	inlinedCallSize = 24
)

// DecodeFuncInfo reads the FuncInfo of a function's definition.
func (s Sym) DecodeFuncInfo() (FuncInfo, error) {
	info := s.FuncInfo()
	if !info.IsDef() {
		return FuncInfo{}, fmt.Errorf("%s: no function info", s)
	}
	b := info.Data()
	truncated := func() error { return fmt.Errorf("%s: function info is truncated", s) }
	if len(b) < funcInfoHead {
		return FuncInfo{}, truncated()
	}
	f := FuncInfo{
		Args:      le.Uint32(b),
		Locals:    le.Uint32(b[4:]),
		FuncID:    b[8],
		FuncFlag:  b[9],
		StartLine: int32(le.Uint32(b[12:])),
	}
	n := le.Uint32(b[16:])
	b = b[funcInfoHead:]
	if uint64(len(b)) < 4*uint64(n)+4 {
		return FuncInfo{}, truncated()
	}
	f.Files = make([]int, n)
	for i := range f.Files {
		f.Files[i] = int(le.Uint32(b[4*i:]))
	}
	b = b[4*n:]
	n = le.Uint32(b)
	b = b[4:]
	if uint64(len(b)) < inlinedCallSize*uint64(n) {
		return FuncInfo{}, truncated()
	}
	f.InlTree = make([]InlinedCall, n)
	for i := range f.InlTree {
		f.InlTree[i] = InlinedCall{
			Parent:   int32(le.Uint32(b)),
			File:     int(le.Uint32(b[4:])),
			Line:     int32(le.Uint32(b[8:])),
			Func:     s.Obj.handle(le.Uint32(b[12:]), le.Uint32(b[16:])),
			ParentPC: int32(le.Uint32(b[20:])),
		}
		b = b[inlinedCallSize:]
	}
	return f, nil
}
