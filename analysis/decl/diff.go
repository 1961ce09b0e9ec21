package decl

import (
	"cmp"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Change is one declaration of which the old and the new package do not have the same.
type Change struct {
	Old, New *Decl // Old is nil for an added declaration, New for a removed one
	Parts    Part  // in which they differ; 0 if one is nil, and in a declaration that only moved to another file
	// Requalified: a name before a dot stands for another package than before; what follows from that is not in Parts
	// but for Body, Value or SpelledType.
	Requalified bool
	// Literals: Body or Value differ, but only inside of function literals.
	Literals bool
}

// FileKind says what became of a file.
type FileKind uint8

// What becomes of a file.
const (
	Edited  FileKind = iota // text differs; declarations may or may not
	Added                   // there was none of the name
	Deleted                 // there is none of the name any more
	Renamed                 // the same text under another name
)

// FileChange is one file that differs.
type FileChange struct {
	Kind       FileKind
	Old, New   *snapshot.File
	Moved      bool                // code in it has other lines now
	Reordered  bool                // declarations stand in another order
	Directives [numDirectives]bool // which file-level directives differ
}

// ImportChange is a package that the files of a package import now and did not before, or the other way round.
type ImportChange struct {
	Path  string // package path
	Added bool
	File  *File // that has it
	Pos   token.Pos
}

// Delta is all in which two versions of a package differ.
type Delta struct {
	Decls   []Change
	Files   []FileChange
	Imports []ImportChange
	Lines   []LineMove
	// Rearranged: declarations that are the same stand in another order or in other files.
	Rearranged bool
}

// Same reports whether nothing differs but text that means nothing, and lines.
func (d *Delta) Same() bool {
	for _, f := range d.Files {
		if f.Directives != [numDirectives]bool{} {
			return false
		}
	}
	return len(d.Imports) == 0 && !slices.ContainsFunc(d.Decls, func(c Change) bool {
		return c.Old == nil || c.New == nil || c.Parts != 0
	})
}

// PackageNames returns the name in the package clause of the package with that path, "" if it is not known.
type PackageNames func(path string) string

// Diff compares two versions of one package. The order of the result is that of the new package, removals last.
func Diff(old, new Source) *Delta {
	d := differ{old: old, new: new, delta: &Delta{}}
	d.declarations()
	d.files()
	d.imports()
	return d.delta
}

// Source is one version of a package, with what its imports are called.
type Source struct {
	Package *snapshot.Package
	Files   []*File // as Package.Files
	Names   PackageNames
}

// Load returns a version of the package with that path; it has no files if the snapshot has no such package.
func Load(s *snapshot.Snapshot, path string) Source {
	src := Source{Package: s.Package(path), Names: func(path string) string {
		if p := s.Package(path); p != nil {
			return p.Name
		}
		return ""
	}}
	if src.Package == nil {
		src.Package = &snapshot.Package{Path: path}
	}
	for _, f := range src.Package.Files {
		src.Files = append(src.Files, Of(f.Parse(s.Fset())))
	}
	return src
}

type pair struct{ old, new *Decl }

type differ struct {
	old, new Source
	delta    *Delta
	pairs    []pair // that are the same but for the place
}

// file returns the file with the base name of path, whatever directory the package is in; nil if there is none.
func (s Source) file(path string) *File {
	for i, f := range s.Package.Files {
		if filepath.Base(f.Path) == filepath.Base(path) {
			return s.Files[i]
		}
	}
	return nil
}

func (d *differ) declarations() {
	oldDecls, newDecls := numbered(d.old.Files), numbered(d.new.Files)
	oldByID := make(map[ID]*Decl, len(oldDecls))
	repeated := make(map[ID][]*Decl) // by ID without number
	for _, o := range oldDecls {
		oldByID[o.ID] = o
		if o.repeats() {
			id := o.ID
			id.N = 0
			repeated[id] = append(repeated[id], o)
		}
	}
	partner := make(map[*Decl]*Decl, len(newDecls)) // new → old
	taken := make(map[*Decl]bool)
	d.pairRepeated(newDecls, repeated, partner, taken)
	for _, n := range newDecls {
		if o := oldByID[n.ID]; o != nil && !n.repeats() {
			partner[n], taken[o] = o, true
		}
	}
	for _, n := range newDecls {
		o := partner[n]
		if o == nil {
			d.delta.Decls = append(d.delta.Decls, Change{New: n})
			continue
		}
		c := Change{Old: o, New: n, Parts: o.differ(n)}
		if c.Parts&KindOf == 0 && d.requalified(o, n) {
			c.Requalified = true
			c.Parts |= map[Kind]Part{Func: Body, Method: Body, Var: Value, Const: Value, Type: SpelledType}[n.Kind]
		} else if c.Parts&(Body|Value) != 0 {
			c.Literals = o.literals && n.literals && o.outside == n.outside
		}
		if c.Parts == 0 {
			d.pairs = append(d.pairs, pair{o, n})
			if filepath.Base(o.Parsed.File.Path) == filepath.Base(n.Parsed.File.Path) {
				continue
			}
			d.delta.Rearranged = true
		}
		d.delta.Decls = append(d.delta.Decls, c)
	}
	for _, o := range oldDecls {
		if !taken[o] {
			d.delta.Decls = append(d.delta.Decls, Change{Old: o})
		}
	}
}

// numbered returns all declarations in package order, those that repeat with their numbers. A declaration whose number
// is not 0 is a copy: files do not know their place in the package.
func numbered(files []*File) []*Decl {
	var all []*Decl
	count := make(map[ID]int)
	for _, f := range files {
		for _, d := range f.Decls {
			if d.repeats() {
				id := d.ID
				if n := count[id]; n > 0 {
					c := *d
					c.N = n
					d = &c
				}
				count[id]++
			}
			all = append(all, d)
		}
	}
	return all
}

// pairRepeated finds partners of declarations that have no name of their own: first those with the same fingerprint,
// then those that differ in what they do only, then the rest in order.
func (d *differ) pairRepeated(decls []*Decl, old map[ID][]*Decl, partner map[*Decl]*Decl, taken map[*Decl]bool) {
	for _, may := range []Part{0, Body | Value | Names, 1<<numParts - 1} {
		for _, n := range decls {
			if !n.repeats() || partner[n] != nil {
				continue
			}
			id := n.ID
			id.N = 0
			for _, o := range old[id] {
				if !taken[o] && o.Kind == n.Kind && o.differ(n)&^may == 0 {
					partner[n], taken[o] = o, true
					break
				}
			}
		}
	}
}

// requalified reports whether a name of both declarations stands for another package than before: the text is the same,
// the meaning is not.
func (d *differ) requalified(o, n *Decl) bool {
	if o.Parsed.File.Hash == n.Parsed.File.Hash {
		return false
	}
	before, after := d.old.scope(Of(o.Parsed)), d.new.scope(Of(n.Parsed))
	if !maps.Equal(before.dots, after.dots) && d.mayUseDots(n) {
		return true
	}
	for _, q := range n.quals {
		if _, both := slices.BinarySearch(o.quals, q); both && before.names[q] != after.names[q] {
			return true
		}
	}
	return false
}

// mayUseDots reports whether a declaration has a name that a dot import could bring: one that is exported, stands behind
// no dot, and is not declared by both versions of the package itself.
func (d *differ) mayUseDots(n *Decl) bool {
	behind := make(map[*ast.Ident]bool)
	found := false
	ast.Inspect(n.Node, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			behind[node.Sel] = true
		case *ast.Ident:
			found = found || node.IsExported() && !behind[node] && !(d.old.declares(node.Name) && d.new.declares(node.Name))
		}
		return !found
	})
	return found
}

