package link

import (
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// checkReferences makes sure that each stub tells the symbols of other packages apart that it refers to: see
// [object.Object.Confused]. A stub that has one of them anew numbers its symbols in another way.
func (l *linker) checkReferences() error {
	for o := range l.stubObjs {
		for _, c := range o.Confused() {
			needed := false
			for _, name := range c.Names {
				if s := l.lib.Lookup(name, object.ABIInternal); !l.funcs[name] && !s.IsZero() && s.Kind() == object.Text && !strings.Contains(name, "[") {
					l.needBody[name], needed = true, true
				}
			}
			if !needed {
				return refuse(c.Names[0], "cannot be told from %s in what was compiled: the package has other numbers than what it was built against", c.Names[1])
			}
		}
	}
	if len(l.needBody) > 0 {
		return &NeedBody{Decls: sortedKeys(l.needBody)}
	}
	return nil
}
