package analysis

import (
	"cmp"
	"go/version"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// files reports what became of whole files; first is the index of this package's first edit. That text changed or lines
// moved goes without saying where declarations of the file are edited.
func (k *classifier) files(first int) {
	if k.p.old.Package.Name != k.p.new.Package.Name || k.renamesPackage() {
		k.add(edit.PackageClause, k.p.path(), place{k.p.new.Files[0].Parsed.File.Path, 1, 1}, "")
	}
	if k.p.old.Package.GoVersion != k.p.new.Package.GoVersion {
		k.add(edit.LanguageVersion, k.p.path(), place{k.p.new.Files[0].Parsed.File.Path, 1, 1},
			k.p.old.Package.GoVersion+" became "+k.p.new.Package.GoVersion)
	}
	edited := make(map[string]bool)
	for _, e := range k.report.Edits[first:] {
		edited[e.File] = true
	}
	for _, d := range k.p.delta.Decls {
		if d.Old != nil {
			edited[k.new.Rel(d.Old.Parsed.File.Path)] = true
		}
	}
	directives := map[decl.Directive]edit.Kind{
		decl.Linkname: edit.Linkname, decl.Constraint: edit.BuildConstraint, decl.Debug: edit.DebugSetting, decl.Cgo: edit.CgoPreamble,
	}
	for _, f := range k.p.delta.Files {
		file := f.New
		at := place{line: 1, column: 1}
		if file != nil {
			at.file = file.Path
		} else {
			file = f.Old
			at.file = k.p.new.Files[0].Parsed.File.Path
		}
		said := edited[k.new.Rel(at.file)]
		for d, kind := range directives {
			if f.Directives[d] {
				k.add(kind, k.p.path(), at, filepath.Base(file.Path))
				said = true
			}
		}
		switch {
		case f.Kind == decl.Added:
			k.add(edit.FileAdded, k.p.path(), at, filepath.Base(file.Path))
		case f.Kind == decl.Deleted:
			k.add(edit.FileDeleted, k.p.path(), at, filepath.Base(file.Path))
		case f.Kind == decl.Renamed:
			k.add(edit.FileRenamed, k.p.path(), at, "it was "+k.new.Rel(f.Old.Path))
		case said:
		case f.Reordered:
			k.add(edit.Reordered, k.p.path(), at, "")
		case f.Moved:
			k.add(edit.LineShift, k.p.path(), at, "")
		default:
			k.add(edit.Text, k.p.path(), at, "")
		}
	}
}

// renamesPackage reports whether the package clauses say another name than before.
func (k *classifier) renamesPackage() bool {
	name := k.p.old.Package.Name
	return name != "" && slices.ContainsFunc(k.p.new.Files, func(f *decl.File) bool { return f.Parsed.Syntax.Name.Name != name })
}

// others reports files of the package that are not Go.
func (k *classifier) others() {
	kinds := map[snapshot.OtherKind]edit.Kind{
		snapshot.Assembly: edit.Assembly, snapshot.C: edit.CgoPreamble, snapshot.Header: edit.CgoPreamble,
		snapshot.Object: edit.ObjectFile, snapshot.Embedded: edit.EmbedContent,
	}
	report := func(list, other []snapshot.OtherFile) {
		for _, o := range list {
			i := slices.IndexFunc(other, func(p snapshot.OtherFile) bool { return p.Path == o.Path && p.Kind == o.Kind })
			if i >= 0 && other[i].Hash == o.Hash {
				continue
			}
			if o.Kind == snapshot.Header && !k.p.readsHeaders() {
				continue
			}
			if e := (place{o.Path, 1, 1}); !k.reported(kinds[o.Kind], e) {
				k.add(kinds[o.Kind], k.p.path(), e, filepath.Base(o.Path))
			}
		}
	}
	report(k.p.new.Package.Other, k.p.old.Package.Other)
	report(k.p.old.Package.Other, k.p.new.Package.Other)
}

// readsHeaders reports whether there is C or assembly beside the package's Go, which alone reads headers.
func (p *changedPackage) readsHeaders() bool {
	return slices.ContainsFunc(p.new.Files, (*decl.File).ImportsC) || slices.ContainsFunc(p.old.Files, (*decl.File).ImportsC) ||
		slices.ContainsFunc(append(slices.Clip(p.old.Package.Other), p.new.Package.Other...), func(o snapshot.OtherFile) bool {
			return o.Kind == snapshot.Assembly || o.Kind == snapshot.C
		})
}

func (k *classifier) reported(kind edit.Kind, at place) bool {
	return slices.ContainsFunc(k.report.Edits, func(e edit.Edit) bool { return e.Kind == kind && e.File == k.new.Rel(at.file) })
}

// modules reports changes of the files that choose module versions.
func (c *comparison) modules() error {
	var at place         // of the last file that changed
	var details []string // what they choose in another way
	change := func(file, detail string) {
		at = place{file, 1, 1}
		details = append(details, detail)
	}
	for _, n := range c.new.Modules() {
		i := slices.IndexFunc(c.old.Modules(), func(o snapshot.OtherFile) bool { return o.Path == n.Path })
		switch {
		case i < 0:
			change(n.Path, "the file was added")
		case c.old.Modules()[i].Hash == n.Hash:
		case n.Kind != snapshot.Module:
			change(n.Path, "")
		default:
			c.goMod(c.old.Modules()[i], n, change)
		}
	}
	for _, o := range c.old.Modules() {
		if !slices.ContainsFunc(c.new.Modules(), func(n snapshot.OtherFile) bool { return n.Path == o.Path }) {
			change(o.Path, "the file was deleted")
		}
	}
	if len(details) == 0 || len(c.report.Errors) > 0 {
		return nil
	}
	detail := strings.Join(details, ", ")
	if c.env.Altered == nil {
		c.add(edit.ModuleVersion, filepath.Base(at.file), at, detail)
		return nil
	}
	switch path, err := c.env.Altered(c.new.Modules()); {
	case err != nil:
		c.report.Errors = append(c.report.Errors, SourceError{File: c.new.Rel(at.file), Message: err.Error()})
	case path != "":
		c.add(edit.ModuleVersion, filepath.Base(at.file), at, strings.TrimPrefix(detail+", which chooses another "+path, ", "))
	default:
		c.add(edit.Requirement, filepath.Base(at.file), at, detail)
	}
	return nil
}

func (c *comparison) goMod(old, new snapshot.OtherFile, change func(file, detail string)) {
	at := place{new.Path, 1, 1}
	after, err := modfile.Parse(new.Path, new.Content, nil)
	if err != nil {
		if list, ok := err.(modfile.ErrorList); ok {
			for _, e := range list {
				c.report.Errors = append(c.report.Errors, SourceError{File: c.new.Rel(new.Path), Line: e.Pos.Line, Column: e.Pos.LineRune, Message: e.Err.Error()})
			}
			return
		}
		c.report.Errors = append(c.report.Errors, SourceError{File: c.new.Rel(new.Path), Message: err.Error()})
		return
	}
	before, err := modfile.ParseLax(old.Path, old.Content, nil)
	if err != nil || before.Module == nil || after.Module == nil || before.Module.Mod != after.Module.Mod {
		c.add(edit.ModuleVersion, "go.mod", at, "")
		return
	}
	said := len(c.report.Edits)
	if was, is := goVersion(before), goVersion(after); !sameLanguage(was, is) || was != is && version.Compare("go"+is, c.env.Toolchain) > 0 {
		c.add(edit.LanguageVersion, "go.mod", at, goVersion(before)+" became "+goVersion(after))
		if version.Compare("go"+is, c.language) > 0 {
			c.language = "go" + is
		}
	}
	if was, is := toolchain(before), toolchain(after); was != is && (version.Compare(is, c.env.Toolchain) > 0 || was == c.env.Toolchain) {
		c.add(edit.LanguageVersion, "go.mod", at, "toolchain "+cmp.Or(is, "default")+" in place of "+c.env.Toolchain)
	}
	if !slices.EqualFunc(before.Godebug, after.Godebug, func(a, b *modfile.Godebug) bool { return a.Key == b.Key && a.Value == b.Value }) {
		c.add(edit.DebugSetting, "go.mod", at, "")
	}
	had, has := chosen(before), chosen(after)
	var paths []module.Version
	for path := range had {
		paths = append(paths, path)
	}
	for path := range has {
		if _, ok := had[path]; !ok {
			paths = append(paths, path)
		}
	}
	module.Sort(paths)
	changed := false
	for _, path := range paths {
		v, before := had[path]
		w, after := has[path]
		switch {
		case v == w:
			continue
		case !after:
			change(new.Path, path.Path+" "+v+" was removed")
		case before:
			change(new.Path, path.Path+" "+v+" became "+w)
		default:
			change(new.Path, path.Path+" "+w)
		}
		changed = true
	}
	if len(c.report.Edits) == said && !changed {
		c.add(edit.Text, "go.mod", at, "")
	}
}

func goVersion(f *modfile.File) string {
	if f.Go == nil {
		return ""
	}
	return f.Go.Version
}

// sameLanguage reports whether two versions, such as "1.25" and "1.25.1", are of the same language: the compiler is told
// nothing else of them, and the settings that GODEBUG begins with hang on nothing else.
func sameLanguage(a, b string) bool {
	return a == b || a != "" && version.Lang("go"+a) == version.Lang("go"+b)
}

// newerLanguage matches what the type checker says of source that needs another version of the language than the build has.
var newerLanguage = regexp.MustCompile(`requires (go1\.\d+) or later`)

// mayNeed reports whether a source error is none in the version of the language that a go.mod file has asked for since the
// build: the restart that this takes shows whether there are others.
func (c *comparison) mayNeed(e SourceError) bool {
	m := newerLanguage.FindStringSubmatch(e.Message)
	return m != nil && version.Compare(m[1], c.language) <= 0
}

// toolchain is the one that a go.mod file asks for; "" if none. One that is older than what built the program changes
// nothing, unless it was this line that chose it.
func toolchain(f *modfile.File) string {
	if f.Toolchain == nil {
		return ""
	}
	return f.Toolchain.Name
}

// What chosen puts in place of a version, to tell statements apart.
const (
	required = "require"
	excluded = "exclude"
	replaced = "replace"
)

// chosen returns what a go.mod file says of module versions: by module path and kind of statement, the version or
// replacement.
func chosen(f *modfile.File) map[module.Version]string {
	m := make(map[module.Version]string)
	for _, r := range f.Require {
		m[module.Version{Path: r.Mod.Path, Version: required}] = r.Mod.Version
	}
	for _, r := range f.Exclude {
		m[module.Version{Path: r.Mod.Path, Version: excluded + " " + r.Mod.Version}] = r.Mod.Version
	}
	for _, r := range f.Replace {
		m[module.Version{Path: r.Old.Path, Version: replaced + " " + r.Old.Version}] = r.New.String()
	}
	return m
}
