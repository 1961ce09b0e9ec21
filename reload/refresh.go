package reload

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/stub"
	"github.com/limeade-go/limeade/reload/patch"
)

// A Prepared refresh is a patch that fits one process at one generation.
type Prepared struct {
	program *Program
	process *Process
	request *Request
	from    *Generation
	known   *Generation // the same, with what is known of functions under their new names too
	to      *Generation
	result  *link.Result
	outcome Outcome
	leaky   map[string]bool // functions that let more escape than their callers know
	leaks   *leaks
}

// maxRounds bounds how often one refresh is compiled again because linking or escape analysis showed
// that more is needed. Each round adds functions or types, so a higher bound only means a larger one.
const maxRounds = 8

// Prepare compiles and links what a process needs in order to run a request. It changes nothing in
// the process. It fails with a *CompileError, a *RefusedError, or an error about the build's records.
func (p *Program) Prepare(ctx context.Context, proc *Process, from *Generation, req *Request) (*Prepared, error) {
	begun := time.Now()
	host, err := p.Host()
	if err != nil {
		return nil, err
	}
	known, err := p.renamed(ctx, from, req.Renamed)
	if err != nil {
		return nil, err
	}
	out := &Prepared{program: p, process: proc, request: req, from: from, known: known}
	p.learnSignatures(req)
	moves := p.recordedMoves(req.Moves)
	since := sync.OnceValue(func() []LineMove { return p.recordedMoves(req.Since()) })
	if req.Since == nil {
		since = nil
	}
	whole, thin := map[string]bool{}, p.canThin
	leaky := map[string]bool{} // declarations that leak more than their callers rely on
	fresh := maps.Clone(req.fresh)
	if fresh == nil {
		fresh = map[string]bool{}
	}
	for range maxRounds {
		c, err := p.compile(ctx, host, from, req, whole, thin)
		if err != nil {
			return nil, err
		}
		uncalled, err := p.uncalled(from, req, c)
		if err != nil {
			c.remove()
			return nil, err
		}
		maps.Copy(fresh, uncalled)
		leaks, err := p.leaks(ctx, known, c, req.Pairs, uncalled)
		if err != nil {
			c.remove()
			return nil, err
		}
		for _, decl := range leaks.generic {
			fresh[decl] = true // all callers of generic code are in the recompile set
		}
		if err := leaks.refused(from.orphans); err != nil {
			c.remove()
			return nil, err
		}
		if more, err := req.inlined(c); err != nil {
			c.remove()
			return nil, err
		} else if more != nil {
			c.remove()
			req = more
			continue
		}
		if more := without(leaks.callers, leaky); len(more) > 0 {
			c.remove()
			for _, decl := range more {
				leaky[decl] = true
			}
			if req, err = req.Extend(more, true); err != nil {
				return nil, err
			}
			continue
		}
		tight := p.tightened(ctx, known, c, fresh, req.Pairs)
		start := time.Now()
		out.result, err = link.Link(&link.Request{
			Host: host, State: from.state.At(proc.ArenaNext), Stubs: c.stubs, Funcs: c.decls, Leaky: difference(leaky, fresh), Fresh: fresh, New: setOf(req.New), Anew: link.Anew(req.Anew), Renamed: req.Renamed, Renames: req.Renames, Makers: leaks.makers, Tight: tight,
			Moves: moves, Since: since, Pairs: p.recordedPairs(req.Pairs, leaks.apart), Literals: p.recordedLiterals(req.Literals),
			Brief: func(name string) bool { return p.isBrief(ctx, known, name) }, Stale: req.Stale, Gone: req.Gone, Methods: methodTables(req),
			Built: p.signature,
		})
		out.outcome.Link += time.Since(start)
		c.remove()
		var needWhole *link.NeedWhole
		var needBody *link.NeedBody
		var refusal *link.Refusal
		switch {
		case err == nil:
			all := leaks
			all.callers = sortedKeys(difference(leaky, fresh))
			if err := all.refused(out.result.Orphans); err != nil {
				return nil, err
			}
			out.leaky, out.leaks = leaky, &leaks
			err := out.record(ctx, req, c, fresh)
			out.outcome.Compile = time.Since(begun) - out.outcome.Link
			return out, err
		case errors.As(err, &needWhole):
			if len(without(needWhole.Types, whole)) == 0 {
				thin = nil // they are, but for thin types in their fields
			}
			for _, t := range needWhole.Types {
				whole[t] = true
			}
		case errors.As(err, &needBody):
			if req, err = req.Extend(needBody.Decls, false); err != nil {
				return nil, err
			}
		case errors.Is(err, link.ErrThin):
			thin = nil
		case errors.Is(err, link.ErrNothing):
			return nil, ErrNothingToSwap
		case errors.As(err, &refusal):
			return nil, &RefusedError{Symbol: refusal.Symbol, Reason: refusal.Reason}
		default:
			return nil, err
		}
	}
	return nil, &RefusedError{Symbol: req.Packages[0].Path, Reason: "needs more and more code recompiled"}
}

