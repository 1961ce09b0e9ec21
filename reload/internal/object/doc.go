// Package object reads Go archives and the Go object files in them, and resolves
// symbol references between packages. It knows the goobj format and the linker's
// rules of resolution; it must never know processes, addresses or executables.
//
// # Archives
//
// A package's compiled form is a Unix archive (cmd/internal/archive, Go 1.25–1.27):
//
//	archive = "!<arch>\n" { member }
//	member  = name[16] mtime[12] uid[6] gid[6] mode[8] size[10] "`\n" data[size] [pad]
//
// All header fields are ASCII, padded with blanks; data is padded to an even length.
// "__.PKGDEF" holds export data, "_go_.o" what the compiler made, other members with
// a "go object" line what the assembler made. Everything else (cgo's ELF objects, empty
// markers such as "dynimportfail") is foreign to this package: it is skipped and
// listed in [Package.Foreign]. A compiler run with -o alone writes the same format.
//
//	goobject = "go object " goos " " goarch " " version " " experiments "\n"
//	           text "\n!\n" file
//
// text may hold export data and cgo directives between "$$" lines, inside which
// "\n!\n" does not count (cmd/link/internal/ld.ldobj).
//
// # Object files
//
// All numbers are little endian (cmd/internal/goobj/objfile.go, Go 1.25–1.27):
//
//	file   = magic[8] fingerprint[8] flags:u32 offset:u32{19} strings blocks
//	blocks = Autolib PkgIdx File Symdef Hashed64def Hasheddef Nonpkgdef Nonpkgref
//	         RefFlags Hash64 Hash RelocIdx AuxIdx DataIdx Reloc Aux Data RefName End
//	string = len:u32 offset:u32              offset from the beginning of the file
//	sym    = name:string abi:u16 kind:u8 flag:u8 flag2:u8 size:u32 align:u32
//	reloc  = off:i32 size:u8 type:u16 add:i64 sym:symref
//	aux    = type:u8 sym:symref
//	symref = pkg:u32 index:u32
//
// The definitions are numbered through Symdef, Hashed64def, Hasheddef and Nonpkgdef;
// Nonpkgref goes on with the same numbering. RelocIdx, AuxIdx and DataIdx have one
// entry per definition and one more, each the start of its part of Reloc, Aux, Data.
//
// A symref's pkg is a special number (None, Hashed64, Hashed, Builtin, Self) or an
// index into PkgIdx; in the latter case index counts the Symdef block of that
// package's compiler object. Hashed symbols have no name: equal hash means equal
// content, wherever it is defined.
//
// Which number means which relocation, kind, flag or builtin differs between
// toolchains, and is read from the toolchain's own source: see [LoadTables].
package object
