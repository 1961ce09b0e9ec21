package analysis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A Session compares snapshots of one program again and again. It keeps imported packages, facts, and the packages that
// were type-checked last. Its methods may be called from several goroutines; comparisons wait for each other.
type Session struct {
	env      Env
	importer *importer
	index    *Index

	mu     sync.Mutex // one comparison at a time; guards the rest
	recent []recentCheck
	apis   map[apiKey]facts.APIDiff
	built  *snapshot.Snapshot // of which export data tell

	proofs   map[string]proof // by type, and what is made of it
	proofsOf *snapshot.Snapshot

	recentBytes int // how much source the packages in recent may have, but for the latest
	comparisons int // that were made
}

// An apiKey is two versions of a package as others see them.
type apiKey struct {
	path     string
	importer int // generation of imported packages
	old, new factKey
}

// A recentCheck is a type-checked package and what it follows from.
type recentCheck struct {
	key      factKey
	importer int // generation of imported packages
	size     int // bytes of source
	checked  *Checked
}

// recentBytes is how much source the type-checked packages that a session keeps may have. Syntax and types take about a
// hundred times as much memory.
const recentBytes = 2 << 20

// NewSession returns a session for programs of that build. index may be nil.
func NewSession(env Env, index *Index) *Session {
	if index == nil {
		index = NewIndex()
	}
	return &Session{
		env: env, index: index, recentBytes: recentBytes, apis: make(map[apiKey]facts.APIDiff),
		importer: newImporter(env),
	}
}

// Index returns the session's index.
func (s *Session) Index() *Index { return s.index }

