package analysis

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// embeds returns, by variable, the embedded files of which it has other content now, relative to the directory of its package.
func (c *comparison) embeds() map[string][]string {
	if c.embedded != nil {
		return c.embedded
	}
	c.embedded = make(map[string][]string)
	for _, p := range c.changed {
		files := c.changedEmbeds(p)
		if len(files) == 0 || p.broken {
			continue
		}
		for _, d := range p.new.Decls() {
			for _, pattern := range d.Patterns() {
				for _, file := range files {
					name := facts.DeclName(p.new.Package, d)
					if decl.Embeds(pattern, file) && !slices.Contains(c.embedded[name], file) {
						c.embedded[name] = append(c.embedded[name], file)
					}
				}
			}
		}
	}
	return c.embedded
}

// changedEmbeds returns the embedded files of a package that came, went or changed, relative to its directory.
func (c *comparison) changedEmbeds(p *changedPackage) []string {
	var files []string
	note := func(list, other []snapshot.OtherFile) {
		for _, o := range list {
			rel, err := filepath.Rel(p.new.Package.Dir, o.Path)
			if err != nil || o.Kind != snapshot.Embedded || slices.ContainsFunc(other, func(q snapshot.OtherFile) bool { return q.Path == o.Path && q.Hash == o.Hash && q.Kind == o.Kind }) {
				continue
			}
			files = append(files, filepath.ToSlash(rel))
		}
	}
	note(p.new.Package.Other, p.old.Package.Other)
	note(p.old.Package.Other, p.new.Package.Other)
	slices.Sort(files)
	return slices.Compact(files)
}

// liveEmbeds takes back what was said of embedded files of which all variables are initialised anew, and returns them.
func (c *comparison) liveEmbeds(anew map[string]bool) []string {
	var live []string
	for _, p := range c.changed {
		for _, file := range c.changedEmbeds(p) {
			kept := p.broken
			for name, files := range c.embeds() {
				if slices.Contains(files, file) && strings.HasPrefix(name, facts.LinkPath(p.path(), p.new.Package.Name)+".") && !anew[name] {
					kept = true
				}
			}
			if kept {
				continue
			}
			path := filepath.Join(p.new.Package.Dir, filepath.FromSlash(file))
			live = append(live, path)
			c.report.Edits = slices.DeleteFunc(c.report.Edits, func(e edit.Edit) bool {
				return e.Kind == edit.EmbedContent && e.File == c.new.Rel(path)
			})
		}
	}
	return live
}

// embeddedIn returns the files that a variable embeds, by pattern.
func (c *comparison) embeddedIn(p *snapshot.Package, d *decl.Decl) map[string][]EmbedFile {
	files := make(map[string][]EmbedFile)
	for _, pattern := range d.Patterns() {
		for _, o := range p.Other {
			rel, err := filepath.Rel(p.Dir, o.Path)
			if rel = filepath.ToSlash(rel); err == nil && o.Kind == snapshot.Embedded && decl.Embeds(pattern, rel) {
				files[pattern] = append(files[pattern], EmbedFile{rel, o})
			}
		}
	}
	return files
}
