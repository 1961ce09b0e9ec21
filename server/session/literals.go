package session

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/reload"
)

// placesOf says where the function literals of a declaration stand, in the order of decl.Literals. Others of the file may
// begin in the same line.
func placesOf(fset *token.FileSet, file *ast.File, made ast.Node) []reload.Literal {
	type line struct {
		file string
		line int
	}
	of := map[line]int{}
	nth := map[*ast.FuncLit]int{}
	for _, lit := range decl.Literals(file) {
		p := fset.Position(lit.Pos())
		nth[lit] = of[line{p.Filename, p.Line}]
		of[line{p.Filename, p.Line}]++
	}
	var places []reload.Literal
	for _, lit := range decl.Literals(made) {
		p := fset.Position(lit.Pos())
		places = append(places, reload.Literal{File: p.Filename, Line: p.Line, Nth: nth[lit], Of: of[line{p.Filename, p.Line}]})
	}
	return places
}

// A pairing says which function literals of the old source go on as which of the new one.
type pairing struct {
	*job
	list []reload.ClosurePair
	all  []reload.Literal // of the files of the old source that those are in
	seen map[ast.Node]bool
}

// note takes in all function literals of a file of the old source. In one that imports "C" there are some that cgo makes.
func (j *pairing) note(fset *token.FileSet, file *ast.File) {
	ofC := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"C"` })
	if !ofC && !j.seen[file] {
		j.seen[file] = true
		j.all = append(j.all, placesOf(fset, file, file)...)
	}
}

// gone takes in those of a declaration that is gone.
func (j *pairing) gone(d *decl.Decl) {
	j.note(d.Parsed.Fset, d.Parsed.Syntax)
	made := d.Node
	if d.Kind == decl.Var {
		made = d.Value() // its specification may be that of others
	}
	if made == nil || j.seen[made] {
		return
	}
	j.seen[made] = true // it may initialise several variables
	for _, lit := range placesOf(d.Parsed.Fset, d.Parsed.Syntax, made) {
		j.list = append(j.list, reload.ClosurePair{Old: lit})
	}
}

// of takes in those of a package that are compiled again.
func (j *pairing) of(set analysis.PackageSet) {
	add := func(old *located, new ast.Node, matches []analysis.ClosureMatch, isNew bool) {
		if old == nil {
			return
		}
		j.note(old.fset, old.file)
		before := placesOf(old.fset, old.file, old.node)
		after := placesOf(set.Checked.Fset, fileOf(set.Checked.Files, new), new)
		from := make([]int, len(after)) // which one of before goes on, from 1
		told, apart, called := make([]bool, len(after)), make([]bool, len(after)), make([]bool, len(after))
		for _, m := range matches {
			if m.NewLiteral > 0 {
				after[m.NewLiteral-1].Name = m.New
			}
			if m.OldLiteral > 0 {
				before[m.OldLiteral-1].Name = m.Old
			}
			if m.NewLiteral > 0 && m.OldLiteral > 0 && !isNew {
				n := m.NewLiteral - 1
				from[n], told[n], apart[n], called[n] = m.OldLiteral, m.Told, m.Apart, m.Called
			}
		}
		for i, o := range from {
			p := reload.ClosurePair{New: after[i], Told: told[i], Apart: apart[i], Called: called[i]}
			if o > 0 {
				p.Old = before[o-1]
			}
			j.list = append(j.list, p)
		}
		for i := range before {
			if !slices.Contains(from, i+1) {
				j.list = append(j.list, reload.ClosurePair{Old: before[i]})
			}
		}
	}
	for _, f := range set.Funcs {
		if slices.Contains(set.Rerun, f.Decl) {
			continue // it begins anew, and what has its number in the old source may be another one
		}
		if f.Syntax != nil {
			isNew := slices.Contains(j.report.New, f.Decl)
			if old := j.report.Renamed[f.Decl]; old != "" {
				f.ID.Name = old[strings.LastIndexByte(old, '.')+1:]
			}
			add(j.oldFunc(set.Path, f), f.Syntax, f.Closures, isNew)
		}
	}
	for _, init := range set.Initializers {
		if !j.seen[init.Value] {
			j.seen[init.Value] = true // it may be that of several variables
			matches := slices.Clone(init.Closures)
			for i := range matches {
				matches[i].New, matches[i].Old = "", "" // the compiler numbers them through the package
			}
			add(j.oldVar(set.Path, init), init.Value, matches, false)
		}
	}
}

// fileOf returns the file that a node stands in.
func fileOf(files []*ast.File, n ast.Node) *ast.File {
	for _, f := range files {
		if f.FileStart <= n.Pos() && n.Pos() < f.FileEnd {
			return f
		}
	}
	return nil
}
