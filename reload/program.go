package reload

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// A Program is a build and what was learned of it. It is safe for concurrent use.
type Program struct {
	*Build
	origin *Program        // of which this is an extension; nil: the program as it was built
	joined []*BuildPackage // that the build lacks, imported ones first

	host lazy[*link.Host]
	comp lazy[*build.Compiler]

	factsMu sync.Mutex
	facts   map[string]*lazy[*build.Facts]      // by import path
	called  map[string]*lazy[map[string]string] // by import path: see signature

	prefixesOnce sync.Once
	prefixes     map[string]*BuildPackage // Local packages by the prefix of their link names

	generations generationCache // of origin, if there is one
}

// root returns the program as it was built.
func (p *Program) root() *Program {
	if p.origin != nil {
		return p.origin
	}
	return p
}

// Joined lists the packages that the program has and the build lacks, imported ones first.
func (p *Program) Joined() []*BuildPackage { return p.joined }

// With returns the program with packages that the build lacks, imported ones first, as what they are now:
// its processes may import them. Only the given ones are in it.
func (p *Program) With(joined []*BuildPackage) *Program {
	root := p.root()
	if len(joined) == 0 {
		return root
	}
	return &Program{Build: root.Build.With(joined), origin: root, joined: joined}
}

// Extend asks the go command for packages that the program lacks, and for what they import, and returns the
// program with these. Source that does not compile gives a *CompileError, what cannot join a running
// program a *RefusedError.
func (p *Program) Extend(ctx context.Context, paths []string) (*Program, error) {
	pkgs, err := p.Build.Extend(ctx, paths, nil)
	if err == nil {
		err = p.Build.Complete(ctx, pkgs)
	}
	var unfit *build.UnfitError
	if errors.As(err, &unfit) {
		return nil, &RefusedError{Symbol: unfit.Package, Reason: unfit.Reason}
	} else if err != nil {
		return nil, err
	}
	return p.With(append(slices.Clip(p.joined), pkgs...)), nil
}

// Open returns the program with a Go build ID. The error wraps ErrUnknownBuild when the store does not
// have it.
func Open(buildID string) (*Program, error) {
	store, err := build.OpenStore("")
	if err != nil {
		return nil, err
	}
	b, err := build.Load(store, buildID)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", ErrUnknownBuild, err)
		}
		return nil, err
	}
	return &Program{Build: b}, nil
}

