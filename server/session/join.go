package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// A family is a build with the programs that differ from it by packages which joined them: two processes of a build
// may have different ones, and different versions of one.
type family struct {
	built  *program
	open   context.Context // until the session lets go of it
	closed context.CancelFunc

	mu      sync.Mutex
	members []*program // the last used is the last
	// extended tells what the go command said of imports of a program, until that is out of date.
	extended map[string]*program
	altered  map[string]string // what it said of module versions, by what chooses them
}

// maxMembers is enough for a few processes of one build and the imports that somebody is trying out.
const maxMembers = 8

// with returns the program of the same build with just these packages beside those of the build.
func (p *program) with(joined []*reload.BuildPackage) (*program, error) {
	if sameJoined(p.Joined(), joined) {
		return p, nil
	}
	f := p.family
	if len(joined) == 0 {
		return f.built, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range f.members {
		if sameJoined(m.Joined(), joined) {
			f.members = append(slices.Delete(f.members, i, i+1), m)
			return m, nil
		}
	}
	return f.add(f.built.Program.With(joined))
}

// add makes a program a member. mu is held.
func (f *family) add(extended *reload.Program) (*program, error) {
	base, err := f.built.baseline()
	if err != nil {
		return nil, err
	}
	m := &program{Program: extended, working: f.built.working, family: f, disk: f.built.disk}
	var packages []*snapshot.Package
	for _, b := range extended.Joined() {
		s := packageOfBuild(b)
		if b.Local {
			if err := m.ownFiles(s, b); err != nil {
				return nil, err
			}
		}
		packages = append(packages, s)
	}
	m.baseOnce.Do(func() { m.base = base.Join(packages...) })
	m.analysis = m.newAnalysis(m.base, f.built.analysis.Index())
	if len(f.members) == maxMembers {
		_ = f.members[0].Close() // its compiler makes its files anew if somebody is at it
		f.members = slices.Delete(f.members, 0, 1)
	}
	f.members = append(f.members, m)
	return m, nil
}

func sameJoined(a, b []*reload.BuildPackage) bool {
	return slices.EqualFunc(a, b, func(a, b *reload.BuildPackage) bool {
		return a == b || a.Path == b.Path && a.Archive == b.Archive && slices.Equal(a.Files, b.Files) && slices.Equal(a.Embedded, b.Embedded)
	})
}

// lacking lists the imports of changed packages of which the program has nothing, and which the go command may find.
func (p *program) lacking(old, now *snapshot.Snapshot) []string {
	var paths []string
	for _, pkg := range now.Packages() {
		if o := old.Package(pkg.Path); !pkg.Local || o != nil && o.SameSource(pkg) {
			continue
		}
		for _, imp := range pkg.Imports {
			if imp != "unsafe" && now.Package(imp) == nil && p.missing(imp) == "" {
				paths = append(paths, imp)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// extend returns the program with packages that it lacks. What the go command said is remembered for as long as the
// source of these packages, and what chooses them, stay as they were.
func (p *program) extend(ctx context.Context, paths []string, now *snapshot.Snapshot) (*program, error) {
	key := strings.Join(paths, "\n")
	for _, m := range now.Modules() {
		key += "\n" + m.Hash.String()
	}
	for _, j := range p.Joined() {
		key += "\n" + j.Path + " " + j.Archive
	}
	f := p.family
	f.mu.Lock()
	known := f.extended[key]
	f.mu.Unlock()
	if known != nil {
		if files, err := known.scan(ctx); err == nil && !slices.ContainsFunc(known.Joined(), func(b *reload.BuildPackage) bool {
			return files.Package(b.Path) != known.base.Package(b.Path)
		}) {
			return known, nil
		}
	}
	extended, err := p.Extend(ctx, paths)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.add(extended)
	if err == nil {
		if len(f.extended) >= maxMembers {
			clear(f.extended)
		}
		if f.extended == nil {
			f.extended = map[string]*program{}
		}
		f.extended[key] = m
	}
	return m, err
}

// join gives the program what the source imports and it lacks, and j.now the packages. What cannot join is left to
// analysis to refuse.
func (j *job) join(ctx context.Context) error {
	paths := j.program.lacking(j.old, j.now)
	if len(paths) == 0 {
		return nil
	}
	extended, err := j.program.extend(ctx, paths, j.now)
	var unfit *reload.RefusedError
	if errors.As(err, &unfit) {
		j.unfit = unfit
		return nil
	}
	var broken *reload.CompileError
	if errors.As(err, &broken) && len(broken.Errors) > 0 {
		f := &Failure{Kind: FailureSource, Message: doesNotCompile}
		for _, e := range broken.Errors {
			f.Source = append(f.Source, SourceError{File: j.now.Rel(e.File), Line: e.Line, Column: e.Column, Message: e.Message})
		}
		return f
	} else if err != nil {
		return err
	}
	now, err := extended.scan(ctx)
	if err != nil {
		return err
	}
	j.program, j.now = extended, now
	return nil
}

// outdated adds the functions of packages which joined the program that were compiled against other source than the
// process runs, or will run.
func (j *job) outdated(stale map[string]bool) error {
	changed := slices.Clone(j.gen.Recompiled)
	for _, set := range j.report.Recompile {
		for _, f := range set.Funcs {
			changed = append(changed, f.Decl)
		}
	}
	had := j.gen.Joined
	for i, pkg := range j.program.Joined() {
		if !pkg.Local {
			continue
		}
		funcs, initialised := j.report.Outdated(pkg.Path, changed)
		for _, decl := range funcs {
			stale[decl] = true
		}
		if i >= len(had) && len(initialised) > 0 {
			return &reload.RefusedError{Symbol: initialised[0], Reason: "is initialised by code that changed since the program was built"}
		}
	}
	return nil
}