// release returns the minor version of a Go version: 26 for "go1.26.8".
func release(goVersion string) int {
	_, rest, _ := strings.Cut(goVersion, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return n
}

// Compare compares what a program runs with what the source says now. The error is for what is no fault of the source;
// a *ToolchainError is one that the user can remedy.
func (s *Session) Compare(ctx context.Context, old, new *snapshot.Snapshot) (*Report, error) {
	return s.CompareFor(ctx, old, new, Wishes{})
}

// CompareFor is Compare for a refresh of which more is asked than to make the source live.
func (s *Session) CompareFor(ctx context.Context, old, new *snapshot.Snapshot, wishes Wishes) (*Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.compare(ctx, old, new, false, wishes)
	if err != nil {
		return nil, err
	}
	return c.report, nil
}

// Draft is Compare for source on which somebody is working. Of what is to be compiled anew it only names the packages.
// Where a declaration needs a restart it does not look at the bodies of functions that did not change, nor at packages that
// import what changed: there may be errors, and more to say, and nothing is said of what to compile anew.
func (s *Session) Draft(ctx context.Context, old, new *snapshot.Snapshot) (*Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.compare(ctx, old, new, true, Wishes{})
	if err == nil && c.partial && len(c.report.Errors) == 0 && !c.refused() {
		c, err = s.compare(ctx, old, new, false, Wishes{})
	}
	if err != nil {
		return nil, err
	}
	return c.report, nil
}

// refused reports whether an edit needs a restart, whatever may be found out about variables.
func (c *comparison) refused() bool {
	return slices.ContainsFunc(c.report.Edits, func(e edit.Edit) bool { return e.Verdict() == edit.Restart && e.Kind != edit.VarType })
}

// compareAs compares two snapshots as they are.
func (s *Session) compareAs(ctx context.Context, old, new *snapshot.Snapshot, draft bool, wishes Wishes) (*comparison, error) {
	c := &comparison{
		Session: s, ctx: ctx, old: old, new: new, draft: draft, wishes: wishes,
		report: &Report{}, byPath: make(map[string]*changedPackage), suspect: make(map[string]bool),
		names: make(map[string]string), wentAs: make(map[string]string), sameCode: make(map[string]bool),
	}
	for _, step := range []func() error{
		c.views,
		c.modules,
		c.diff,
		c.check,
		c.facts,
		c.classify,
		c.localTypes,
		c.recompile,
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	c.report.Errors = slices.DeleteFunc(c.report.Errors, c.mayNeed)
	c.report.comparison = c
	c.report.Before, c.report.After = old, new
	return c, nil
}

// A comparison is one run of Compare.
type comparison struct {
	*Session
	ctx           context.Context
	old, new      *snapshot.Snapshot
	before, after *view // of old and new
	report        *Report
	wishes        Wishes
	draft         bool // what takes long may be left out
	partial       bool // something was

	changed []*changedPackage // dependencies first
	byPath  map[string]*changedPackage

	language     string              // the newest that a go.mod file asks for, where it asked for another one: "go1.25"
	suspect      map[string]bool     // packages whose API changed, and what relies on them
	names        map[string]string   // link names of what was renamed and goes on: the new ones, and the old
	wentAs       map[string]string   // link names of types that have another name: the new ones, and the old
	sameCode     map[string]bool     // of these functions, by the new names, those that do what they did
	namesChanged []string            // link names of functions, variables and constants that importers knew
	typesChanged bool                // types or methods that importers knew changed
	embedded     map[string][]string // see embeds
	renumbered   []string            // old link names of types in functions that have others now, and that no interface ever holds
}

// A changedPackage is one package of which the source differs.
type changedPackage struct {
	old, new           decl.Source
	delta              *decl.Delta
	broken             bool   // it has errors: nothing is said of its edits
	unlinked           bool   // it imports what the program cannot get: it cannot be type-checked
	translated         bool   // cgo was asked
	needsC             string // and says why what it makes needs other C code
	partial            bool   // not all of it was looked at
	checked            *Checked
	oldFacts, newFacts *facts.Package // nil if nothing needs them
}

func (p *changedPackage) path() string { return p.new.Package.Path }

// means reports whether the difference means something to the compiler: of types in functions it has to be known how they are
// numbered, wherever they stand now.
func (p *changedPackage) means() bool {
	return !p.delta.Same() || slices.ContainsFunc(p.new.Decls(), (*decl.Decl).HasLocalTypes)
}

func (c *comparison) add(k edit.Kind, name string, at place, detail string) {
	c.report.Edits = append(c.report.Edits, edit.Edit{
		Kind: k, Decl: name, File: c.new.Rel(at.file), Line: at.line, Column: at.column, Detail: detail,
	})
}

// views finds out how the packages of both snapshots see each other. In a draft, check settles what it needs of the new one.
func (c *comparison) views() error {
	c.before, c.after = c.view(c.old), c.view(c.new)
	if err := c.before.settle(c.ctx, c.old.Packages()); err != nil || c.draft {
		return err
	}
	return c.settle()
}

// settle finds out how all packages of the new snapshot look.
func (c *comparison) settle() error { return c.after.settle(c.ctx, c.new.Packages()) }

// diff finds the packages that differ, and in what.
func (c *comparison) diff() error {
	for _, p := range c.old.Packages() {
		if c.new.Package(p.Path) == nil && p.Local {
			c.add(edit.PackageDeleted, p.Path, place{p.Dir, 1, 1}, "")
		}
	}
	var changed []*snapshot.Package
	for _, p := range c.new.Packages() {
		o := c.old.Package(p.Path)
		if o == nil || o.SameSource(p) {
			continue
		}
		switch {
		case p.Standard || c.env.Reserved != nil && c.env.Reserved(p.Path):
			c.protect(edit.Protected, o, p)
		case !p.Local:
			c.protect(edit.ModuleCache, o, p)
		case len(p.Files) == 0:
			c.add(edit.PackageDeleted, p.Path, place{p.Dir, 1, 1}, "")
		default:
			changed = append(changed, p)
		}
	}
	for _, p := range inImportOrder(c.new, changed) {
		pkg := &changedPackage{old: decl.Load(c.old, p.Path), new: decl.Load(c.new, p.Path)}
		c.changed = append(c.changed, pkg)
		if list := syntaxErrors(pkg.new, c.new.Rel); len(list) > 0 {
			c.report.Errors = append(c.report.Errors, list...)
			pkg.broken = true
			continue
		}
		pkg.delta = decl.Diff(pkg.old, pkg.new)
		pkg.delta.Decls = split(pkg.delta.Decls)
	}
	return nil
}

// protect reports the files of a package that nobody may edit.
func (c *comparison) protect(k edit.Kind, old, new *snapshot.Package) {
	reported := false
	for _, f := range new.Files {
		if o := old.File(f.Path); o == nil || o.Hash != f.Hash {
			c.add(k, new.Path, place{f.Path, 1, 1}, "")
			reported = true
		}
	}
	for _, f := range new.Other {
		if !slices.ContainsFunc(old.Other, func(o snapshot.OtherFile) bool { return o.Path == f.Path && o.Hash == f.Hash }) {
			c.add(k, new.Path, place{f.Path, 1, 1}, "")
			reported = true
		}
	}
	if !reported { // one was removed
		c.add(k, new.Path, place{new.Dir, 1, 1}, "")
	}
}

// changedBodies returns the link names of the functions that differ, if that is all and they differ in nothing but their
// bodies, names of parameters and pragmas; nil otherwise.
func (p *changedPackage) changedBodies() map[string]bool {
	names := make(map[string]bool)
	for _, c := range p.delta.Decls {
		if c.Old == nil || c.New == nil || c.Requalified || c.Parts&^(decl.Body|decl.Names|decl.Pragma) != 0 {
			return nil
		}
		if c.Parts != 0 && (c.Old.Func() == nil || c.Old.HasLocalTypes() || c.New.HasLocalTypes()) {
			return nil
		}
		if c.Parts != 0 {
			names[facts.DeclName(p.new.Package, c.New)] = true
		}
	}
	for _, f := range p.new.Files {
		if o := p.old.Package.File(f.Parsed.File.Path); (o == nil || o.Hash != f.Parsed.File.Hash) && importsAmbiguously(f) {
			return nil
		}
	}
	if p.delta.Rearranged && slices.ContainsFunc(p.new.Decls(), (*decl.Decl).HasLocalTypes) {
		return nil
	}
	return names
}

// touched returns the link names of the declarations that came or changed.
func (p *changedPackage) touched() map[string]bool {
	names := make(map[string]bool)
	for _, c := range p.delta.Decls {
		if c.New != nil && (c.Old == nil || c.Parts != 0 || c.Requalified) {
			names[facts.DeclName(p.new.Package, c.New)] = true
		}
	}
	return names
}

// importsAmbiguously reports whether it cannot be told from what is known of a file's declarations which of its imports
// they use: one package is imported twice, or with a dot.
func importsAmbiguously(f *decl.File) bool {
	seen := make(map[string]bool)
	for _, imp := range f.Imports {
		if seen[imp.Path] || imp.Name == "." {
			return true
		}
		seen[imp.Path] = true
	}
	return false
}

// inImportOrder sorts Local packages of a snapshot as ImportsFirst does.
func inImportOrder(snap *snapshot.Snapshot, packages []*snapshot.Package) []*snapshot.Package {
	return slices.DeleteFunc(snap.ImportsFirst(packages), func(p *snapshot.Package) bool { return !slices.Contains(packages, p) })
}

// check type-checks what changed, and what relies on it and may not compile any more.
func (c *comparison) check() error {
	for _, p := range c.changed {
		c.byPath[p.path()] = p
		if p.broken {
			continue
		}
		if list := c.importErrors(p); len(list) > 0 {
			c.report.Errors = append(c.report.Errors, list...)
			p.broken = true
		}
	}
	var imported []*snapshot.Package
	for _, p := range c.changed {
		for _, imp := range p.new.Package.Imports {
			imported = append(imported, c.new.Package(imp))
		}
	}
	if err := c.after.settle(c.ctx, imported); err != nil {
		return err
	}
	near, err := c.likelyBodies()
	if err != nil {
		return err
	}
	for _, p := range c.new.InOrder() {
		relies := slices.ContainsFunc(p.Imports, func(imp string) bool { return c.suspect[imp] })
		if relies {
			c.suspect[p.Path] = true
		}
		pkg := c.byPath[p.Path]
		if pkg == nil {
			if !relies || c.draft || !c.affected(p) {
				c.partial = c.partial || c.draft && relies
				continue
			}
		} else {
			if pkg.broken || !pkg.means() && !relies {
				continue
			}
			if c.importsUnlinked(pkg) {
				pkg.unlinked = true
				continue
			}
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		var bodies map[string]bool
		if pkg != nil && !relies {
			bodies = near[p.Path]
		}
		if bodies == nil && pkg != nil && c.draft {
			bodies = pkg.touched()
			pkg.partial, c.partial = true, true
		}
		var list []SourceError
		checked, _ := c.recall(p, bodies)
		if checked == nil {
			checked, list, err = c.after.check(p, bodies, c.draft)
			if err == nil && len(list) > 0 && bodies != nil && !c.draft {
				checked, list, err = c.after.check(p, nil, false) // all errors, unused imports among them
			}
			if err != nil {
				return err
			}
		}
		visible := checked // to others
		if len(list) == 0 && c.env.Cgo != nil && usesC(p) && (pkg == nil || usesC(pkg.old.Package)) {
			translated, errs, refused, err := c.checkTranslated(p, bodies)
			if err != nil {
				return err
			}
			if list = errs; translated != nil {
				visible = translated
			}
			if pkg != nil {
				pkg.translated, pkg.needsC = true, refused
			}
		}
		c.report.Errors = append(c.report.Errors, list...)
		if pkg != nil {
			pkg.checked = checked
			if pkg.broken = len(list) > 0; !pkg.broken {
				c.keep(c.after.key(p), checked)
			}
			if pkg.partial {
				c.suspect[p.Path] = true
				continue
			}
			if err := c.compareAPI(visible); err != nil {
				return err
			}
		}
	}
	return nil
}

// likelyBodies returns, for each package in which nothing but bodies changed, which bodies have to be checked: those that
// changed, and if it is not a draft, those that are looked at when they are compiled, as far as the old source tells. Bodies
// that did not change have no new errors.
func (c *comparison) likelyBodies() (map[string]map[string]bool, error) {
	likely := make(map[string]map[string]bool)
	for _, p := range c.changed {
		if p.broken {
			continue
		}
		if names := p.changedBodies(); len(names) > 0 {
			likely[p.path()] = names
		}
	}
	if len(likely) == 0 || c.draft {
		return likely, nil
	}
	prog, err := c.program(c.before)
	if err != nil {
		return nil, err
	}
	s := prog.newSet()
	for _, name := range c.changedFuncs() {
		if prog.decl(name) != nil {
			s.add(name, Changed)
		}
	}
	for path, bodies := range s.bodies() {
		if likely[path] != nil {
			maps.Copy(likely[path], bodies)
		}
	}
	return likely, nil
}

// compareAPI notes what importers of a package see that they did not see before. No package imports main.
func (c *comparison) compareAPI(checked *Checked) error {
	if checked.Package.Name == "main" {
		return nil
	}
	path := checked.Package.Path
	before, err := c.before.load(path)
	if errors.Is(err, errNoExport) {
		c.suspect[path], c.typesChanged = true, true
		return nil
	}
	if err != nil {
		return err
	}
	key := apiKey{path, c.importer.generation, c.before.seen(c.old.Package(path)), c.after.seen(checked.Package)}
	diff, ok := c.apis[key]
	if !ok {
		diff = facts.CompareAPI(before, checked.Types)
		if len(c.apis) > maxImports {
			clear(c.apis)
		}
		c.apis[key] = diff
	}
	if !diff.Same {
		c.suspect[path] = true
		c.typesChanged = c.typesChanged || diff.Types
		c.namesChanged = append(c.namesChanged, diff.Names...)
	}
	return nil
}

// affected reports whether a package that did not change may not compile any more.
func (c *comparison) affected(p *snapshot.Package) bool {
	if c.typesChanged {
		return true
	}
	if len(c.namesChanged) == 0 {
		return false
	}
	old := c.old.Package(p.Path)
	if old == nil {
		return true
	}
	f := c.index.get(p.Path, c.before.key(old))
	return f == nil || slices.ContainsFunc(c.namesChanged, func(name string) bool {
		_, refers := f.Number(name)
		return refers
	})
}

// importsUnlinked reports whether a package imports one that the program lacks.
func (c *comparison) importsUnlinked(p *changedPackage) bool {
	return slices.ContainsFunc(p.delta.Imports, func(i decl.ImportChange) bool { return i.Added && !c.linked(i.Path) && !c.joins(i.Path) })
}

// linked reports whether the program has the package.
func (c *comparison) linked(path string) bool {
	return path == "unsafe" || path == "C" || c.old.Package(path) != nil
}

// joins reports whether the program lacks the package and can get it.
func (c *comparison) joins(path string) bool { return !c.linked(path) && c.new.Package(path) != nil }

// facts finds the facts of both versions of what changed.
func (c *comparison) facts() error {
	var old []*snapshot.Package
	for _, p := range c.changed {
		if p.checked != nil && !p.broken {
			old = append(old, p.old.Package)
		}
	}
	if len(old) == 0 {
		return nil
	}
	before, err := c.before.factsOf(c.ctx, old)
	if err != nil {
		return err
	}
	for _, p := range c.changed {
		if p.checked == nil || p.broken {
			continue
		}
		if p.oldFacts = before[p.path()]; p.oldFacts == nil {
			return fmt.Errorf("package %s: the source of the running build has errors", p.path())
		}
		if p.partial {
			p.newFacts = facts.Update(p.oldFacts, c.factsInput(c.new, p.checked), p.touched()) // enough to classify these
			continue
		}
		key := c.after.key(p.new.Package)
		if p.newFacts = c.index.get(p.path(), key); p.newFacts == nil {
			// What relies on a package that looks otherwise may mean something else by the same words.
			if changed := p.changedBodies(); changed != nil && !c.suspect[p.path()] {
				p.newFacts = facts.Update(p.oldFacts, c.factsInput(c.new, p.checked), changed)
			} else {
				p.newFacts = facts.Collect(c.factsInput(c.new, p.checked))
			}
			c.index.put(p.path(), key, p.newFacts)
		}
		if p.checked.bodies != nil {
			list := unusedImports(p, c.new)
			c.report.Errors = append(c.report.Errors, list...)
			p.broken = len(list) > 0
		}
	}
	return nil
}

// unusedImports returns the imports of changed files that nothing in them names any more: the type checker cannot tell
// when it does not see all bodies.
func unusedImports(p *changedPackage, snap *snapshot.Snapshot) []SourceError {
	used := make(map[*snapshot.File]map[string]bool)
	for i, d := range p.new.Decls() {
		file := d.Parsed.File
		if used[file] == nil {
			used[file] = make(map[string]bool)
		}
		for _, n := range p.newFacts.Decls[i].Imports {
			used[file][p.newFacts.Names[n]] = true
		}
	}
	var list []SourceError
	for _, f := range p.new.Files {
		if o := p.old.Package.File(f.Parsed.File.Path); o != nil && o.Hash == f.Parsed.File.Hash {
			continue
		}
		for _, imp := range f.Imports {
			if imp.Name == "_" || imp.Path == "C" || used[f.Parsed.File][p.new.Package.ImportPath(imp.Path)] {
				continue
			}
			message := fmt.Sprintf("%q imported and not used", imp.Path)
			if name := imp.Name; name != "" && name != path.Base(imp.Path) {
				message = fmt.Sprintf("%q imported as %s and not used", imp.Path, name)
			}
			list = append(list, sourceError(f.Parsed.Fset.PositionFor(imp.Pos, false), message, snap.Rel))
		}
	}
	return list
}
