package bench

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
	"github.com/limeade-go/limeade/reload/internal/proof/hollow"
)

// A site is a place where an edit can be made: the head of a function's body, and a parameter whose length the edit
// looks at.
type site struct {
	pkg    string // import path
	file   string
	fn     string // F, T.F or (*T).F
	param  string
	offset int // of the first byte after the body's brace
}

// name is the function's symbol, but for package main.
func (s site) name() string { return s.pkg + "." + s.fn }

// edit is the text of the file with n times an edit at its sites: a statement that changes the code of the function and
// never what it does. Every n makes another text.
func (s site) edit(text []byte, n int) []byte {
	stmt := fmt.Sprintf("\n\tif len(%s) == 1<<40+%d {\n\t\tprintln(\"limeade\")\n\t}", s.param, n)
	return slices.Concat(text[:s.offset], []byte(stmt), text[s.offset:])
}

// A pkg is one package of the program's own module.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Module     *struct{ Main bool }

	lines int
	sites []site
}

// ownPackages lists the packages of the main module that the program in dir is made of, each with its places to edit,
// sorted by import path. symbols, when not nil, limits the places to functions that are in the binary.
func ownPackages(ctx context.Context, dir string, env []string, symbols map[string]bool) ([]*pkg, error) {
	out, err := drive.Go(ctx, dir, env, "list", "-deps", "-json=ImportPath,Dir,GoFiles,Module", ".")
	if err != nil {
		return nil, err
	}
	var list []*pkg
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		p := &pkg{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || !p.Module.Main {
			continue
		}
		if err := p.survey(symbols); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ImportPath < list[j].ImportPath })
	return list, nil
}

// survey counts a package's lines and finds its sites, in the order of files and places.
func (p *pkg) survey(symbols map[string]bool) error {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		file := filepath.Join(p.Dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		p.lines += bytes.Count(text, []byte("\n"))
		f, err := parser.ParseFile(fset, file, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	for _, f := range files {
		if declares(f, "len") || declares(f, "println") {
			return nil
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok || d.Body == nil || len(d.Body.List) < 3 || d.Name.Name == "_" || hollow.Generic(d) {
				continue
			}
			param := lengthy(d)
			s := site{p.ImportPath, fset.File(f.Pos()).Name(), hollow.FuncName(d), param, fset.Position(d.Body.Lbrace).Offset + 1}
			if param != "" && (symbols == nil || symbols[s.name()]) {
				p.sites = append(p.sites, s)
			}
		}
	}
	return nil
}

// declares reports whether a file declares name for its whole package.
func declares(f *ast.File, name string) bool {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == name {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return true
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// lengthy is the first parameter of d that has a length by its written type, or nothing; nothing too where a parameter
// or result hides what the edit names.
func lengthy(d *ast.FuncDecl) string {
	found := ""
	for _, list := range []*ast.FieldList{d.Recv, d.Type.Params, d.Type.Results} {
		if list == nil {
			continue
		}
		for _, f := range list.List {
			for _, n := range f.Names {
				if n.Name == "len" || n.Name == "println" {
					return ""
				}
			}
			if list != d.Type.Params || found != "" || len(f.Names) == 0 || f.Names[0].Name == "_" {
				continue
			}
			switch t := f.Type.(type) {
			case *ast.Ident:
				if t.Name == "string" {
					found = f.Names[0].Name
				}
			case *ast.ArrayType:
				if t.Len == nil {
					found = f.Names[0].Name
				}
			case *ast.MapType, *ast.Ellipsis:
				found = f.Names[0].Name
			}
		}
	}
	return found
}

// spread picks n sites evenly: one package after the other in turns, and within a package from all over its files.
func spread(list []*pkg, n int) []site {
	var with []*pkg
	for _, p := range list {
		if len(p.sites) > 0 {
			with = append(with, p)
		}
	}
	if len(with) == 0 {
		return nil
	}
	// More packages than edits: every so many packages, one edit each. Fewer: several edits in each.
	var picked []site
	turns := (n + len(with) - 1) / len(with)
	for i := range n {
		p, turn := with[i%len(with)], i/len(with)
		if len(with) > n {
			p = with[i*len(with)/n]
		}
		picked = append(picked, p.sites[(2*turn+1)*len(p.sites)/(2*turns)])
	}
	return picked
}

// symbols are the names of the functions in a binary.
func symbols(file string) (map[string]bool, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	names := map[string]bool{}
	for _, s := range list {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			names[s.Name] = true
		}
	}
	return names, nil
}
