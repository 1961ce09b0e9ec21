package session

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"time"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// A job is one query about one process.
type job struct {
	program *program
	proc    *reload.Process
	started time.Time
	rest    bool // edits that need a restart are left out
	wishes  Wishes
	trial   time.Duration

	gen      *reload.Generation
	old, now *snapshot.Snapshot
	unfit    *reload.RefusedError // why what is imported cannot join the program
	report   *analysis.Report
	disk     *snapshot.Snapshot // now, as far as it was looked at
	foreign  chan scanned       // and all of it
	hurry    chan struct{}      // closed when that is waited for
	prepared *reload.Prepared   // of a refresh that has something to swap
	phases   Phases
}

// ms is a duration as answers have it.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// analyse compares what the process runs with what the files say.
func (j *job) analyse(ctx context.Context) error {
	start := time.Now()
	err := j.program.CheckToolchain()
	if err != nil {
		return err
	}
	if j.gen, err = j.program.Generation(j.proc); err != nil {
		return err
	}
	if j.program, err = j.program.with(j.gen.Joined); err != nil {
		return err
	}
	if j.old, err = j.program.source(j.gen); err != nil {
		return err
	}
	if j.now, err = j.program.scan(ctx); err != nil {
		return err
	}
	j.phases.Detect = ms(time.Since(start))
	start = time.Now()
	if err := j.join(ctx); err != nil {
		return err
	}
	j.phases.Join = ms(time.Since(start))
	j.foreign, j.hurry, j.disk = make(chan scanned, 1), make(chan struct{}), j.now
	go func() { j.foreign <- j.program.scanForeign(ctx, j.disk, j.hurry) }()
	return j.compare(ctx)
}

// overtaken reports whether files differ that nobody is expected to edit. There may be thousands of them, so they are
// looked at beside other work. What that made of the rest counts for nothing then, and the comparison is made anew.
func (j *job) overtaken(ctx context.Context) (bool, error) {
	start := time.Now()
	close(j.hurry)
	all := <-j.foreign
	j.phases.Check += ms(time.Since(start))
	if all.err != nil || all.snapshot == j.disk {
		return false, all.err
	}
	j.now = all.snapshot
	return true, j.compare(ctx)
}

// compare compares what the process runs with the files, for what is asked.
func (j *job) compare(ctx context.Context) error {
	start := time.Now()
	wishes := analysis.Wishes{RerunInit: j.wishes.RerunInit}
	for _, asked := range j.wishes.Reset {
		switch found := analysis.Variables(j.now, asked); len(found) {
		case 0:
			return &Failure{Kind: FailureUsage, Message: fmt.Sprintf("the program has no package variable %s", asked)}
		case 1:
			wishes.Reset = append(wishes.Reset, found[0])
		default:
			return &Failure{Kind: FailureUsage, Message: fmt.Sprintf("the program has several package variables %s: %s", asked, strings.Join(found, ", "))}
		}
	}
	j.program.compareWith(j.gen)
	var err error
	j.report, err = j.program.analysis.CompareFor(ctx, j.old, j.now, wishes)
	j.phases.Check += ms(time.Since(start))
	if err == nil && j.unfit != nil {
		for i, e := range j.report.Edits {
			if e.Kind == edit.ImportRefused {
				j.report.Edits[i].Detail += ": " + j.unfit.Error()
			}
		}
	}
	return err
}

const doesNotCompile = "the source does not compile; nothing was changed"

// answer begins the answer with what analysis found.
func (j *job) answer() *Answer {
	a := newAnswer(int(j.proc.PID))
	a.Generation = j.proc.Generation
	if j.report == nil {
		return a
	}
	for _, e := range j.report.Edits {
		a.Edits = append(a.Edits, editOf(e))
	}
	if list := j.report.Errors; len(list) > 0 {
		a.Error = &Failure{Kind: FailureSource, Message: doesNotCompile}
		for _, e := range list {
			a.Error.Source = append(a.Error.Source, SourceError(e))
		}
	} else if !j.report.Applicable() {
		a.Error = &Failure{Kind: FailureRefused, Message: refusal(j.report.Edits)}
	}
	return a
}

