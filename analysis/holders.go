package analysis

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/limeade-go/limeade/analysis/facts"
)

// keepNothing are functions that keep nothing of what they are given in an interface.
var keepNothing = []string{
	"fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Sprint", "fmt.Sprintf", "fmt.Sprintln", "fmt.Fprint", "fmt.Fprintf", "fmt.Fprintln",
	"fmt.Append", "fmt.Appendf", "fmt.Appendln", "log.Print", "log.Printf", "log.Println",
	"(*log.Logger).Print", "(*log.Logger).Printf", "(*log.Logger).Println",
	"encoding/json.Marshal", "encoding/json.MarshalIndent", "encoding/json.Unmarshal", "(*encoding/json.Encoder).Encode", "(*encoding/json.Decoder).Decode",
	"sort.Slice", "sort.SliceStable", "sort.SliceIsSorted", "sort.Sort", "sort.Stable", "sort.IsSorted", "reflect.DeepEqual",
}

// callNow are functions that call what they are given until they return, and no longer; so do those of slices.
var callNow = []string{
	"sort.Slice", "sort.SliceStable", "sort.SliceIsSorted", "sort.Search", "sort.Find",
	"strings.Map", "strings.ContainsFunc", "strings.FieldsFunc", "strings.IndexFunc", "strings.LastIndexFunc", "strings.TrimFunc", "strings.TrimLeftFunc", "strings.TrimRightFunc",
	"bytes.Map", "bytes.ContainsFunc", "bytes.FieldsFunc", "bytes.IndexFunc", "bytes.LastIndexFunc", "bytes.TrimFunc", "bytes.TrimLeftFunc", "bytes.TrimRightFunc",
}

// plainGenerics are packages of which generic code keeps values in what is written with their types, and nowhere else.
var plainGenerics = []string{"cmp", "maps", "slices", "sync/atomic"}

// A search looks in a package for what may hold a value of one of the types of a set.
type search struct {
	set    map[string]bool
	local  map[*types.TypeName]bool // types in functions, of which only values count that leave them
	fset   *token.FileSet
	known  map[types.Type]bool
	starts bool // what runs when the program starts is looked at, and has to do with them
	found  holder
	passed func(fn string)

	body    func(path, name string) *ssa.Function // of the workspace, nil if it cannot be looked into
	passing map[handed]bool                       // what is known of them
}

// lookFor searches the functions of a package of which the bodies were checked; atStart says that what initialises it is
// among those. It reports what it finds, and the functions that put values into interfaces for the time of a call.
func (c *comparison) lookFor(set map[string]bool, checked *Checked, atStart bool, found holder, passed func(fn string)) {
	s := c.search(checked, found, passed)
	s.set = set
	s.locals(checked)
	pkg, err := build(checked)
	if err != nil {
		found(token.Position{}, "", "package %s %v", checked.Package.Path, err)
		return
	}
	for _, fn := range functions(pkg) {
		s.starts = atStart && strings.HasPrefix(fn.Name(), "init") && fn.Signature.Recv() == nil
		s.function(fn, fn)
	}
}

func (c *comparison) search(checked *Checked, found holder, passed func(fn string)) *search {
	return &search{
		fset: checked.Fset, known: make(map[types.Type]bool), found: found, passed: passed, body: c.bodyOf, passing: make(map[handed]bool),
	}
}

// lookForLocal searches for what may take values of types that are declared in functions out of them.
func (c *comparison) lookForLocal(local map[*types.TypeName]bool, checked *Checked, found holder, passed func(fn string)) {
	s := c.search(checked, found, passed)
	s.local = local
	pkg, err := build(checked)
	if err != nil {
		found(token.Position{}, "", "package %s %v", checked.Package.Path, err)
		return
	}
	for _, fn := range functions(pkg) {
		s.function(fn, fn)
	}
}