// declares reports whether a package-level name is one of the package's own.
func (s Source) declares(name string) bool {
	return slices.ContainsFunc(s.Files, func(f *File) bool {
		return slices.ContainsFunc(f.Decls, func(d *Decl) bool { return d.Name == name && d.Kind != Method })
	})
}

type scope struct {
	names map[string]string // local name → package path
	dots  map[string]bool   // dot imports
}

func (s Source) scope(f *File) scope {
	sc := scope{names: make(map[string]string), dots: make(map[string]bool)}
	for _, imp := range f.Imports {
		pkg := s.Package.ImportPath(imp.Path)
		switch imp.Name {
		case "_":
		case ".":
			sc.dots[pkg] = true
		case "":
			name := s.Names(pkg)
			if name == "" {
				name = path.Base(imp.Path)
			}
			sc.names[name] = pkg
		default:
			sc.names[imp.Name] = pkg
		}
	}
	return sc
}

func (d *differ) files() {
	moved := make(map[string]bool)    // new file path → lines moved
	order := make(map[string][]*Decl) // new file path → old declarations in their new order
	for _, p := range d.pairs {
		o, n := p.old.Parsed.File, p.new.Parsed.File
		if o.Path == n.Path && o.Hash == n.Hash {
			continue
		}
		if filepath.Base(o.Path) == filepath.Base(n.Path) {
			order[n.Path] = append(order[n.Path], p.old)
		}
		if lines := moveLines(p.old, p.new); len(lines) > 0 {
			moved[n.Path] = true
			d.delta.Lines = append(d.delta.Lines, lines...)
		}
	}
	d.delta.Lines = mergeLines(d.delta.Lines)

	var gone, came []*File
	for _, n := range d.new.Files {
		o := d.old.file(n.Parsed.File.Path)
		if o == nil {
			came = append(came, n)
			continue
		}
		if o.Parsed.File.Hash == n.Parsed.File.Hash {
			if o.Parsed.File.Path != n.Parsed.File.Path {
				d.delta.Files = append(d.delta.Files, FileChange{Kind: Renamed, Old: o.Parsed.File, New: n.Parsed.File})
			}
			continue
		}
		c := FileChange{Kind: Edited, Old: o.Parsed.File, New: n.Parsed.File, Moved: moved[n.Parsed.File.Path]}
		c.Reordered = !slices.IsSortedFunc(order[n.Parsed.File.Path], func(a, b *Decl) int { return cmp.Compare(a.Pos, b.Pos) })
		for k := range numDirectives {
			c.Directives[k] = o.Directives[k] != n.Directives[k]
		}
		d.delta.Files = append(d.delta.Files, c)
		d.delta.Rearranged = d.delta.Rearranged || c.Reordered
	}
	for _, o := range d.old.Files {
		if d.new.file(o.Parsed.File.Path) == nil {
			gone = append(gone, o)
		}
	}
	for _, n := range came {
		i := slices.IndexFunc(gone, func(o *File) bool { return o.Parsed.File.Hash == n.Parsed.File.Hash })
		if i >= 0 {
			d.delta.Files = append(d.delta.Files, FileChange{Kind: Renamed, Old: gone[i].Parsed.File, New: n.Parsed.File})
			gone = slices.Delete(gone, i, i+1)
			continue
		}
		d.delta.Files = append(d.delta.Files, FileChange{Kind: Added, New: n.Parsed.File, Directives: n.present()})
	}
	for _, o := range gone {
		d.delta.Files = append(d.delta.Files, FileChange{Kind: Deleted, Old: o.Parsed.File, Directives: o.present()})
	}
}

