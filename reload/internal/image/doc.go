// Package image reads the executable of a running Go program: its sections, its
// function tables, and which address each symbol of its packages has. It knows ELF for
// linux/amd64, the runtime's tables, and through package object what the compiler made;
// it must never know processes, patches or how symbols are placed anew.
//
// All addresses are link-time addresses: those in the file. Of a position-independent
// executable (PIE) they differ from those in the process by one bias.
//
// # Function tables
//
// The linker writes one block, pclntab (cmd/link/internal/ld/pcln.go, runtime/symtab.go,
// Go 1.25–1.27; the magic did not change):
//
//	pclntab  = pcHeader funcnametab cutab filetab pctab functab [ funcdata ]
//	pcHeader = magic:u32 0:u16 quantum:u8 ptrsize:u8 nfunc:u64 nfiles:u64
//	           textStart:u64 funcnametab:u64 cutab:u64 filetab:u64 pctab:u64 functab:u64
//	functab  = { entryoff:u32 funcoff:u32 } endoff:u32 { _func pcdata:u32{} funcdata:u32{} }
//
// The header's offsets are relative to itself, entryoff to the module's text, funcoff to
// functab, pcdata to pctab, funcdata to the module's gofunc (^0: none). textStart is
// zero from Go 1.26 on. Where the fields of _func and moduledata lie differs between
// versions and is told by the caller: see [Offsets].
//
// A table in pctab holds a value for each range of instructions, by deltas:
//
//	table = { value:zigzag-varint pcdelta:varint } 0
//
// The value starts at -1, the first pair may have a value delta of 0.
//
// # Inverse relocation
//
// The ELF symbol table names only functions and variables, and a stripped executable
// has none. But every address that the linker wrote stands where a relocation of some
// object file says so. Given one symbol's address and its definition, each of its
// relocations, read backwards, gives the address of the symbol that it refers to. From
// the functions (named by the symbol table, else by pclntab) that reaches, transitively,
// everything that is in the executable: see [BuildIndex].
package image
