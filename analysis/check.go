package analysis

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"go/version"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/gcexportdata"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// sizes are those of the one target.
var sizes = types.SizesFor("gc", "amd64")

// maxErrors is how many errors of one package are collected.
const maxErrors = 300

// maxImports is how many imported packages are kept before all are dropped: they refer to each other.
const maxImports = 4000

// importBase is where positions of imported objects begin: no file set of source reaches it, so that asking one for such
// a position gives none, and not that of something else.
const importBase = 1 << 40

// An importer reads export data and keeps what it read. The packages it returns belong together: types of one are
// identical to types of the other.
type importer struct {
	env Env

	mu       sync.Mutex // guards the rest, and reading into packages
	packages map[string]*types.Package
	complete int
	// fset has the positions of imported objects. It is not that of the source: file names hold on to all of the
	// export data that they were read from, and go with them here.
	fset       *token.FileSet
	generation int                       // counts resets: packages of different generations do not belong together
	fresh      map[freshKey]freshPackage // guarded by the session
}

func newImporter(env Env) *importer {
	im := &importer{env: env}
	im.reset()
	return im
}

func (im *importer) reset() {
	im.packages = make(map[string]*types.Package)
	im.complete = 0
	im.fresh = make(map[freshKey]freshPackage)
	im.fset = token.NewFileSet()
	im.fset.AddFile("", importBase, 0)
	im.generation++
}

func (im *importer) load(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if p := im.packages[path]; p != nil && p.Complete() {
		return p, nil
	}
	file, err := im.env.Export(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("package %s: %w", path, errNoExport)
	}
	if err != nil {
		return nil, fmt.Errorf("package %s: export data: %w", path, err)
	}
	defer file.Close()
	data, err := exportData(file)
	if err == nil {
		var p *types.Package
		if p, err = gcexportdata.Read(bytes.NewReader(data), im.fset, im.packages, path); err == nil {
			im.complete++
			return p, nil
		}
		im.reset() // what was read in part must not be used
	}
	if needs := newer(im.env.Toolchain); needs != "" {
		return nil, &ToolchainError{Package: path, Needs: needs, Built: runtime.Version(), Err: err}
	}
	return nil, fmt.Errorf("package %s: export data: %w", path, err)
}

// newer returns the language version of a Go version if it is newer than the one that this program was built with, ""
// otherwise.
func newer(goVersion string) string {
	if lang := version.Lang(goVersion); version.Compare(lang, version.Lang(runtime.Version())) > 0 {
		return lang
	}
	return ""
}

// A resolver finds imports for one run of the type checker.
type resolver struct {
	im    *importer
	pkg   *snapshot.Package
	fresh map[string]*types.Package
	err   error // the first that is no fault of the source
}

func (r *resolver) Import(imp string) (*types.Package, error) {
	path := r.pkg.ImportPath(imp)
	if p := r.fresh[path]; p != nil {
		return p, nil
	}
	p, err := r.im.load(path)
	if err != nil && r.err == nil && !errors.Is(err, errNoExport) {
		r.err = err
	}
	return p, err
}

// A checking is one package given to the type checker.
type checking struct {
	source decl.Source
	fset   *token.FileSet
	bodies map[string]bool           // link names of the functions whose bodies are checked; nil: all
	draft  bool                      // methods of generic types that are not in bodies go without theirs
	rel    func(string) string       // for errors
	fresh  map[string]*types.Package // packages that take the place of what the build left
	// directives says that errors stand where //line directives say: the source was generated.
	directives bool
}