// uncalled returns the functions and methods of a request that nobody in the process calls as what they are now, and which get
// addresses of their own for it. A method that takes and returns what it did goes on as another body.
func (p *Program) uncalled(from *Generation, req *Request, c *compiled) (map[string]bool, error) {
	set := map[string]bool{}
	for _, name := range req.New {
		if req.Renamed[name] != "" {
			continue
		}
		if !link.IsMethod(name) {
			set[name] = true
			continue
		}
		was, err := from.state.Signature(name, p.signature)
		if err != nil {
			return nil, err
		}
		for _, s := range c.stubs {
			if now := s.Signatures[name]; was != "" && now != "" && was != now {
				set[name] = true
			}
		}
	}
	return set, nil
}

// methodTables are the types of a request whose method tables change, by link name.
func methodTables(req *Request) []string {
	var list []string
	for i := range req.Packages {
		for _, t := range req.Packages[i].Methods {
			list = append(list, linkPrefix(t.Pkg())+"."+t.Name())
		}
	}
	return list
}

// recordedMoves names files as the program has them.
func (p *Program) recordedMoves(moves []LineMove) []LineMove {
	moves = slices.Clone(moves)
	for i, m := range moves {
		moves[i].File, moves[i].NewFile = p.Recorded(m.File), p.Recorded(m.NewFile)
	}
	return moves
}

// recordedLiterals names files as the program has them.
func (p *Program) recordedLiterals(literals []Literal) []Literal {
	literals = slices.Clone(literals)
	for i := range literals {
		literals[i].File = p.Recorded(literals[i].File)
	}
	return literals
}

// recordedPairs names files as the program has them.
func (p *Program) recordedPairs(pairs []ClosurePair, apart map[place]bool) []ClosurePair {
	pairs = slices.Clone(pairs)
	for i := range pairs {
		old, new := &pairs[i].Old, &pairs[i].New
		pairs[i].Apart = pairs[i].Apart || apart[place{new.File, new.Line}]
		old.File, new.File = p.Recorded(old.File), p.Recorded(new.File)
	}
	return pairs
}

func without(list []string, set map[string]bool) []string {
	var rest []string
	for _, s := range list {
		if !set[s] {
			rest = append(rest, s)
		}
	}
	return rest
}

// inlined extends a request by the functions in which its new code may be inlined; nil if it has them.
func (req *Request) inlined(c *compiled) (*Request, error) {
	if req.Inlined == nil {
		return nil, nil
	}
	var decls []string
	for _, decl := range c.decls {
		if f := c.facts[decl]; f != nil && f.CanInline {
			decls = append(decls, decl)
		}
	}
	return req.Inlined(decls)
}

// record writes down what the process will run.
func (pr *Prepared) record(ctx context.Context, req *Request, c *compiled, fresh map[string]bool) error {
	var manifest []byte
	if req.Manifest != nil {
		var err error
		if manifest, err = req.Manifest(); err != nil {
			return err
		}
	}
	pr.to = &Generation{
		Manifest:   manifest,
		Recompiled: append(slices.Clip(pr.from.Recompiled), without(c.decls, setOf(pr.from.Recompiled))...),
		Joined:     pr.program.joined,
		undo:       pr.from.Digest,
		depth:      pr.from.depth + 1,
		state:      pr.result.State,
		assumed:    maps.Clone(pr.known.assumed),
		tags:       maps.Clone(pr.known.tags),
		tight:      pr.result.On,
		held:       append(slices.Clip(pr.from.held), pr.result.Held),
		orphans:    union(pr.from.orphans, pr.result.Orphans),
	}
	if pr.to.tags == nil {
		pr.to.tags = assumptions{} // a record has no empty one
	}
	recompiled := setOf(c.decls)
	for decl, f := range c.facts {
		if _, isLiteral := madeBy(decl); !f.Generic && (isLiteral || recompiled[decl]) {
			pr.to.tags[decl] = f.Params // stubs have others too, perhaps without a body
		}
	}
	pr.to.inlining = maps.Clone(pr.from.inlining)
	if pr.to.inlining == nil {
		pr.to.inlining = map[string]Inlining{}
	}
	for _, decl := range c.decls {
		if f := c.facts[decl]; f != nil && !f.Generic { // of generic code the compiler says little
			pr.to.inlining[decl] = Inlining{true, f.CanInline, f.Cost}
		}
	}
	pr.to.assumed.tighten(c, pr.leaky, fresh, pr.leaks, continued(req.Pairs), func(decl string) ([][]string, bool) {
		tags, ok, err := pr.program.built(ctx, decl)
		return tags, ok && err == nil
	})
	digest, err := pr.program.save(pr.from, pr.to)
	if err != nil {
		return err
	}
	pr.to.Digest = digest
	pr.result.Patch.Source, pr.result.Patch.Changed = digest, req.Changed
	pr.outcome.Replaced = pr.result.Stats.Replaced
	pr.outcome.Bytes = pr.result.Stats.Bytes
	return nil
}

// difference returns the keys of a that b has not.
func difference(a, b map[string]bool) map[string]bool {
	rest := map[string]bool{}
	for k := range a {
		if !b[k] {
			rest[k] = true
		}
	}
	return rest
}

