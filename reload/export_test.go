package reload

import (
	"go/token"
	"go/types"
)

// Archives imports packages from what a program was linked from, but for those that are loaded.
func Archives(p *Program, fset *token.FileSet, loaded map[string]*types.Package) types.Importer {
	return &archives{p, &BuildPackage{}, fset, loaded, nil}
}
