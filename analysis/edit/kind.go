package edit

import (
	"fmt"
	"strings"
)

// Kind is a kind of edit.
type Kind uint8

// The kinds of edits, in the order of their codes.
const (
	// Bodies and text.
	FuncBody Kind = iota
	MethodBody
	GenericBody
	Text
	LineShift
	Reordered
	Moved
	FileRenamed
	FileAdded
	FileDeleted
	Respelled
	Blank
	Pragma

	// Functions and methods.
	FuncAdded
	FuncDeleted
	FuncRenamed
	Parameters
	Arity
	ParameterNames
	MethodAdded
	MethodDeleted
	ReceiverKind
	FuncTypeParams
	Visibility
	Init
	BodyPresence
	Instantiation
	MethodType
	NewTypeMethod
	GoneTypeMethod
	MethodRenamed
	MethodTable
	PointerMethods
	InitRerun

	// Closures and running code.
	ClosureBody
	Captures
	ClosureSet
	CapturesUnproven
	ClosureSignature
	Main
	Endless
	LocalType
	LocalTypeNumber

	// Types.
	FieldAdded
	FieldChanged
	FieldTag
	EmbeddedField
	TypeAdded
	TypeDeleted
	TypeRenamed
	Underlying
	AliasTarget
	InterfaceMethods
	TypeTypeParams
	Unheld
	TypeReplaced

	// Variables and constants.
	VarAdded
	VarDeleted
	Initializer
	InitializerDependency
	VarType
	ConstChanged
	ConstAdded
	ConstDeleted
	InitializedEarly
	InitializedAnew
	VarReset

	// Imports and modules.
	ImportLinked
	ImportRemoved
	ImportStandard
	ImportModule
	Requirement
	ModuleVersion
	LanguageVersion
	ImportRefused

	// Files that are not plain Go.
	EmbedContent
	EmbedPattern
	BuildConstraint
	DebugSetting
	CgoPreamble
	CgoFile
	Assembly
	Linkname
	ObjectFile

	// Packages.
	Protected
	ModuleCache
	PackageClause
	PackageDeleted

	numKinds
)

// A kindRow is all that is known of one kind.
type kindRow struct {
	code    int // LMDnnnn; never changes and is never used again
	name    string
	verdict Verdict
	rows    []int  // of EDITS.md
	what    string // what happened
	why     string // why the verdict is what it is
	do      string // what would do; "" for hot
	example string // before and after, indented by the page
}

// Kinds returns all kinds, in the order of their codes.
func Kinds() []Kind {
	list := make([]Kind, numKinds)
	for i := range list {
		list[i] = Kind(i)
	}
	return list
}

// String returns the kind's name, as in "func body".
func (k Kind) String() string { return kinds[k].name }

// Verdict returns what becomes of an edit of this kind.
func (k Kind) Verdict() Verdict { return kinds[k].verdict }

// Code returns the code under which the kind is reported, as "LMD0001". It never changes.
func (k Kind) Code() string { return fmt.Sprintf("LMD%04d", kinds[k].code) }

// Rows returns the numbers of the rows of the list of edits that k stands for.
func (k Kind) Rows() []int { return kinds[k].rows }

// ByCode returns the kind with that code, in either case and with or without "LMD".
func ByCode(code string) (Kind, bool) {
	digits := strings.TrimPrefix(strings.ToUpper(code), "LMD")
	for k := range numKinds {
		if strings.TrimPrefix(k.Code(), "LMD") == digits {
			return k, true
		}
	}
	return 0, false
}

// Explain returns a page about the kind: what it is, why its verdict is what it is, an example, and what to do.
func (k Kind) Explain() string {
	row := &kinds[k]
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s (%s)\n\n", k.Code(), row.name, row.verdict)
	fmt.Fprintf(&b, "What   %s.\n", row.what)
	fmt.Fprintf(&b, "Why    %s.\n", row.why)
	fmt.Fprintf(&b, "\nExample\n\n    %s\n", strings.ReplaceAll(row.example, "\n", "\n    "))
	do := row.do
	if do == "" {
		do = "nothing: the edit is made live as it is"
	}
	fmt.Fprintf(&b, "\nWhat to do   %s.\n", do)
	return b.String()
}