// check type-checks a package. Faults of the source are in the list; err is for all else.
func (im *importer) check(c checking) (*Checked, []SourceError, error) {
	pkg := c.source.Package
	if needs := newer(pkg.GoVersion); needs != "" {
		return nil, nil, &ToolchainError{Package: pkg.Path, Needs: needs, Built: runtime.Version()}
	}
	checked := &Checked{Package: pkg, Fset: c.fset, source: c.source, bodies: c.bodies, draft: c.draft && c.bodies != nil, Info: newInfo()}
	checked.Files = c.files()
	var list []SourceError
	resolver := &resolver{im: im, pkg: pkg, fresh: c.fresh}
	config := types.Config{
		GoVersion:   pkg.GoVersion,
		Sizes:       sizes,
		Importer:    resolver,
		FakeImportC: true,
		// Without all bodies it cannot be told; Session.unusedImports does.
		DisableUnusedImportCheck: c.bodies != nil,
		Error: func(err error) {
			e, ok := err.(types.Error)
			if !ok || len(list) >= maxErrors {
				return
			}
			// Error continuations begin with a tab: they belong to the error before.
			if strings.HasPrefix(e.Msg, "\t") && len(list) > 0 {
				list[len(list)-1].Message += "\n" + e.Msg
				return
			}
			list = append(list, sourceError(c.fset.PositionFor(e.Pos, c.directives), e.Msg, c.rel))
		},
	}
	var err error
	checked.Types, err = config.Check(pkg.Path, c.fset, checked.Files, checked.Info)
	if resolver.err != nil {
		return nil, nil, resolver.err
	}
	for i, f := range c.source.Files {
		checked.Info.FileVersions[f.Parsed.Syntax] = checked.Info.FileVersions[checked.Files[i]]
	}
	if err != nil && len(list) == 0 {
		return nil, nil, fmt.Errorf("package %s: %w", pkg.Path, err)
	}
	sortErrors(list)
	return checked, list, nil
}

// files returns the syntax to check: without the bodies that nobody wants, but with those that go/types insists on (of methods
// named init, the compiler), that other packages instantiate, and in which types are numbered.
func (c *checking) files() []*ast.File {
	var files []*ast.File
	names := make(map[*ast.FuncDecl]string)
	for _, d := range c.source.Decls() {
		if fn := d.Func(); fn != nil && c.bodies != nil && fn.Body != nil && fn.Type.TypeParams == nil && (c.draft || !d.IsGeneric()) && !d.HasLocalTypes() && fn.Name.Name != "init" {
			names[fn] = facts.DeclName(c.source.Package, d)
		}
	}
	for _, f := range c.source.Files {
		file := f.Parsed.Syntax
		if c.bodies != nil {
			stripped := *file
			stripped.Decls = slices.Clone(file.Decls)
			for i, d := range stripped.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && names[fn] != "" && !c.bodies[names[fn]] {
					bare := *fn
					bare.Body = nil
					stripped.Decls[i] = &bare
				}
			}
			file = &stripped
		}
		files = append(files, file)
	}
	return files
}

func newInfo() *types.Info {
	return &types.Info{
		Types:        make(map[ast.Expr]types.TypeAndValue),
		Instances:    make(map[*ast.Ident]types.Instance),
		Defs:         make(map[*ast.Ident]types.Object),
		Uses:         make(map[*ast.Ident]types.Object),
		Implicits:    make(map[ast.Node]types.Object),
		Selections:   make(map[*ast.SelectorExpr]*types.Selection),
		Scopes:       make(map[ast.Node]*types.Scope),
		FileVersions: make(map[*ast.File]string),
	}
}

func sourceError(p token.Position, message string, rel func(string) string) SourceError {
	return SourceError{File: rel(p.Filename), Line: p.Line, Column: p.Column, Message: message}
}

func sortErrors(list []SourceError) {
	slices.SortStableFunc(list, func(a, b SourceError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// syntaxErrors returns the syntax errors of a package.
func syntaxErrors(source decl.Source, rel func(string) string) []SourceError {
	var list []SourceError
	for _, f := range source.Files {
		for _, e := range f.Parsed.Errors {
			if len(list) < maxErrors {
				list = append(list, sourceError(e.Pos, e.Msg, rel))
			}
		}
	}
	return list
}
