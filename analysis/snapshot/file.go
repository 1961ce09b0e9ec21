package snapshot

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"runtime"
	"strconv"
	"sync"
	"weak"
)

// File is one Go file: a path and the bytes that it had. It is immutable, and shared between snapshots.
type File struct {
	Path    string // absolute
	Hash    Hash
	content []byte // nil in a file that is known by its hash only

	original *File  // see Respelled; nil if it is as it was read
	words    []Word // the places in original

	mu      sync.Mutex           // guards the rest
	parsed  weak.Pointer[Parsed] // kept alive by whoever uses it, parsed again when nobody did
	imports []string             // nil until Imports was called
	kept    map[any]any
}

// NewFile returns a file with that content, which the caller must not change.
func NewFile(path string, content []byte) *File {
	if content == nil {
		content = []byte{}
	}
	return &File{Path: path, Hash: HashOf(content), content: content}
}

// RecordedFile returns a file of which only the hash is known: enough to see that it changed.
func RecordedFile(path string, hash Hash) *File { return &File{Path: path, Hash: hash} }

// Content returns the file's bytes, which the caller must not change; false for a recorded file.
func (f *File) Content() ([]byte, bool) { return f.content, f.content != nil }

// at returns a file with f's content at another path.
func (f *File) at(path string) *File {
	if path == f.Path {
		return f
	}
	return &File{Path: path, Hash: f.Hash, content: f.content}
}

// Parsed is the syntax of one file, with comments and without go/ast's deprecated object resolution. It is shared: its
// tree must not be changed. While it is reachable, its positions are in Fset.
type Parsed struct {
	File   *File
	Fset   *token.FileSet
	Syntax *ast.File         // never nil; partial where there are errors
	Errors scanner.ErrorList // of syntax, in order

	mu   sync.Mutex
	memo map[any]any
}

// Parse returns the syntax of f, parsing it unless that is at hand already. A recorded file has the error that says so.
func (f *File) Parse(fset *token.FileSet) *Parsed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.parsed.Value(); p != nil && p.Fset == fset {
		return p
	}
	p := &Parsed{File: f, Fset: fset}
	if f.content == nil {
		p.Syntax = &ast.File{Name: ast.NewIdent("_")}
		p.Errors.Add(token.Position{Filename: f.Path}, "content is not recorded")
		return p
	}
	syntax, err := parser.ParseFile(fset, f.Path, f.content, parser.ParseComments|parser.SkipObjectResolution|parser.AllErrors)
	if list, ok := err.(scanner.ErrorList); ok {
		p.Errors = list
	} else if err != nil {
		p.Errors.Add(token.Position{Filename: f.Path}, err.Error())
	}
	if syntax == nil {
		syntax = &ast.File{Name: ast.NewIdent("_")}
	}
	p.Syntax = syntax
	if tf := fset.File(syntax.FileStart); tf != nil {
		runtime.AddCleanup(p, func(tf *token.File) { fset.RemoveFile(tf) }, tf)
	}
	f.parsed = weak.Make(p)
	return p
}

// Memo returns what make returned for this key the first time: a result that follows from this file's syntax alone.
// The key's type must be private to the package that computes it.
func (p *Parsed) Memo(key any, make_ func() any) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.memo[key]; ok {
		return v
	}
	v := make_()
	if p.memo == nil {
		p.memo = make(map[any]any)
	}
	p.memo[key] = v
	return v
}

// Imports returns the import strings of f in order, "C" among them; none for a recorded file.
func (f *File) Imports() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.imports != nil || f.content == nil {
		return f.imports
	}
	f.imports = importStrings(f.content)
	return f.imports
}

func importStrings(content []byte) []string {
	list := []string{}
	syntax, _ := parser.ParseFile(token.NewFileSet(), "", content, parser.ImportsOnly|parser.SkipObjectResolution)
	if syntax == nil {
		return list
	}
	for _, spec := range syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			list = append(list, path)
		}
	}
	return list
}

// Keep is like Parsed.Memo, but the result stays with the file: it must be small.
func (f *File) Keep(key any, make_ func() any) any {
	f.mu.Lock()
	v, ok := f.kept[key]
	f.mu.Unlock()
	if ok {
		return v
	}
	v = make_()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		f.kept = make(map[any]any)
	}
	f.kept[key] = v
	return v
}