// locals looks for types that are declared in functions: nothing in the names of what is made of these tells that they are
// others now.
func (s *search) locals(checked *Checked) {
	var first *types.TypeName
	for _, obj := range checked.Info.Defs {
		t, ok := obj.(*types.TypeName)
		if !ok || t.Parent() == checked.Types.Scope() || t.IsAlias() || first != nil && first.Pos() < t.Pos() {
			continue
		}
		if _, param := t.Type().(*types.TypeParam); !param && s.mentions(t.Type().Underlying()) {
			first = t
		}
	}
	if first != nil {
		s.at(first.Pos(), "", "type "+first.Name()+" is declared in a function and made of it")
	}
}

// build makes the intermediate form of a package.
func build(checked *Checked) (pkg *ssa.Package, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be looked into: %v", r)
		}
	}()
	prog := ssa.NewProgram(checked.Fset, 0)
	made := make(map[*types.Package]bool)
	var imports func(list []*types.Package)
	imports = func(list []*types.Package) {
		for _, p := range list {
			if !made[p] {
				made[p] = true
				prog.CreatePackage(p, nil, nil, true)
				imports(p.Imports())
			}
		}
	}
	imports(checked.Types.Imports())
	pkg = prog.CreatePackage(checked.Types, checked.Files, checked.Info, false)
	pkg.Build()
	return pkg, nil
}