// union returns what one or the other list has, sorted.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// Commit makes the patch live. When it fails, the process is as it was. A function that lets more of its parameters
// escape than before must not be called by older code that a goroutine is still inside of: where there is such a
// goroutine, the function gets an address of its own if that leaves nobody else with the old body, and
// the request is refused if not.
// With trial, [Process.Trial] has to follow.
func (pr *Prepared) Commit(ctx context.Context, trial bool) (Outcome, error) {
	outcome, err := pr.commit(ctx, trial)
	var refused *patch.Error
	if !errors.As(err, &refused) {
		return outcome, err
	}
	switch refused.Code {
	case patch.InitFailed:
		function, what, _ := strings.Cut(refused.Message, " ")
		if v := stub.InitOf(function); v != function {
			return Outcome{}, &RefusedError{Symbol: v, Reason: "is initialised by code that " + what}
		}
		return Outcome{}, &RefusedError{Symbol: function, Reason: "was run before the swap, as packages that join and --rerun-init ask for, and " + what}
	case patch.Vetoed:
		return Outcome{}, &VetoError{refused.Message}
	case patch.Occupied:
	default:
		return outcome, err
	}
	if anew := pr.request.Anew.Types; len(pr.request.Anew.Vacant) > 0 {
		return Outcome{}, &RefusedError{Symbol: anew[0], Reason: "may have a value that is in use: " + refused.Message}
	}
	host, err := pr.program.Host()
	if err != nil {
		return Outcome{}, err
	}
	if makers := sortedKeys(pr.leaks.makers); len(makers) > 0 {
		return Outcome{}, &RefusedError{Symbol: makers[0], Reason: "has a function literal that lets more escape than before, and " + refused.Message}
	}
	for _, decl := range sortedKeys(pr.leaky) {
		if host.HasValue(decl) || pr.request.Renamed[decl] != "" {
			return Outcome{}, &RefusedError{Symbol: decl, Reason: "lets more of its parameters escape than before, and " + refused.Message}
		}
	}
	proc := pr.process
	if err := proc.Renew(ctx); err != nil {
		return Outcome{}, err // a refused patch has used up some room
	}
	again := *pr.request
	again.fresh = pr.leaky
	if pr, err = pr.program.Prepare(ctx, proc, pr.from, &again); err != nil {
		return Outcome{}, err
	}
	return pr.commit(ctx, trial)
}

func (pr *Prepared) commit(ctx context.Context, trial bool) (Outcome, error) {
	start := time.Now()
	reply, err := pr.program.swap(ctx, pr.process, pr.to, func() (patch.ApplyReply, error) {
		if trial {
			return pr.process.client.Try(ctx, pr.result.Patch.Encode())
		}
		return pr.process.client.Apply(ctx, pr.result.Patch.Encode())
	})
	if err != nil {
		return Outcome{}, err
	}
	o := pr.outcome
	o.swapped(reply, time.Since(start))
	return o, nil
}

// ErrNothingToSwap says that what changed makes no code that the process could run.
var ErrNothingToSwap = errors.New("nothing to swap")

// ErrNothingToUndo says that a process is at the code that it started with.
var ErrNothingToUndo = errors.New("nothing to roll back: the program runs what it started with")

// Rollback undoes the last refresh of a process that is not undone yet. record makes the manifest of the outcome from those
// of the generations that it goes back to and from, and says where code of the latter's source stands in the former's.
func (p *Program) Rollback(ctx context.Context, proc *Process, from *Generation, record func(before, from []byte) ([]byte, []LineMove, error)) (*Generation, Outcome, error) {
	if from.depth == 0 {
		return nil, Outcome{}, ErrNothingToUndo
	}
	if err := from.undoable(); err != nil {
		return nil, Outcome{}, err
	}
	start := time.Now()
	before, err := p.load(proc, from.undo)
	if err != nil {
		return nil, Outcome{}, err
	}
	manifest, moves, err := record(before.Manifest, from.Manifest)
	if err != nil {
		return nil, Outcome{}, err
	}
	held := from.held[:from.depth-1]
	to := &Generation{
		Manifest: manifest, Recompiled: from.Recompiled, Joined: from.Joined,
		undo: before.undo, depth: before.depth,
		state: before.state.Undone(from.state, p.recordedMoves(moves)), assumed: before.assumed, tags: before.tags, inlining: before.inlining, tight: before.tight,
		held: held, orphans: union(from.orphans, from.held[len(held)]),
	}
	if to.Digest, err = p.save(from, to); err != nil {
		return nil, Outcome{}, err
	}
	reply, err := p.swap(ctx, proc, to, func() (patch.ApplyReply, error) {
		return proc.client.Rollback(ctx, proc.BuildID, proc.HelloReply.Generation, to.Digest)
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	var o Outcome
	o.swapped(reply, time.Since(start))
	return to, o, nil
}

// swapped notes what the agent says of a swap that took so long.
func (o *Outcome) swapped(r patch.ApplyReply, took time.Duration) {
	o.Generation, o.Pause = r.Generation, time.Duration(r.Pause)
	o.Hooks, o.Failures = time.Duration(r.Hooks), r.Failures
	o.Inject = took - o.Hooks
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
