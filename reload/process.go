package reload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/wire"
	"github.com/limeade-go/limeade/reload/patch"
)

// A Process is a running program with an agent in it.
type Process struct {
	patch.HelloReply
	client *wire.Client
}

// Attach connects to the agent of a process.
func Attach(ctx context.Context, pid int) (*Process, error) {
	c, err := wire.Dial(ctx, pid)
	if err != nil {
		return nil, err
	}
	hello, err := c.Hello(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &Process{HelloReply: hello, client: c}, nil
}

// Close ends the connection; the process goes on.
func (p *Process) Close() { _ = p.client.Close() }

// ErrEnded is wrapped by errors about a process that has come to its end.
var ErrEnded = wire.ErrEnded

// BuildOf returns the build ID of whatever a process executes, also if no agent in it answers.
func BuildOf(pid int) (string, error) { return build.ReadBuildID(fmt.Sprintf("/proc/%d/exe", pid)) }

// settleTime is how long a process is asked what it runs, after it did not say what became of a request.
const settleTime = 5 * time.Second

// settle opens the conversation anew and waits until nobody changes the process any more. That the old conversation is
// closed takes back what was asked in it: an agent that has not got to it by now never will. The context of
// the request may have ended, and that may be the reason.
func (p *Process) settle(ctx context.Context) error {
	_ = p.client.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for {
		again, err := Attach(ctx, int(p.PID))
		if err != nil {
			return err
		}
		if !again.Busy {
			*p = *again
			return nil
		}
		again.Close()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// swap makes a generation live, whose record is in the store, by a request to the agent. When the agent's answer is
// lost, what the process runs decides. If it is not made the record stays: another process may run the same.
func (p *Program) swap(ctx context.Context, proc *Process, to *Generation, request func() (patch.ApplyReply, error)) (patch.ApplyReply, error) {
	reply, err := request()
	var refused *patch.Error
	if err != nil && !errors.As(err, &refused) {
		if lost := proc.settle(ctx); lost != nil {
			return reply, err
		}
		if proc.Source == to.Digest {
			reply, err = patch.ApplyReply{Generation: proc.HelloReply.Generation}, nil
		}
	}
	if err != nil {
		if refused != nil && (refused.Code == patch.WrongGeneration || refused.Code == patch.Busy) {
			err = fmt.Errorf("process %d: another refresh came first, and this one did nothing; look at status, and refresh again: %w", proc.PID, err)
		}
		return reply, err
	}
	p.root().generations.put(to)
	return reply, nil
}

// Renew asks the process anew what it runs.
func (p *Process) Renew(ctx context.Context) (err error) {
	p.HelloReply, err = p.client.Hello(ctx)
	return err
}

// Trial waits for some time, or until something fails in a process whose refresh is on trial: a panic passes through new
// code, or a check of the program's own fails. failed is "" if nothing did. generation is that of the refresh. No time
// ends the trial.
func (p *Process) Trial(ctx context.Context, generation uint32, d time.Duration) (failed string, trace []string, err error) {
	r, err := p.client.Trial(ctx, p.BuildID, generation, d)
	return r.Failed, r.Trace, err
}

// Stale counts the goroutines that are inside of code which was replaced.
func (p *Process) Stale(ctx context.Context) ([]patch.StaleFunc, error) {
	r, err := p.client.Stale(ctx)
	return r.Funcs, err
}

// A Generation is what a process runs, and what the linker knows of it.
type Generation struct {
	Digest     string // "" at generation 0
	Manifest   []byte // as the front end gave it; nil at generation 0
	Recompiled []string
	// Joined are the packages that the process has and the build lacks, imported ones first.
	Joined []*BuildPackage

	undo     string // digest of what a rollback leads back to
	state    *link.State
	assumed  assumptions
	tags     assumptions         // what the bodies let escape that were compiled since the build
	inlining map[string]Inlining // and whether they can be inlined
	tight    link.Tight
	held     [][]string // of each refresh that can be rolled back: see link.Reliance
	orphans  []string   // the same of those that were
	depth    int        // refreshes that can be rolled back
}

// Inlining is what the compiler decided about inlining a function.
type Inlining struct {
	Known bool
	Can   bool
	Cost  int // of its body; 0: not known
}

// Inlining returns what the compiler decided about a function that was compiled since the build, by link name.
func (g *Generation) Inlining(decl string) Inlining { return g.inlining[decl] }

// A record is how a generation is kept in the store, by its digest.
type record struct {
	BuildID    string
	Parent     string // digest of the generation before; "": generation 0
	Undo       string // digest of what a rollback leads back to
	Manifest   []byte
	Recompiled []string // that the parent has not
	Delta      *link.Delta
	Depth      int
	Joined     []*BuildPackage // that the parent has not
	Assumed    assumptions     // that the parent has not, or has otherwise
	Tags       assumptions
	Inlining   map[string]Inlining
	Tight      link.Tight
	Held       [][]string
	Orphans    []string
}

func (p *Program) recordPath(digest string) string {
	return filepath.Join(p.Store().Dir(), "generations", digest)
}

// Generation returns what a process of the program runs. The error wraps ErrUnknownBuild when the
// record is missing.
func (p *Program) Generation(proc *Process) (*Generation, error) {
	return p.load(proc, proc.Source)
}

func (p *Program) load(proc *Process, digest string) (*Generation, error) {
	if digest == "" {
		return &Generation{state: link.NewState(proc.Bias, proc.ArenaLo, proc.ArenaHi), assumed: assumptions{}, tags: assumptions{}}, nil
	}
	if g := p.root().generations.get(digest); g != nil {
		return g, nil
	}
	data, err := os.ReadFile(p.recordPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the record of what process %d runs was removed from %s", ErrUnknownBuild, proc.PID, p.Store().Dir())
	} else if err != nil {
		return nil, err
	}
	var r record
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&r); err != nil || r.BuildID != p.BuildID || digestOf(data) != digest {
		return nil, fmt.Errorf("%w: the record of what process %d runs is damaged", ErrUnknownBuild, proc.PID)
	}
	parent, err := p.load(proc, r.Parent)
	if err != nil {
		return nil, err
	}
	g := &Generation{
		Digest: digest, Manifest: r.Manifest, undo: r.Undo,
		Recompiled: append(slices.Clip(parent.Recompiled), r.Recompiled...),
		Joined:     append(slices.Clip(parent.Joined), r.Joined...),
		state:      parent.state.With(r.Delta),
		assumed:    maps.Clone(parent.assumed),
		tags:       r.Tags,
		inlining:   r.Inlining,
		tight:      r.Tight,
		held:       r.Held,
		orphans:    r.Orphans,
		depth:      r.Depth,
	}
	maps.Copy(g.assumed, r.Assumed)
	p.root().generations.put(g)
	return g, nil
}

// save writes the record of a generation that follows another, and returns its digest.
func (p *Program) save(parent, g *Generation) (string, error) {
	r := record{
		BuildID: p.BuildID, Parent: parent.Digest, Undo: g.undo, Manifest: g.Manifest,
		Recompiled: g.Recompiled[len(parent.Recompiled):],
		Delta:      g.state.Since(parent.state),
		Depth:      g.depth,
		Joined:     g.Joined[len(parent.Joined):],
		Assumed:    g.assumed.since(parent.assumed),
		Tags:       g.tags,
		Inlining:   g.inlining,
		Tight:      g.tight,
		Held:       g.held,
		Orphans:    g.orphans,
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(r); err != nil {
		return "", err
	}
	digest := digestOf(buf.Bytes())
	return digest, p.Store().WriteFile(p.recordPath(digest), buf.Bytes())
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// generationCache keeps the generations that were used last.
type generationCache struct {
	mu   sync.Mutex
	list []*Generation
}

// maxGenerations is enough for a few processes of one build, each with a generation to roll back to.
const maxGenerations = 8

func (c *generationCache) get(digest string) *Generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, g := range c.list {
		if g.Digest == digest {
			c.list = append(append(c.list[:i:i], c.list[i+1:]...), g)
			return g
		}
	}
	return nil
}

func (c *generationCache) put(g *Generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, g)
	if len(c.list) > maxGenerations {
		c.list = slices.Clone(c.list[1:])
	}
}

// SocketDirs lists the directories in which agents and services of this user listen, best first. One
// that others can write to must not be used: see [PrivateDir].
func SocketDirs() []string { return patch.SocketDirs(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()) }

// PrivateDir makes sure that a directory exists that this user alone can use.
func PrivateDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Private(dir)
}

// OwnPeer returns an error unless a process of this user is at the other end of a connection.
func OwnPeer(conn syscall.Conn) error {
	peer, err := wire.Peer(conn)
	if err == nil && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("the process at the other end belongs to user %d, not to %d", peer.Uid, os.Geteuid())
	}
	return err
}

// Private returns an error, which says what to do, if others than this user can put sockets into dir.
func Private(dir string) error { return wire.Private(dir) }

// PIDs lists the processes of this user that have an agent.
func PIDs() ([]int, error) {
	list, err := wire.List()
	pids := make([]int, len(list))
	for i, p := range list {
		pids[i] = p.PID
	}
	return pids, err
}