// functions returns the declared functions and methods of a package, and that which initialises its variables.
func functions(pkg *ssa.Package) []*ssa.Function {
	var list []*ssa.Function
	for _, m := range pkg.Members {
		switch m := m.(type) {
		case *ssa.Function:
			list = append(list, m)
		case *ssa.Type:
			if named, ok := m.Type().(*types.Named); ok && m.Object().Pkg() == pkg.Pkg {
				for method := range named.Methods() {
					if fn := pkg.Prog.FuncValue(method); fn != nil {
						list = append(list, fn)
					}
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b *ssa.Function) int { return int(a.Pos() - b.Pos()) })
	return list
}

// mentions reports whether a type is written with one of the set.
func (s *search) mentions(t types.Type) bool {
	if t == nil {
		return false
	}
	yes, ok := s.known[t]
	if !ok {
		yes = s.mention(t) != ""
		s.known[t] = yes
	}
	return yes
}

func (s *search) mention(t types.Type) (name string) {
	facts.Mentioned(t, func(t *types.TypeName) {
		if s.local[t] {
			name = t.Name()
		} else if link, ok := facts.LinkName(t); ok && s.set[link] && name == "" {
			name = link
		}
	})
	return name
}

func (s *search) at(pos token.Pos, of, what string) {
	s.found(s.fset.PositionFor(pos, false), of, "%s", what)
}

// function looks into a function and the function literals in it.
func (s *search) function(fn, outer *ssa.Function) {
	for _, b := range fn.Blocks {
		for _, in := range b.Instrs {
			s.instruction(in, outer)
		}
	}
	for _, lit := range fn.AnonFuncs {
		s.function(lit, outer)
	}
}

func (s *search) instruction(in ssa.Instruction, outer *ssa.Function) {
	switch in := in.(type) {
	case *ssa.MakeInterface:
		switch {
		case !s.mentions(in.X.Type()):
		case s.isPassed(in):
			name := ""
			if obj := outer.Object(); obj != nil {
				name, _ = facts.LinkName(obj)
			}
			if name != "" || s.local != nil {
				s.passed(name)
			}
		default:
			s.at(position(in, outer), s.mention(in.X.Type()), "an interface may hold it")
		}
	case *ssa.MakeClosure:
		fn := in.Fn.(*ssa.Function)
		if s.local != nil || fn.Synthetic == "range-over-func yield" || s.isCalled(in) {
			break
		}
		for _, v := range in.Bindings {
			if s.mentions(v.Type()) {
				s.at(position(in, outer), s.mention(v.Type()), "a function literal or method value may hold it")
			}
		}
	case *ssa.Go:
		if s.starts {
			s.at(position(in, outer), "", "a goroutine that starts with the program may hold it")
		}
	case *ssa.Convert:
		if s.mentions(in.X.Type()) && isUnsafe(in.Type()) || s.mentions(in.Type()) && isUnsafe(in.X.Type()) {
			s.at(position(in, outer), "", "an unsafe.Pointer may point to it")
		}
	}
	for _, v := range in.Operands(nil) {
		fn, ok := (*v).(*ssa.Function)
		if !ok || slices.Contains(plainGenerics, packageOf(fn)) {
			continue
		}
		for _, arg := range typeArgsOf(fn) {
			if s.mentions(arg) {
				s.at(position(in, outer), s.mention(arg), "it is a type argument of "+nameOf(fn)+", which may hold it")
			}
		}
	}
}

// typeArgsOf returns the type arguments of a function, or of the receiver of the method that it calls.
func typeArgsOf(fn *ssa.Function) []types.Type {
	args := fn.TypeArgs()
	obj, ok := fn.Object().(*types.Func)
	if !ok || len(args) > 0 || obj.Signature().Recv() == nil {
		return args
	}
	t := types.Unalias(obj.Signature().Recv().Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if named, ok := t.(*types.Named); ok {
		args = slices.Collect(named.TypeArgs().Types())
	}
	return args
}

func isUnsafe(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.UnsafePointer
}

// position returns where an instruction, or else its function, stands.
func position(in ssa.Instruction, fn *ssa.Function) token.Pos {
	if pos := in.Pos(); pos.IsValid() {
		return pos
	}
	if v, ok := in.(ssa.Value); ok && v.Referrers() != nil {
		for _, r := range *v.Referrers() {
			if pos := r.Pos(); pos.IsValid() {
				return pos
			}
		}
	}
	return fn.Pos()
}

// isCalled reports whether a closure ends with the function that makes it: it is called, or started, or given to a function
// that calls it.
func (s *search) isCalled(v *ssa.MakeClosure) bool {
	return all(v.Referrers(), func(r ssa.Instruction) bool {
		if call, ok := r.(ssa.CallInstruction); ok && call.Common().Value == v && !slices.Contains(call.Common().Args, ssa.Value(v)) {
			return true
		}
		return isArgument(r, v, callsNow)
	})
}

// isArgument reports whether an instruction calls a function of some kind with a value.
func isArgument(in ssa.Instruction, v ssa.Value, of func(*ssa.Function) bool) bool {
	call, ok := in.(ssa.CallInstruction)
	if _, started := in.(*ssa.Go); !ok || started || call.Common().Value == v {
		return false
	}
	fn := call.Common().StaticCallee()
	return fn != nil && of(fn)
}

func keepsNothing(fn *ssa.Function) bool { return slices.Contains(keepNothing, nameOf(fn)) }

func callsNow(fn *ssa.Function) bool {
	return slices.Contains(callNow, nameOf(fn)) || packageOf(fn) == "slices" && strings.HasSuffix(nameOf(fn), "Func")
}

func all(list *[]ssa.Instruction, ok func(ssa.Instruction) bool) bool {
	for _, r := range *list {
		if !ok(r) {
			return false
		}
	}
	return true
}

// withoutArgs returns a function as it was declared, without type arguments.
func withoutArgs(fn *ssa.Function) *types.Func {
	if origin := fn.Origin(); origin != nil {
		fn = origin
	}
	obj, _ := fn.Object().(*types.Func)
	return obj
}

// nameOf returns the name of a function with its package and receiver, "" if it has none.
func nameOf(fn *ssa.Function) string {
	if obj := withoutArgs(fn); obj != nil {
		return obj.FullName()
	}
	return ""
}

func packageOf(fn *ssa.Function) string {
	if obj := withoutArgs(fn); obj != nil && obj.Pkg() != nil {
		return obj.Pkg().Path()
	}
	return ""
}