// present returns which directives mean something when the whole file comes or goes: that its constraints hold is why it
// does.
func (f *File) present() (has [numDirectives]bool) {
	for k, text := range f.Directives {
		has[k] = text != "" && Directive(k) != Constraint
	}
	return has
}

func (d *differ) imports() {
	before, after := d.old.imports(), d.new.imports()
	for _, i := range after {
		if !slices.ContainsFunc(before, func(o ImportChange) bool { return o.Path == i.Path }) {
			i.Added = true
			d.delta.Imports = append(d.delta.Imports, i)
		}
	}
	for _, o := range before {
		if !slices.ContainsFunc(after, func(i ImportChange) bool { return o.Path == i.Path }) {
			d.delta.Imports = append(d.delta.Imports, o)
		}
	}
}

// imports returns the packages that the files import, each with the first place.
func (s Source) imports() []ImportChange {
	var list []ImportChange
	seen := make(map[string]bool)
	for _, f := range s.Files {
		for i := range f.Imports {
			pkg := s.Package.ImportPath(f.Imports[i].Path)
			if !seen[pkg] {
				seen[pkg] = true
				list = append(list, ImportChange{Path: pkg, Pos: f.Imports[i].Pos, File: f})
			}
		}
	}
	return list
}

// Decls returns all declarations of the package in order, with those that repeat numbered.
func (s Source) Decls() []*Decl { return numbered(s.Files) }