func editOf(e edit.Edit) Edit {
	return Edit{
		Decl: e.Decl, Kind: e.Kind.String(), Verdict: e.Verdict().String(), Code: e.Kind.Code(),
		File: e.File, Line: e.Line, Column: e.Column, Message: e.Message(),
	}
}

// refusal says in one line which edits need a restart.
func refusal(edits []edit.Edit) string {
	var decls []string
	for _, e := range edits {
		if e.Verdict() == edit.Restart {
			decls = append(decls, e.Decl+" ("+e.Kind.Code()+")")
		}
	}
	return "a restart is required by " + strings.Join(decls, ", ") + "; nothing was changed"
}

func (j *job) finish(a *Answer, err error) *Answer {
	if err != nil {
		a.Error = failureOf(err)
	}
	j.phases.Total = ms(time.Since(j.started))
	a.Phases = j.phases
	return a
}

func (j *job) check(ctx context.Context) *Answer {
	err := j.analyse(ctx)
	if err == nil {
		_, err = j.overtaken(ctx)
	}
	return j.finish(j.answer(), err)
}

// errBusy says that somebody else is changing the program.
var errBusy = &Failure{Kind: FailureProcess, Message: "another refresh of this program is under way; it goes on, this one did nothing"}

// ready prepares a refresh. There is nothing to commit if j.prepared is nil then. The program's lock is held from here to the
// commit.
func (j *job) ready(ctx context.Context) *Answer {
	if err := j.analyse(ctx); err != nil {
		return j.finish(j.answer(), err)
	}
	a, err := j.patch(ctx)
	again, failed := j.overtaken(ctx)
	switch {
	case failed != nil:
		a, err = j.answer(), failed
	case again:
		a, err = j.patch(ctx)
	}
	if err != nil {
		j.prepared = nil
	}
	return j.finish(a, err)
}

// patch prepares what analysis found to be live, if there is anything, and begins the answer.
func (j *job) patch(ctx context.Context) (*Answer, error) {
	j.prepared = nil
	if j.rest && len(j.report.Errors) == 0 && !j.report.Applicable() {
		if err := j.leaveOut(ctx); err != nil {
			return j.answer(), err
		}
	}
	a := j.answer()
	if a.Error != nil || j.now == j.old && len(j.wishes.Reset) == 0 {
		return a, nil
	}
	req, err := j.request(ctx)
	if err != nil {
		return a, err
	}
	if len(req.Packages) == 0 && len(req.Moves) == 0 && !req.Renames && len(j.program.Joined()) == len(j.gen.Joined) {
		return a, nil // what differs makes no code
	}
	j.prepared, err = j.program.Prepare(ctx, j.proc, j.gen, req)
	if errors.Is(err, reload.ErrNothingToSwap) {
		err = nil
	}
	return a, err
}

// commit makes what is prepared live, and completes the answer.
func (j *job) commit(ctx context.Context, a *Answer, trial bool) *Answer {
	j.program.compareWith(j.gen) // another process may have been compared since, and it may have to be prepared anew
	outcome, err := j.prepared.Commit(ctx, trial)
	if err != nil {
		return j.finish(a, err)
	}
	j.phases.Compile, j.phases.Link = ms(outcome.Compile), ms(outcome.Link)
	return j.swapped(ctx, a, outcome)
}

// swapped completes the answer about a swap that was made.
func (j *job) swapped(ctx context.Context, a *Answer, o reload.Outcome) *Answer {
	j.phases.Inject, j.phases.Hooks, j.phases.Pause = ms(o.Inject), ms(o.Hooks), float64(o.Pause.Nanoseconds())/1000
	a.Applied, a.Generation, a.Hooks = true, o.Generation, o.Failures
	announce(a.PID)
	return j.looked(ctx, j.finish(a, nil))
}