// Close removes temporary files and gives back memory. Who is at work with the program goes on: that takes what it
// needs again.
func (p *Program) Close() error {
	var errs []error
	if h, ok := p.host.peek(); ok && p.origin == nil {
		errs = append(errs, h.Image.Rest(), h.Library.Rest())
	}
	if c, ok := p.comp.peek(); ok {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (p *Program) compiler() (*build.Compiler, error) {
	return p.comp.get(func() (*build.Compiler, error) { return build.NewCompiler(p.Build) })
}

// Warm learns in the background what a refresh will need.
func (p *Program) Warm() {
	go func() { _, _ = p.Host() }()
}

// Facts returns what the compiler says of a Local package as it was built. The first call may compile it
// whole; later ones, also of later processes, find the outcome.
func (p *Program) Facts(ctx context.Context, path string) (*build.Facts, error) {
	return p.factsOf(path).get(func() (*build.Facts, error) {
		return p.compileFacts(context.WithoutCancel(ctx), path, false) // others may wait for them, too
	})
}

// LearnFacts makes the facts of a package for later, when nobody else needs the processor. It is in nobody's way: who
// needs them meanwhile does not wait for it.
func (p *Program) LearnFacts(ctx context.Context, path string) error {
	facts := p.factsOf(path)
	if _, ok := facts.peek(); ok {
		return nil
	}
	f, err := p.compileFacts(ctx, path, true)
	if err != nil {
		return err
	}
	_, err = facts.get(func() (*build.Facts, error) { return f, nil })
	return err
}

func (p *Program) factsOf(path string) *lazy[*build.Facts] {
	p.factsMu.Lock()
	defer p.factsMu.Unlock()
	f := p.facts[path]
	if f == nil {
		if p.facts == nil {
			p.facts = map[string]*lazy[*build.Facts]{}
		}
		f = &lazy[*build.Facts]{}
		p.facts[path] = f
	}
	return f
}

func (p *Program) compileFacts(ctx context.Context, path string, idle bool) (*build.Facts, error) {
	c, err := p.compiler()
	if err != nil {
		return nil, err
	}
	return c.Facts(ctx, path, idle)
}

// FunctionFacts returns what the compiler says of a function as it was built, if that is known already.
func (p *Program) FunctionFacts(decl string) (*build.FuncFacts, bool) {
	pkg := p.packageOf(decl)
	if pkg == nil {
		return nil, false
	}
	p.factsMu.Lock()
	f := p.facts[pkg.Path]
	p.factsMu.Unlock()
	if f == nil {
		return nil, false
	}
	facts, ok := f.peek()
	if !ok {
		return nil, false
	}
	return facts.Funcs[decl], true
}

// A lazy is a value that is made when it is first asked for. A failure is not kept: its reason may go, as a full disk
// does.
type lazy[T any] struct {
	mu    sync.Mutex // held while it is made
	value atomic.Pointer[T]
}

func (l *lazy[T]) get(make func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.value.Load(); v != nil {
		return *v, nil
	}
	v, err := make()
	if err == nil {
		l.value.Store(&v)
	}
	return v, err
}

// peek returns the value if it is made already.
func (l *lazy[T]) peek() (T, bool) {
	if v := l.value.Load(); v != nil {
		return *v, true
	}
	var none T
	return none, false
}

// objectPath is a package's path in object files: that of the main package is main.
func (p *Program) objectPath(path string) string {
	if path == p.Package {
		return "main"
	}
	return path
}

// packageOf returns the Local package that a declaration belongs to, by its link name: what is before the first dot
// behind the last slash, as dots in the last element of a path are escaped.
func (p *Program) packageOf(decl string) *BuildPackage {
	p.prefixesOnce.Do(func() {
		p.prefixes = map[string]*BuildPackage{}
		for _, pkg := range p.Locals() {
			p.prefixes[object.PathToPrefix(p.objectPath(pkg.Path))] = pkg
		}
	})
	element := strings.LastIndexByte(decl, '/') + 1
	dot := strings.IndexByte(decl[element:], '.')
	if dot < 0 {
		return nil
	}
	return p.prefixes[decl[:element+dot]]
}

// NoMethods reports whether a generation has a description of pointers to a type, by link name, that has no methods and no
// room for any.
func (p *Program) NoMethods(g *Generation, typ string) bool {
	host, err := p.Host()
	return err == nil && g.state.NoMethods(host, typ)
}

// Stray returns a function of which the source has code no more that puts a value of one of some types, by link name, into
// an interface, or has put one there; "" if there is none. users are the functions that have values of them by the source.
func (p *Program) Stray(g *Generation, types, users []string) string {
	host, err := p.Host()
	if err != nil {
		return "" // who refreshes is told
	}
	return g.state.Stray(host, types, users)
}

// Host returns the linker's view of the build. It is made once: from the store if an earlier process
// left it there, else from the binary and its objects.
func (p *Program) Host() (*link.Host, error) {
	return p.host.get(p.openHost)
}

func (p *Program) openHost() (*link.Host, error) {
	if p.origin != nil {
		built, err := p.origin.Host()
		if err != nil {
			return nil, err
		}
		var pkgs []link.Joining
		for _, pkg := range p.joined {
			pkgs = append(pkgs, link.Joining{Path: p.objectPath(pkg.Path), Archive: p.ArchivePath(pkg)})
		}
		return built.With(pkgs)
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("code can be replaced in linux/amd64 programs only, and this is %s/%s: restart the program instead", runtime.GOOS, runtime.GOARCH)
	}
	lay, err := layout.Load(p.GOROOT, p.cacheDir())
	if err != nil {
		return nil, err
	}
	im, err := image.Open(p.Binary, func(string) (image.Offsets, error) { return link.Offsets(lay), nil })
	if err != nil {
		return nil, err
	}
	tables, err := object.LoadTables(p.GOROOT)
	if err != nil {
		return nil, err
	}
	lib := object.NewLibrary(tables)
	for _, pkg := range p.sorted() {
		if _, err := lib.Add(p.objectPath(pkg.Path), p.ArchivePath(pkg)); err != nil {
			return nil, err
		}
	}
	h := &link.Host{Image: im, Library: lib, Layout: lay}
	for _, pkg := range p.Locals() {
		h.Locals = append(h.Locals, p.objectPath(pkg.Path))
	}
	dir := p.Store().BuildDir(p.BuildID)
	if h.Index, err = loadIndex(filepath.Join(dir, "index"), im, lib); err != nil {
		if h.Index, err = image.BuildIndex(im, lib); err != nil {
			return nil, err
		}
		_ = p.Store().WriteFile(filepath.Join(dir, "index"), h.Index.Encode()) // it is made again if it is not there
	}
	h.Uses = p.hostUses(h, filepath.Join(dir, "uses"))
	return h, nil
}

// hostUses is kept beside the index: it takes a pass over all objects to find.
func (p *Program) hostUses(h *link.Host, file string) *link.Uses {
	if data, err := os.ReadFile(file); err == nil {
		var u link.Uses
		if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&u); err == nil {
			return &u
		}
	}
	u := link.HostUses(h)
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(u); err == nil {
		_ = p.Store().WriteFile(file, buf.Bytes())
	}
	return u
}

func loadIndex(file string, im *image.Image, lib *object.Library) (*image.Index, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return image.Decode(data, im, lib)
}

func (p *Program) cacheDir() string { return filepath.Join(p.Store().Dir(), "toolchains") }

// sorted returns the packages in the order of their paths, the main package first.
func (p *Program) sorted() []*BuildPackage {
	list := make([]*BuildPackage, 0, len(p.Packages))
	list = append(list, p.Main())
	for _, path := range sortedKeys(p.Packages) {
		if path != p.Package {
			list = append(list, p.Packages[path])
		}
	}
	return list
}

// A BuildOptions says what to build: see the go command for the flags.
type BuildOptions struct {
	Dir    string   // where the go command runs; "": the current directory
	Target []string // a main package, or its Go files
	Flags  []string // of go build
	Output string   // "": only in the store
}

// NewBuild builds a program with the agent in it. tool is the path of a program that calls
// [Toolexec] when its first argument is "toolexec".
func NewBuild(ctx context.Context, tool string, o BuildOptions) (*Program, error) {
	store, err := build.OpenStore("")
	if err != nil {
		return nil, err
	}
	if o.Output != "" {
		if err := os.MkdirAll(filepath.Dir(o.Output), 0o777); err != nil { // as go build does
			return nil, err
		}
	}
	b, err := build.Build(ctx, build.Options{
		Dir: o.Dir, Target: o.Target, Flags: o.Flags, Output: o.Output,
		Store: store, Agent: agentSource, Toolexec: []string{tool, "toolexec"},
	})
	if err != nil {
		return nil, err
	}
	return &Program{Build: b}, nil
}

// Tidy removes from the store, once a day, what belongs to old builds that nothing runs any more.
func (p *Program) Tidy() error { return p.Store().Tidy(p.BuildID) }

// Toolexec stands between go build and its tools: see [NewBuild]. It returns an exit code.
func Toolexec(args []string) int { return build.Toolexec(args) }

// SplitBuildArgs splits "[build flags] TARGET… [-- ARGS]" as the go command would.
func SplitBuildArgs(args []string) (flags, target, rest []string) { return build.SplitArgs(args) }
