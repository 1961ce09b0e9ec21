// Package retest runs the tests of packages again at each save: in test binaries that live on and have the edits swapped in.
// It knows the go command's view of tests, and the sessions that refresh processes; how an answer looks in an editor, or
// what a patch is, it must never know.
//
// A test binary is made of what any program is made of, so that nothing of the engine knows of tests. Each package has a
// copy of its module (see [shadow]), in which its test files are files as any others and a generated main package runs
// them when it is told to. What cannot be had so is run by go test itself.
package retest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/limeade-go/limeade/reload"
	"github.com/limeade-go/limeade/server/watch"
)

// Options say what is tested.
type Options struct {
	Dir      string   // where the go command runs, absolute
	Tool     string   // path of limeade-lsp
	Flags    []string // of go build
	Packages []string // as for go test; nil is "."
	Args     []string // flags of the tests
	Fresh    bool     // each run is in a process of its own
	Out      io.Writer
}

// Run tests the packages, and again those that an edit reaches, until the context ends. It reports whether the last runs
// all passed.
func Run(ctx context.Context, o Options) (passed bool, err error) {
	list, err := load(ctx, o)
	if err != nil {
		return false, err
	}
	r := &runner{Options: o, modules: map[string]*module{}}
	defer r.close()
	for _, p := range list {
		if err := r.add(p); err != nil {
			return false, err
		}
	}
	changes := make(chan struct{}, 1)
	note := func(watch.Change) {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	warn := func(what string, err error) { fmt.Fprintf(o.Out, "limeade: %s: %v\n", what, err) }
	files, err := watch.New(nil, note, warn)
	if err != nil {
		return false, err
	}
	defer files.Close()
	for {
		if err := r.look(files); err != nil {
			return false, err
		}
		for _, u := range r.units {
			if ctx.Err() == nil {
				u.update(ctx, changes)
			}
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return r.passed(), nil
		}
	}
}

// patience is how long source that does not compile is left alone before that is said.
const patience = 250 * time.Millisecond

// soon reports whether there is another change, or comes within some patience.
func soon(ctx context.Context, changes chan struct{}) bool {
	select {
	case <-changes:
		again(changes)
	case <-ctx.Done():
	case <-time.After(patience):
		return false
	}
	return true
}

// again puts back a change that was taken.
func again(changes chan struct{}) {
	select {
	case changes <- struct{}{}:
	default: // there is one more by now, which is as good
	}
}

// A runner has the packages that are tested.
type runner struct {
	Options
	modules map[string]*module // by directory
	units   []*unit
}

func (r *runner) add(p *listed) error {
	if !p.tested() {
		fmt.Fprintf(r.Out, "?   \t%s\t[no test files]\n", p.ImportPath)
		return nil
	}
	dir := p.Dir
	if p.Module != nil {
		dir = p.Module.Dir
	}
	m := r.modules[dir]
	if m == nil {
		m = newModule(dir)
		r.modules[dir] = m
	}
	u := &unit{options: r.Options, pkg: p, module: m, plain: p.unfit()}
	r.units = append(r.units, u)
	if u.plain != "" {
		return nil
	}
	var err error
	u.shadow, err = newShadow(m, p)
	return err
}

// look reads what changed on disk, and watches where more may.
func (r *runner) look(files *watch.Watcher) error {
	dirs := map[string]bool{}
	for _, m := range r.modules {
		if err := m.scan(); err != nil {
			return err
		}
		for dir := range m.dirs {
			dirs[dir] = false
		}
	}
	for _, u := range r.units {
		for _, name := range u.pkg.embedded() {
			dirs[filepath.Dir(name)] = true
		}
	}
	files.Follow(dirs)
	return nil
}

func (r *runner) passed() bool {
	for _, u := range r.units {
		if !u.passed {
			return false
		}
	}
	return true
}

func (r *runner) close() {
	for _, u := range r.units {
		u.close()
	}
}

// seconds is a duration as go test has it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// build builds what a shadow says.
func build(ctx context.Context, o Options, s *shadow) (*reload.Program, error) {
	return reload.NewBuild(ctx, o.Tool, reload.BuildOptions{Dir: s.dir, Target: []string{s.main}, Flags: testFlags(o.Flags)})
}
