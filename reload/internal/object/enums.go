package object

import "fmt"

// Kind says what a symbol's memory holds. The kinds that the FIPS module's code and
// data have in object files are mapped to their plain kind.
type Kind uint8

const (
	Unknown          Kind = iota // of a reference, or a kind that this package does not know
	Text                         // instructions
	ROData                       // read-only data
	NoPtrData                    // initialised data without pointers
	Data                         // initialised data
	BSS                          // zeroed data
	NoPtrBSS                     // zeroed data without pointers
	TLSBSS                       // zeroed thread-local data
	DWARF                        // debugging data, not in memory
	LibfuzzerCounter             // 8-bit counters of -d=libfuzzer
	CoverageCounter              // counters of -cover
	CoverageAuxVar               // variables of cmd/cover beside the counters
	SEHUnwindInfo                // Windows' unwinding data
)

// kindNames maps the names of cmd/internal/objabi/symkind.go.
var kindNames = map[string]Kind{
	"Sxxx":                    Unknown,
	"STEXT":                   Text,
	"SRODATA":                 ROData,
	"SNOPTRDATA":              NoPtrData,
	"SDATA":                   Data,
	"SBSS":                    BSS,
	"SNOPTRBSS":               NoPtrBSS,
	"STLSBSS":                 TLSBSS,
	"SLIBFUZZER_8BIT_COUNTER": LibfuzzerCounter,
	"SCOVERAGE_COUNTER":       CoverageCounter,
	"SCOVERAGE_AUXVAR":        CoverageAuxVar,
	"SSEHUNWINDINFO":          SEHUnwindInfo,
}

func (k Kind) String() string {
	for name, kind := range kindNames {
		if kind == k {
			return name
		}
	}
	if k == DWARF {
		return "SDWARF"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// IsBSS reports whether a symbol of this kind has no bytes in a file.
func (k Kind) IsBSS() bool {
	return k == BSS || k == NoPtrBSS || k == TLSBSS || k == LibfuzzerCounter || k == CoverageCounter
}

// IsData reports whether a symbol of this kind is writable memory.
func (k Kind) IsData() bool {
	return k == Data || k == NoPtrData || k == CoverageAuxVar || k.IsBSS()
}

// RelocType says how a relocation's field is computed, on amd64. Weakness is a bit
// beside it: see [Reloc].
type RelocType uint8

const (
	UnknownReloc   RelocType = iota // not known to this package: refuse it, or ignore it in DWARF
	Addr                            // absolute address
	AddrOff                         // 32-bit offset from the section that holds the target (types, for type data)
	PCRel                           // 32-bit, relative to the field's end
	Call                            // as PCRel, in a CALL or JMP instruction
	CallInd                         // marker of an indirect call; no bytes
	TLSLE                           // 32-bit offset from the thread pointer
	TLSIE                           // 32-bit, PC-relative to a GOT slot with that offset
	GOTPCRel                        // 32-bit, PC-relative to a GOT slot with the target's address
	MethodOff                       // as AddrOff from text; 0 or -1 when the linker pruned the method
	SizeOf                          // the target's size
	UseType                         // marker: the type must be kept
	UseIface                        // marker: the type is converted to an interface
	UseIfaceMethod                  // marker: an interface's method is called; Add is its offset in the type
	UseNamedMethod                  // marker: methods of this name are kept; the target holds the name
	UseField                        // marker: a field is used
	Keep                            // marker: the target must be kept
	InitOrder                       // marker: order between init tasks
	DWARFSecRef                     // debugging data only
	AddrCUOff                       // debugging data only
)

// relocNames maps the names of cmd/internal/objabi/reloctype.go.
var relocNames = map[string]RelocType{
	"R_ADDR":           Addr,
	"R_ADDROFF":        AddrOff,
	"R_PCREL":          PCRel,
	"R_CALL":           Call,
	"R_CALLIND":        CallInd,
	"R_TLS_LE":         TLSLE,
	"R_TLS_IE":         TLSIE,
	"R_GOTPCREL":       GOTPCRel,
	"R_METHODOFF":      MethodOff,
	"R_SIZE":           SizeOf,
	"R_USETYPE":        UseType,
	"R_USEIFACE":       UseIface,
	"R_USEIFACEMETHOD": UseIfaceMethod,
	"R_USENAMEDMETHOD": UseNamedMethod,
	"R_USEFIELD":       UseField,
	"R_KEEP":           Keep,
	"R_INITORDER":      InitOrder,
	"R_DWARFSECREF":    DWARFSecRef,
	"R_ADDRCUOFF":      AddrCUOff,
}

func (r RelocType) String() string {
	for name, typ := range relocNames {
		if typ == r {
			return name
		}
	}
	return fmt.Sprintf("RelocType(%d)", uint8(r))
}

// The ABIs of symbols (cmd/internal/obj.ABI). Data symbols are ABI0.
const (
	ABI0        uint16 = 0
	ABIInternal uint16 = 1
	StaticABI   uint16 = 0xffff // visible in its own object only
)