// looked adds to the answer about a swap who is still in old code. A process that ends just now runs nothing; where
// one is only too slow to say, the swap was made all the same.
func (j *job) looked(ctx context.Context, a *Answer) *Answer {
	stale, err := j.stale(ctx)
	switch {
	case errors.Is(err, reload.ErrEnded):
		a.Applied, a.Error = false, failureOf(err)
	case err != nil:
		a.Stale = nil
	default:
		a.Stale = stale
	}
	return a
}

func (j *job) stale(ctx context.Context) ([]Stale, error) {
	list, err := j.proc.Stale(ctx)
	stale := []Stale{}
	for _, s := range list {
		stale = append(stale, Stale{Func: s.Func, Goroutines: int(s.Goroutines)})
	}
	return stale, err
}

func (j *job) rollback(ctx context.Context) *Answer {
	if !j.program.working.TryLock() {
		return j.finish(j.answer(), errBusy)
	}
	defer j.program.working.Unlock()
	return j.goBack(ctx)
}

// trialStep is how long a member of a refresh on trial is looked at before the others are heard.
const trialStep = 200 * time.Millisecond

// try looks for some time whether anything fails in what was committed.
func (j *job) try(ctx context.Context, generation uint32, d time.Duration) *Answer {
	a := newAnswer(int(j.proc.PID))
	failed, trace, err := j.proc.Trial(ctx, generation, d)
	if err != nil {
		a.Error = failureOf(err)
	} else if failed != "" {
		a.Error = &Failure{Kind: FailureTrial, Message: failed, Trace: trace}
	}
	return a
}

// undo takes a commit back that made a generation, if the process is still at that.
func (j *job) undo(ctx context.Context, generation uint32) *Answer {
	j.report = nil
	if err := j.proc.Renew(ctx); err != nil {
		return j.finish(j.answer(), err)
	}
	if j.proc.Generation != generation {
		return j.finish(j.answer(), &Failure{Kind: FailureProcess, Message: "another refresh came after it"})
	}
	return j.goBack(ctx)
}

// goBack undoes the last refresh. The program's lock is held.
func (j *job) goBack(ctx context.Context) *Answer {
	a := j.answer()
	gen, err := j.program.Generation(j.proc)
	if err != nil {
		return j.finish(a, err)
	}
	_, outcome, err := j.program.Rollback(ctx, j.proc, gen, j.program.rolledBack)
	if errors.Is(err, reload.ErrNothingToUndo) {
		return j.finish(a, &Failure{Kind: FailureRefused, Message: err.Error()})
	} else if err != nil {
		return j.finish(a, err)
	}
	return j.swapped(ctx, a, outcome)
}

func (j *job) status(ctx context.Context) Process {
	p := Process{
		PID: int(j.proc.PID), Package: j.program.Package, Dir: j.program.Module.Dir, BuildID: j.proc.BuildID, Go: j.proc.GoVersion,
		Generation: j.proc.Generation, LiveSince: time.Unix(0, j.proc.Live).UTC(), Pending: []Edit{}, Stale: []Stale{},
		Learning: j.program.family.built.learning.Load(),
	}
	err := j.analyse(ctx)
	if err == nil {
		_, err = j.overtaken(ctx)
	}
	if err == nil {
		a := j.answer()
		if !j.settled() {
			p.Pending = a.Edits
		}
		if a.Error != nil && a.Error.Kind == FailureSource {
			p.Error = a.Error
		}
		p.Stale, err = j.stale(ctx)
	}
	if err != nil {
		p.Error = failureOf(err)
	}
	return p
}

// settled reports whether what differs makes no difference to the process: a refresh would do nothing.
func (j *job) settled() bool {
	return j.report.Applicable() && len(j.report.Recompile) == 0 && len(j.report.Lines) == 0 && !j.report.TypesRenamed && len(j.program.Joined()) == len(j.gen.Joined)
}

