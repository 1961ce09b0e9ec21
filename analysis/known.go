package analysis

import (
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
)

// A known is what all Local packages of one version do with their variables.
type known struct {
	names
	methodsOf map[*facts.Package]map[string][]*facts.Decl // by type, of the packages that were asked for: see methods
	exposed   map[string]bool
	hidden    map[string]bool     // variables that may be referred to by other names, or by assembly
	parts     map[string][]string // by variable: those that hold parts of it
}

// all returns what is known of all Local packages of a version.
func (n *renewal) all(p *program, v *view) (*known, error) {
	if k := n.known[p]; k != nil {
		return k, nil
	}
	packages, err := v.factsOf(n.ctx, v.snapshot.InOrder())
	if err != nil {
		return nil, err
	}
	k := &known{
		names: make(names), methodsOf: make(map[*facts.Package]map[string][]*facts.Decl),
		exposed: make(map[string]bool), hidden: make(map[string]bool), parts: make(map[string][]string),
	}
	for _, p := range v.snapshot.Packages() {
		if !p.Local || !hasAssembly(p) {
			continue
		}
		for _, path := range append(slices.Clip(p.Imports), p.Path) {
			if pkg := packages[path]; pkg != nil {
				for i := range pkg.Decls {
					k.hidden[pkg.Decls[i].Name] = true
				}
			}
		}
	}
	for _, pkg := range packages {
		k.add(pkg)
		for _, name := range pkg.Linked {
			k.hidden[name] = true
		}
		for i := range pkg.Decls {
			d := &pkg.Decls[i]
			for _, e := range d.Exposes {
				k.exposed[pkg.Names[e]] = true
			}
			for _, e := range d.Parts {
				k.parts[pkg.Names[e]] = append(k.parts[pkg.Names[e]], d.Name)
			}
		}
	}
	n.known[p] = k
	return k, nil
}

// methods returns the declared methods of a type, also of one that is declared in a function, and those that it may have
// through embedding.
func (k *known) methods(typ string) []*facts.Decl {
	var list []*facts.Decl
	for _, pkg := range k.names[packagePart(typ)] {
		list = append(list, k.methodsIn(pkg)[typ]...)
	}
	return list
}

func (k *known) methodsIn(pkg *facts.Package) map[string][]*facts.Decl {
	of := k.methodsOf[pkg]
	if of != nil {
		return of
	}
	of = make(map[string][]*facts.Decl)
	for i := range pkg.Decls {
		if d := &pkg.Decls[i]; d.Kind == decl.Method {
			of[receiver(d.Name)] = append(of[receiver(d.Name)], d)
		}
	}
	for _, m := range pkg.Promotions {
		if d := k.decl(m.Target); d != nil {
			of[m.Type] = append(of[m.Type], d)
		}
	}
	k.methodsOf[pkg] = of
	return of
}

// isExposed reports whether a variable, or one that holds parts of it, may be written to after its initialisation.
func (k *known) isExposed(name string, within []string) bool {
	return k.exposed[name] || slices.ContainsFunc(k.parts[name], func(holder string) bool {
		return !slices.Contains(within, holder) && k.isExposed(holder, append(within, name))
	})
}
