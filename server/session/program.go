package session

import (
	"bytes"
	"context"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// A program is one build with everything that is known of its source.
type program struct {
	*reload.Program
	working *sync.Mutex // held by whoever changes a process of it, or of a program that differs in what joined
	family  *family

	baseOnce sync.Once
	base     *snapshot.Snapshot // what was built
	baseErr  error
	analysis *analysis.Session
	disk     *snapshot.Disk

	learning atomic.Pointer[Learning] // nil: nothing is being learned

	mu       sync.Mutex
	last     *snapshot.Snapshot          // the files as they were when last looked at
	ran      *snapshot.Snapshot          // source of a generation, nil for none: see source
	manifest []byte                      // of that generation
	newer    map[string]*reload.Inlining // of functions that the process at hand does not run as they were built
	at       *reload.Generation          // what it runs
	known    known                       // of it, beside its source
	cgos     map[string]cgoRun           // by import path: what cgo made last
}

func newProgram(p *reload.Program) *program {
	prog := &program{Program: p, working: &sync.Mutex{}}
	prog.family = &family{built: prog}
	prog.family.open, prog.family.closed = context.WithCancel(context.Background())
	return prog
}

// Close ends learning and gives back what the program holds.
func (p *program) Close() error {
	p.family.closed()
	return p.Program.Close()
}

// A Learning says how much of what makes refreshes fast is known of a program that has just started.
type Learning struct {
	Packages int `json:"packages"` // of the workspace
	Known    int `json:"known"`    // of them
}

// warm learns what a refresh will need, the most important first.
func (p *program) warm() {
	defer p.learning.Store(nil)
	if _, err := p.Host(); err != nil {
		return // the refresh will say so
	}
	base, err := p.baseline()
	if err != nil {
		return
	}
	ctx := p.family.open
	if _, err := p.scan(ctx); err != nil {
		return
	}
	if err := p.analysis.BuildIndex(ctx, base); err != nil {
		return
	}
	p.writeIndex()
	todo := make(chan string)
	var known atomic.Int64
	var learners sync.WaitGroup
	for range atOnce {
		learners.Go(func() {
			for path := range todo {
				if ctx.Err() != nil {
					continue
				}
				_ = p.LearnFacts(ctx, path) // who needs them will hear of it
				p.learning.Store(&Learning{len(p.Locals()), int(known.Add(1))})
			}
		})
	}
	for _, pkg := range latestFirst(p.Locals()) {
		todo <- pkg.Path
	}
	close(todo)
	learners.Wait()
}

// atOnce is how many packages are learned at a time. The compiler uses one processor while it says what it decides.
const atOnce = 2

// latestFirst sorts packages by when somebody last wrote to them: there the next edit is likely to be.
func latestFirst(pkgs []*reload.BuildPackage) []*reload.BuildPackage {
	written := map[*reload.BuildPackage]time.Time{}
	for _, pkg := range pkgs {
		for _, f := range pkg.Files {
			if info, err := os.Stat(f.Path); err == nil && info.ModTime().After(written[pkg]) {
				written[pkg] = info.ModTime()
			}
		}
	}
	return slices.SortedStableFunc(slices.Values(pkgs), func(a, b *reload.BuildPackage) int { return written[b].Compare(written[a]) })
}

// baseline returns the source that the program was built from.
func (p *program) baseline() (*snapshot.Snapshot, error) {
	p.baseOnce.Do(func() { p.base, p.baseErr = p.openBaseline() })
	return p.base, p.baseErr
}

func (p *program) openBaseline() (*snapshot.Snapshot, error) {
	foreign, err := p.Foreign()
	if err != nil {
		return nil, err
	}
	p.disk = snapshot.NewDisk(p.buildContext())
	var packages []*snapshot.Package
	for path, b := range p.Packages {
		s := packageOfBuild(b)
		if b.Local {
			err = p.ownFiles(s, b)
		} else if f := foreign.Packages[path]; f != nil {
			err = p.foreignFiles(s, f, foreign.At)
		}
		if err != nil {
			return nil, err
		}
		packages = append(packages, s)
	}
	for path, f := range foreign.Packages {
		if p.Packages[path] == nil && len(f.Files) > 0 { // the program has our own in place of it
			s := &snapshot.Package{Path: path, Dir: filepath.Dir(f.Files[0].Path)}
			if err := p.foreignFiles(s, f, foreign.At); err != nil {
				return nil, err
			}
			packages = append(packages, s)
		}
	}
	var modules []snapshot.OtherFile
	for _, f := range p.Inputs {
		kind, ok := moduleFiles[filepath.Base(f.Path)]
		if !ok {
			continue
		}
		o, err := otherFile(f.Path, f.Hash, kind)
		if err == nil {
			o.Content, err = p.Store().Blob(f.Hash)
		}
		if err != nil {
			return nil, err
		}
		modules = append(modules, o)
	}
	base, err := snapshot.New(p.Module.Dir, packages, modules)
	if err != nil {
		return nil, err
	}
	p.analysis = p.newAnalysis(base, p.readIndex())
	return base, nil
}

func (p *program) newAnalysis(base *snapshot.Snapshot, index *analysis.Index) *analysis.Session {
	reserved := path.Dir(p.Agent) + "/"
	return analysis.NewSession(analysis.Env{
		Toolchain: p.GoVersion,
		Built:     base,
		Export:    p.export,
		Inlining:  p.inlining,
		Compiled:  true,
		Missing:   p.missing,
		NoMethods: p.noMethods,
		Stray:     p.stray,
		Written:   p.wasWritten,
		Locals:    p.localNumbers,
		TypeNames: p.typeNames,
		Altered:   p.altered,
		Cgo:       p.cgo,
		Profiled:  p.profiled(),
		Reserved:  func(path string) bool { return strings.HasPrefix(path, reserved) },
	}, index)
}

func packageOfBuild(b *reload.BuildPackage) *snapshot.Package {
	return &snapshot.Package{
		Path: b.Path, Name: b.Name, Dir: b.Dir, GoVersion: b.GoVersion,
		ImportMap: b.ImportMap, Imports: b.Imports, Local: b.Local, Standard: b.Standard,
	}
}

// ownFiles adds the files of a Local package as it was built.
func (p *program) ownFiles(s *snapshot.Package, b *reload.BuildPackage) error {
	for _, f := range b.Files {
		content, err := p.Store().Blob(f.Hash)
		if err != nil {
			return fmt.Errorf("%w: source of %s: %w", reload.ErrUnknownBuild, s.Path, err)
		}
		s.Files = append(s.Files, snapshot.NewFile(f.Path, content))
	}
	for _, f := range b.Other {
		o, err := otherFile(f.Path, f.Hash, snapshot.KindOf(f.Path))
		if err != nil {
			return err
		}
		s.Other = append(s.Other, o)
	}
	for _, f := range b.Embedded {
		o, err := otherFile(f.Path, f.Hash, snapshot.Embedded)
		if err != nil {
			return err
		}
		s.Other = append(s.Other, o)
	}
	s.EmbedPatterns = b.EmbedPatterns
	return nil
}

// foreignFiles adds the files of a package that nobody is expected to edit: by their hashes, with stamps that save
// reading them.
func (p *program) foreignFiles(s *snapshot.Package, f *reload.ForeignPackage, at time.Time) error {
	var names []string
	for _, f := range f.Files {
		o, err := otherFile(f.Path, f.Hash, snapshot.KindOf(f.Path))
		if err != nil {
			return err
		}
		p.disk.Know(o.Path, snapshot.Stamp(f.Stamp), o.Hash, at)
		switch {
		case f.Embedded:
			o.Kind = snapshot.Embedded
			s.Other = append(s.Other, o)
			continue
		case filepath.Ext(o.Path) == ".go":
			s.Files = append(s.Files, snapshot.RecordedFile(o.Path, o.Hash))
		default:
			s.Other = append(s.Other, o)
		}
		names = append(names, filepath.Base(o.Path))
	}
	p.disk.KnowDir(s.Dir, snapshot.Stamp(f.Dir), names, at)
	return nil
}

// profiled reports whether the program was built with a profile.
func (p *program) profiled() bool { return p.Main().Profile != "" }

// moduleFiles are the inputs of a build that choose module versions.
var moduleFiles = map[string]snapshot.OtherKind{
	"go.mod": snapshot.Module, "go.work": snapshot.Work, "modules.txt": snapshot.Vendor,
}

func otherFile(path, hash string, kind snapshot.OtherKind) (snapshot.OtherFile, error) {
	o := snapshot.OtherFile{Path: path, Kind: kind}
	return o, o.Hash.UnmarshalText([]byte(hash))
}

// buildContext is the one that the go command chose files by.
func (p *program) buildContext() build.Context {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH = "linux", "amd64"
	ctx.GOROOT = p.GOROOT
	env := map[string]string{}
	for _, e := range p.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	ctx.CgoEnabled = env["CGO_ENABLED"] == "1"
	ctx.BuildTags = p.Tags()
	var minor int
	if _, err := fmt.Sscanf(p.GoVersion, "go1.%d", &minor); err == nil {
		ctx.ReleaseTags = nil
		for v := 1; v <= minor; v++ {
			ctx.ReleaseTags = append(ctx.ReleaseTags, fmt.Sprintf("go1.%d", v))
		}
	}
	return ctx
}

// export opens the archive of a package as it was linked.
func (p *program) export(path string) (io.ReadCloser, error) {
	pkg := p.Packages[path]
	if pkg == nil {
		return nil, fmt.Errorf("package %s: %w", path, fs.ErrNotExist)
	}
	return os.Open(p.ArchivePath(pkg))
}

// inlining says what the compiler decided about the code of a function that the process at hand runs, if that is known by
// now.
func (p *program) inlining(decl string) analysis.Inlining {
	p.mu.Lock()
	newer := p.newer[decl]
	p.mu.Unlock()
	var in reload.Inlining
	if f, known := p.FunctionFacts(decl); newer != nil {
		in = *newer
	} else if known && f != nil {
		in = reload.Inlining{Known: true, Can: f.CanInline, Cost: f.Cost}
	}
	switch {
	case !in.Known:
		return analysis.Inlining{}
	case in.Can:
		return analysis.Inlining{State: analysis.Inlinable, Cost: in.Cost}
	case p.profiled():
		return analysis.Inlining{State: analysis.NotInlinable} // what it may cost depends on the profile
	}
	return analysis.Inlining{State: analysis.NotInlinable, Cost: in.Cost}
}

// noMethods reports whether pointers to a type have no methods in the process at hand, and can get none.
func (p *program) noMethods(typ string) bool {
	p.mu.Lock()
	at := p.at
	p.mu.Unlock()
	return at != nil && p.NoMethods(at, typ)
}

// stray returns a function of which the source has code no more that in the process at hand puts values of some types into
// interfaces, or has put some there.
func (p *program) stray(types, users []string) string {
	p.mu.Lock()
	at := p.at
	p.mu.Unlock()
	if at == nil {
		return ""
	}
	return p.Stray(at, types, users)
}

// compareWith notes which generation is compared next: what the compiler said of the build says nothing of
// functions that were compiled since.
func (p *program) compareWith(g *reload.Generation) {
	newer := make(map[string]*reload.Inlining)
	for _, decl := range g.Recompiled {
		in := g.Inlining(decl)
		newer[decl] = &in
	}
	_, known, _ := decodeManifest(g.Manifest) // where that fails its source cannot be read either, and is asked for first
	p.mu.Lock()
	p.newer, p.at, p.known = newer, g, known
	p.mu.Unlock()
}

// wasWritten reports whether code that the process at hand ran may have written a variable.
func (p *program) wasWritten(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.written[name]
}

// localNumbers returns the numbers of the types in functions of a package of the process at hand; nil if they are those of
// the build.
func (p *program) localNumbers(path string) *analysis.LocalNumbers {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.locals[path]
}

// typeNames returns the types that go on under other names in the process at hand.
func (p *program) typeNames() analysis.TypeNames {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.typeNames
}

// scan returns the files as they are now.
func (p *program) scan(ctx context.Context) (*snapshot.Snapshot, error) {
	base, err := p.baseline()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	last, ran := p.last, p.ran
	p.mu.Unlock()
	if last == nil {
		last = base
	}
	now, err := p.disk.Rescan(ctx, last, nil)
	if err != nil {
		return nil, err
	}
	if ran != nil {
		now = now.Sharing(ran)
	}
	p.mu.Lock()
	p.last = now
	p.mu.Unlock()
	return now, nil
}

// A scanned snapshot is the outcome of a scan.
type scanned struct {
	snapshot *snapshot.Snapshot
	err      error
}

// scanForeign returns a scan's result with what became of the packages that nobody is expected to edit. Somebody waits for it
// once hurry is closed.
func (p *program) scanForeign(ctx context.Context, local *snapshot.Snapshot, hurry <-chan struct{}) scanned {
	now, err := p.disk.RescanForeign(ctx, local, hurry)
	if err != nil {
		return scanned{err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == local {
		p.last = now
	}
	return scanned{now, nil}
}

// The reference index of a build's source is kept in the store.
func (p *program) indexFile() string {
	return filepath.Join(p.Store().BuildDir(p.BuildID), "references")
}

func (p *program) readIndex() *analysis.Index {
	f, err := os.Open(p.indexFile())
	if err != nil {
		return nil
	}
	defer f.Close()
	index, err := analysis.ReadIndex(f)
	if err != nil {
		return nil
	}
	return index
}

func (p *program) writeIndex() {
	var b bytes.Buffer
	if _, err := p.analysis.Index().WriteTo(&b); err == nil {
		_ = p.Store().WriteFile(p.indexFile(), b.Bytes()) // it is made again if it is not there
	}
}