// request puts what analysis found into the words of reload.
func (j *job) request(ctx context.Context) (*reload.Request, error) {
	stale := map[string]bool{}
	for _, decl := range j.gen.Recompiled {
		stale[decl] = true
	}
	if err := j.outdated(stale); err != nil {
		return nil, err
	}
	req := &reload.Request{
		Manifest: j.manifest(),
		Extend: func(decls []string, callers bool) (*reload.Request, error) {
			if callers {
				for _, d := range slices.Clone(decls) {
					decls = append(decls, j.report.Callers(d)...)
				}
			}
			if err := j.report.Include(ctx, decls...); err != nil {
				return nil, err
			}
			if !j.report.Applicable() {
				return nil, &Failure{Kind: FailureRefused, Message: refusal(j.report.Edits)}
			}
			return j.request(ctx)
		},
		Inlined: func(decls []string) (*reload.Request, error) {
			grew, err := j.report.Inlined(ctx, decls...)
			if err != nil || !grew {
				return nil, err
			}
			return j.request(ctx)
		},
		Stale: func(decl string) bool { return stale[decl] },
		Gone:  j.report.Gone,
		Moves: moves(j.report.Lines),
		Since: j.movedSince,
		New:   j.report.New,
		Anew:  reload.Anew(j.report.Anew),

		Renamed: j.report.Renamed,
		Renames: j.report.TypesRenamed,
	}
	for _, e := range j.report.Edits {
		if !slices.Contains(req.Changed, e.Decl) {
			req.Changed = append(req.Changed, e.Decl)
		}
	}
	pairs := pairing{job: j, seen: map[ast.Node]bool{}}
	for _, set := range j.report.Recompile {
		var pkg reload.Package
		if set.Checked != nil {
			pkg = packageOf(set)
			pkg.Locals = j.report.LocalNumbers(set.Checked)
			embed, err := j.embed(set)
			if err != nil {
				return nil, err
			}
			pkg.Embed = embed
		}
		if len(pkg.Defined)+len(pkg.Keep)+len(pkg.Init)+len(pkg.Types)+len(pkg.Wrappers)+len(pkg.Bound)+len(pkg.Added)+len(pkg.Methods) > 0 {
			req.Packages = append(req.Packages, pkg)
		} else if set.Context != nil {
			req.Packages = append(req.Packages, reload.Package{Path: set.Path, Context: &reload.Context{
				Looks: set.Context.Looks,
				Load:  func() (reload.Package, error) { return j.context(ctx, set.Path) },
			}})
		}
		for _, f := range set.Funcs {
			stale[f.Decl] = true
		}
		pairs.of(set)
	}
	for _, d := range j.report.Deleted {
		pairs.gone(d)
	}
	req.Pairs, req.Literals = pairs.list, pairs.all
	return req, nil
}

// context is a package of which nothing is compiled anew.
func (j *job) context(ctx context.Context, path string) (reload.Package, error) {
	checked, err := j.report.Check(ctx, path)
	if err != nil {
		return reload.Package{}, err
	}
	pkg := packageOf(analysis.PackageSet{Path: path, Checked: checked})
	pkg.Locals = j.report.LocalNumbers(checked)
	return pkg, nil
}

func moves(lines []decl.LineMove) []reload.LineMove {
	var list []reload.LineMove
	for _, m := range lines {
		list = append(list, reload.LineMove(m))
	}
	return list
}

// movedSince returns where code stands in the new source that is as it was built.
func (j *job) movedSince() []reload.LineMove {
	base, err := j.program.baseline()
	if err != nil {
		return nil // which was looked at before
	}
	return movedBetween(base, j.report.After)
}

// movedBetween returns where code of Local packages stands in another source that is the same in both.
func movedBetween(old, now *snapshot.Snapshot) []reload.LineMove {
	var list []reload.LineMove
	for _, was := range old.Packages() {
		if is := now.Package(was.Path); is != nil && is != was && was.Local {
			list = append(list, moves(decl.Diff(decl.Load(old, was.Path), decl.Load(now, was.Path)).Lines)...)
		}
	}
	return list
}

