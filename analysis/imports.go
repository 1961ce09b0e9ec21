package analysis

import (
	"fmt"
	"strings"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// importErrors returns what the go command would refuse of the imports that a package has got.
func (c *comparison) importErrors(p *changedPackage) []SourceError {
	var list []SourceError
	for _, i := range p.delta.Imports {
		if !i.Added || i.Path == "C" || i.Path == "unsafe" {
			continue
		}
		if message := c.importError(p.new.Package, i.Path); message != "" {
			list = append(list, sourceError(i.File.Parsed.Fset.PositionFor(i.Pos, false), message, c.new.Rel))
		}
	}
	return list
}

func (c *comparison) importError(from *snapshot.Package, path string) string {
	p := c.new.Package(path)
	switch {
	case !mayImport(from.Path, path):
		return fmt.Sprintf("use of internal package %s not allowed", path)
	case p != nil && p.Name == "main":
		return fmt.Sprintf("import %q is a program, not an importable package", path)
	case p != nil && reaches(c.new, path, from.Path, make(map[string]bool)):
		return fmt.Sprintf("import cycle not allowed: %s imports %s, directly or not", path, from.Path)
	case p == nil && !c.linked(path) && c.env.Missing != nil:
		return c.env.Missing(path)
	}
	return ""
}

// mayImport applies the rule of internal directories, as far as it goes by paths.
func mayImport(from, path string) bool {
	elements := strings.Split(path, "/")
	for i := len(elements) - 1; i >= 0; i-- {
		if elements[i] == "internal" {
			parent := strings.Join(elements[:i], "/")
			return parent != "" && (from == parent || strings.HasPrefix(from, parent+"/")) || from == filesNamed
		}
	}
	return true
}

// filesNamed is the import path of a program that is built from a list of files: it does not say where they are.
const filesNamed = "command-line-arguments"

// reaches reports whether a package imports another one, directly or not, or is it.
func reaches(s *snapshot.Snapshot, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	p := s.Package(from)
	if p == nil || !p.Local || seen[from] {
		return false
	}
	seen[from] = true
	for _, imp := range p.Imports {
		if reaches(s, imp, to, seen) {
			return true
		}
	}
	return false
}