func packageOf(set analysis.PackageSet) reload.Package {
	content := map[string][]byte{}
	for _, f := range set.Checked.Package.Files {
		content[f.Path], _ = f.Content()
	}
	pkg := reload.Package{
		Path: set.Path, Fset: set.Checked.Fset, Files: set.Checked.Files, Pkg: set.Checked.Types, Info: set.Checked.Info,
		Src: func(name string) []byte { return content[name] },
	}
	for _, init := range set.Initializers {
		for _, name := range init.Syntax.Names {
			if v, ok := set.Checked.Info.Defs[name].(*types.Var); ok {
				pkg.Init = append(pkg.Init, v)
			}
		}
	}
	pkg.Added, pkg.Rerun = set.Added, set.Rerun
	if len(set.Defined) > 0 {
		pkg.Defined = map[*types.Var][]string{}
	}
	for _, v := range set.Defined {
		pkg.Defined[v.Object] = v.Embeds
	}
	for _, name := range instantiating(set) {
		switch obj := set.Checked.Types.Scope().Lookup(name).(type) {
		case *types.Var:
			if !slices.Contains(pkg.Init, obj) {
				pkg.Init = append(pkg.Init, obj)
			}
		case *types.TypeName:
			pkg.Types = append(pkg.Types, obj)
		}
	}
	for _, name := range set.Methods {
		if obj, ok := set.Checked.Types.Scope().Lookup(name[strings.LastIndexByte(name, '.')+1:]).(*types.TypeName); ok {
			pkg.Methods = append(pkg.Methods, obj)
		}
	}
	for _, f := range set.Funcs {
		if f.Object != nil {
			pkg.Keep = append(pkg.Keep, f.Object)
		}
	}
	for _, w := range set.Wrappers {
		if r, ok := wrapper(set, w); ok {
			pkg.Wrappers = append(pkg.Wrappers, r)
		} else if r, ok := binding(set, w); ok {
			pkg.Bound = append(pkg.Bound, r)
		} else {
			pkg.Made = append(pkg.Made, w.Symbol)
		}
	}
	return pkg
}

// instantiating returns the names of the variables and types that instantiate generic code of the set.
func instantiating(set analysis.PackageSet) []string {
	var names []string
	for _, i := range set.Instances {
		names = append(names, i.Decl[strings.LastIndexByte(i.Decl, '.')+1:])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// wrapper finds the type and the method of a compiler-made method that can be asked for. Bound methods
// ("T.M-fm") are made by the functions that bind them, those of generic types where they are used.
func wrapper(set analysis.PackageSet, w analysis.Wrapper) (reload.Wrapper, bool) {
	if strings.HasSuffix(w.Symbol, "-fm") {
		return reload.Wrapper{}, false
	}
	return methodOf(set, w.Symbol)
}

// binding finds the type and the method of a bound method.
func binding(set analysis.PackageSet, w analysis.Wrapper) (reload.Binding, bool) {
	name, bound := strings.CutSuffix(w.Symbol, "-fm")
	if !bound {
		return reload.Binding{}, false
	}
	r, ok := methodOf(set, name)
	return reload.Binding{Wrapper: r, Pointer: strings.Contains(name, "(*")}, ok
}

func methodOf(set analysis.PackageSet, name string) (reload.Wrapper, bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return reload.Wrapper{}, false
	}
	recv, method := name[:dot], name[dot+1:]
	recv = strings.TrimSuffix(recv[strings.LastIndexByte(recv, '.')+1:], ")")
	recv = strings.TrimPrefix(recv, "(*")
	obj, ok := set.Checked.Types.Scope().Lookup(recv).(*types.TypeName)
	if !ok {
		return reload.Wrapper{}, false
	}
	if n, ok := obj.Type().(*types.Named); !ok || n.TypeParams().Len() > 0 {
		return reload.Wrapper{}, false
	}
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, set.Checked.Types, method)
	fn, ok := m.(*types.Func)
	return reload.Wrapper{Type: obj, Method: fn}, ok
}
