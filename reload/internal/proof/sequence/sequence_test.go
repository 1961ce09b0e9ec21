// Package sequence makes random edits of random programs while these run. It knows the language and the tool's command
// line, and must never know how a refresh is made.
package sequence

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const (
	module = "example.com/random/"
	steps  = 10
	batch  = 25 // seeds whose fresh builds are one program
)

// A version is what a process ran for a while.
type version struct {
	name    string
	files   map[string]string // the source of its fresh build
	replies map[string]string // of the process, by command
	log     []string          // of all edits that led here
	dir     string            // where the sources were put
	stuck   map[string]int    // see run
}

// A tally counts over all seeds.
type tally struct {
	sync.Mutex
	hot, caveat, refused int
	rollbacks, onceMore  int            // once more: refused after a rollback
	reasons, live        map[string]int // codes and kinds of edits: that refused a step, and that went live
	versions             []*version
}

// TestSequences edits programs again and again. After each edit that went live the process must answer as a fresh
// build of the same source does, from the same state on; after each that was refused, as before. LIMEADE_SEEDS says
// which seeds: "500" for the first 500, "17-19" for some. Without it other toolchains than the local one have a few.
func TestSequences(t *testing.T) {
	from, to := seeds(t)
	local := drive.Toolchains(t, false)
	for _, version := range local {
		t.Run(version, func(t *testing.T) { sequences(t, version, from, to) })
	}
	if os.Getenv("LIMEADE_SEEDS") != "" {
		return
	}
	for _, version := range drive.Toolchains(t, true) {
		if !slices.Contains(local, version) {
			t.Run(version, func(t *testing.T) { sequences(t, version, 506, 511) })
		}
	}
}

func sequences(t *testing.T, toolchain string, from, to int) {
	all := &tally{reasons: map[string]int{}, live: map[string]int{}}
	for first := from; first < to; first += batch {
		last := min(first+batch, to)
		t.Run(fmt.Sprintf("%d-%d", first, last-1), func(t *testing.T) {
			all.versions = nil
			dir, err := os.MkdirTemp("", "limeade-sequence-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the sources are kept in %s: SEED/STEP as each step asked for them", dir)
				} else {
					os.RemoveAll(dir)
				}
			})
			t.Run("run", func(t *testing.T) {
				for seed := first; seed < last; seed++ {
					t.Run(strconv.Itoa(seed), func(t *testing.T) {
						t.Parallel()
						sequence(t, toolchain, filepath.Join(dir, strconv.Itoa(seed)), uint64(seed), all)
					})
				}
			})
			compare(t, all.versions)
		})
	}
	total := all.hot + all.caveat + all.refused
	t.Logf("%d steps: hot %d, caveat %d, refused %d; hot or caveat %.0f%%; %d rolled back and made again, of which %d were refused then",
		total, all.hot, all.caveat, all.refused, 100*float64(all.hot+all.caveat)/float64(max(total, 1)), all.rollbacks, all.onceMore)
	for _, kind := range slices.Sorted(maps.Keys(all.live)) {
		t.Logf("%5d live of %s", all.live[kind], kind)
	}
	for _, reason := range slices.Sorted(maps.Keys(all.reasons)) {
		t.Logf("%5d refused for %s", all.reasons[reason], reason)
	}
}

// seeds is the range that is asked for.
func seeds(t *testing.T) (from, to int) {
	text := os.Getenv("LIMEADE_SEEDS")
	if text == "" {
		return 0, 20
	}
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		low, high = "0", low
	}
	from, err := strconv.Atoi(low)
	if err == nil {
		to, err = strconv.Atoi(high)
	}
	if err != nil {
		t.Fatalf("LIMEADE_SEEDS=%s: want a number or a range", text)
	}
	if ok {
		to++
	}
	return from, to
}

// A run is one process and the program that it runs.
type run struct {
	t       *testing.T
	ctx     context.Context
	w       *drive.Workspace
	p       *drive.Program
	seed    uint64
	applied []uint64 // seeds of the edits that are live
	epochs  int
	frozen  map[string]map[string]string // tables that keep a value which is not their initialiser's
	stuck   map[string]int               // func values that keep their old code, as the tool said: those kept before that time
	names   map[string][]string          // by what stuck says of, all names that a declaration has had
	called  map[string]called            // types, by package and number
	gen     int
}

// program is the program after some edits.
func (r *run) program(edits []uint64) (*program, []string) {
	g := newProgram(r.seed)
	var log []string
	for _, seed := range edits {
		log = append(log, strings.Join(g.step(seed), ", "))
	}
	return g, log
}

func sequence(t *testing.T, toolchain, dir string, seed uint64, all *tally) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	r := &run{t: t, ctx: ctx, seed: seed, frozen: map[string]map[string]string{}, stuck: map[string]int{}, names: map[string][]string{}, called: map[string]called{}}
	live := filepath.Join(dir, "live")
	r.w = drive.NewWorkspace(t, live, toolchain, "GODEBUG=clobberfree=1,invalidptr=1")
	r.put(live, nil)
	r.put(filepath.Join(dir, "0"), nil)
	var err error
	if r.p, err = r.w.Start(nil); err != nil {
		t.Fatal(err)
	}
	before := r.record(filepath.Join(dir, "0"), nil, nil)
	if err := r.w.Listed(ctx); err != nil {
		t.Fatal(err)
	}
	all.Lock()
	all.versions = append(all.versions, before)
	all.Unlock()

	for step := uint64(1); step <= steps; step++ {
		r.keep()
		edits := append(slices.Clone(r.applied), step+seed*1000)
		log := r.put(live, edits)
		what := fmt.Sprintf("seed %d, step %d (%s)", seed, step, log[len(log)-1])
		r.put(filepath.Join(dir, fmt.Sprint(step)), edits)
		a := r.refresh(what)
		switch {
		case a.Exit == drive.Refused:
			all.Lock()
			all.refused++
			for _, reason := range reasons(a) {
				all.reasons[reason]++
				t.Logf("%s: refused for %s", what, reason)
			}
			all.Unlock()
			r.same(what+", refused", before)
			r.put(live, r.applied)
		case a.Exit == drive.Live:
			if a.Applied {
				r.gen++
			}
			if a.Generation != r.gen {
				t.Fatalf("%s: want generation %d: %v\n%s", what, r.gen, a, r.p.Stderr)
			}
			applied, frozen, stuck, called := r.applied, r.frozen, r.stuck, r.called
			r.applied = edits
			after := r.record(filepath.Join(dir, fmt.Sprint(step)), before, a.Edits)
			all.Lock()
			all.versions = append(all.versions, after)
			for _, e := range a.Edits {
				all.live[e.Code+" "+e.Kind]++
			}
			if slices.ContainsFunc(a.Edits, func(e drive.Edit) bool { return e.Verdict == "caveat" }) {
				all.caveat++
			} else {
				all.hot++
			}
			all.Unlock()
			if a.Applied && (seed+step)%4 == 0 {
				done, again := r.back(what, before, after)
				all.Lock()
				if done {
					all.rollbacks++
				}
				if !again {
					all.onceMore++
				}
				all.Unlock()
				if !again {
					r.applied, r.frozen, r.stuck, r.called = applied, frozen, stuck, called
					r.put(live, r.applied)
					continue
				}
			}
			before = after
		default:
			t.Fatalf("%s: %v\n%s", what, a, r.p.Stderr)
		}
	}
}

// refresh tries a few times when a goroutine is in the way.
func (r *run) refresh(what string) drive.Answer {
	for try := 0; ; try++ {
		a, err := r.w.Refresh(r.ctx)
		if err != nil {
			r.t.Fatalf("%s: %v\n%s", what, err, r.p.Stderr)
		}
		if a.Exit != drive.NoProcess || try == 3 {
			return a
		}
		select {
		case <-r.p.Ended():
			r.t.Fatalf("%s: the process ended: %v\n%s", what, a, r.p.Stderr)
		default:
		}
	}
}

// back rolls the last refresh back and makes it again, and reports whether the first was done, and whether the process
// runs the edit in the end. What was rolled back stays in the process, so that the second time may be refused.
func (r *run) back(what string, before, after *version) (done, again bool) {
	a, err := r.w.Rollback(r.ctx)
	if err != nil {
		r.t.Fatalf("%s, rollback: %v\n%s", what, err, r.p.Stderr)
	}
	if a.Exit == drive.Refused {
		r.same(what+", rollback refused", after)
		return false, true
	}
	r.gen++
	if a.Exit != drive.Live || a.Generation != r.gen {
		r.t.Fatalf("%s, rollback to generation %d: %v\n%s", what, r.gen, a, r.p.Stderr)
	}
	r.same(what+", rolled back", before)
	a = r.refresh(what)
	if a.Exit == drive.Refused {
		r.t.Logf("%s, once more: %v", what, a)
		r.same(what+", once more, refused", before)
		return true, false
	}
	r.gen++
	if a.Exit != drive.Live || a.Generation != r.gen {
		r.t.Fatalf("%s, once more: want generation %d: %v\n%s", what, r.gen, a, r.p.Stderr)
	}
	r.same(what+", once more", after)
	return true, true
}

// reasons are the codes for which an answer refuses.
func reasons(a drive.Answer) []string {
	var list []string
	for _, e := range a.Edits {
		if e.Verdict == "restart" {
			list = append(list, e.Code+" "+e.Kind)
		}
	}
	if len(list) == 0 {
		var refusal struct{ Message string }
		json.Unmarshal(a.Error, &refusal)
		_, why, _ := strings.Cut(refusal.Message, ": ")
		list = []string{"the linker: " + why}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// put writes the program after some edits to where it is run from.
func (r *run) put(dir string, edits []uint64) []string {
	g, log := r.program(edits)
	files, err := g.source(module, "main")
	if err != nil {
		r.t.Fatal(err)
	}
	files["loop.go"] = loop
	files["answer.go"] = answers("main", module)
	files["go.mod"] = "module example.com/random\n\ngo 1.25\n"
	if err := write(dir, files); err != nil {
		r.t.Fatal(err)
	}
	return log
}

// write writes files that are not so already.
func write(dir string, files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(file); err == nil && string(old) == text {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := drive.Put(file, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// ask gives the reply to one command.
func (r *run) ask(command string) string {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	reply, err := r.p.Ask(ctx, command)
	if err != nil {
		r.t.Fatalf("seed %d, %q: %v", r.seed, command, err)
	}
	return reply
}

func (r *run) keep() {
	if got := r.ask("keep"); got != strconv.Itoa(r.epochs) {
		r.t.Fatalf("seed %d: keep says %s, want %d", r.seed, got, r.epochs)
	}
	r.epochs++
}

// questions are the commands that show what a process does.
func (r *run) questions() []string {
	list := []string{"all 3", "all 20", "tables"}
	for i := range r.epochs {
		list = append(list, fmt.Sprintf("kept %d 4", i))
	}
	return list
}

// same tells whether the process answers as it did.
func (r *run) same(what string, v *version) {
	for _, q := range r.questions() {
		want, ok := v.replies[q]
		if !ok {
			continue // kept since
		}
		for _, d := range differences(r.ask(q), want, true) {
			r.t.Errorf("%s: %q no more as before: %s", what, q, d)
		}
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// record asks the process everything, and makes the source of the fresh build that must answer so too.
func (r *run) record(dir string, before *version, edits []drive.Edit) *version {
	g, log := r.program(r.applied)
	v := &version{name: fmt.Sprintf("s%dv%s", r.seed, filepath.Base(dir)), replies: map[string]string{}, log: log, dir: dir}
	for _, q := range r.questions() {
		v.replies[q] = r.ask(q)
	}
	r.freeze(g, before, v, edits)
	r.stick(g, edits)
	v.stuck = r.stuck
	says := r.call(g, edits)
	files, err := g.source(unplaced, "mainly")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range g.pkgs {
		clause, dir := p.name, p.name+"/"
		if p.name == mainName {
			clause, dir = "mainly", ""
		}
		text := "package " + clause + "\n\nfunc init() {\n"
		for _, d := range p.all(table) {
			if value, ok := r.frozen[p.name][fmt.Sprint(letters[table], d.id)]; ok {
				text += d.name + " = " + value + "\n"
			}
		}
		files[dir+"bring.go"] = text + "}\n"
		if len(says) > 0 {
			files[dir+"help.go"] = strings.Replace(strings.Replace("package "+clause+"\n"+help, typeNames, renaming(says), 1), "\"strings\"", "\"regexp\"\n\t\"strings\"", 1)
		}
	}
	files["answer.go"] = answers("mainly", unplaced)
	v.files = files
	return v
}

// called is what a type is called.
type called struct{ source, process string }

// call notes what the process calls types: one that was renamed has the name that it had, where the tool says so. It returns
// those that have another name in the source: what they are called, by what a fresh build says.
func (r *run) call(g *program, edits []drive.Edit) map[string]string {
	r.called = maps.Clone(r.called)
	says := map[string]string{}
	for _, p := range g.pkgs {
		path := module + p.name
		if p.name == mainName {
			path = mainName
		}
		for _, d := range p.all(structure, container, behaviour) {
			key := fmt.Sprint(p.name, ".", d.id)
			renamed := slices.ContainsFunc(edits, func(e drive.Edit) bool { return e.Decl == path+"."+d.name && e.Code == "LMD0307" })
			c := r.called[key]
			if c.source != d.name && !renamed {
				c.process = d.name
			}
			c.source = d.name
			r.called[key] = c
			if c.process != c.source {
				says[p.name+"."+c.source] = p.name + "." + c.process
			}
		}
	}
	return says
}

// goOn are the codes that say of func values that they go on with the old body: those of deleted functions, as which a
// generic one counts that has another name, and of function literals that do not go on.
var goOn = []string{"LMD0102", "LMD0202", "LMD0203", "LMD0204", "LMD0205"}

// typeDeleted is the code of a type that went, as one counts that has another name and is not known again.
const typeDeleted = "LMD0306"

// stick notes which func values do not go on, as the tool said of the declarations that they stand in.
func (r *run) stick(g *program, edits []drive.Edit) {
	r.stuck = maps.Clone(r.stuck)
	gone := map[*decl]bool{}
	for _, p := range g.pkgs {
		path := module + p.name
		if p.name == mainName {
			path = mainName
		}
		for kind, letter := range letters {
			for _, d := range p.all(kind) {
				key := fmt.Sprintf("%s.%s%d", p.name, letter, d.id)
				decl := path + "." + d.name
				if !slices.Contains(r.names[key], decl) {
					r.names[key] = append(r.names[key], decl)
				}
				for _, e := range edits {
					if slices.Contains(r.names[key], e.Decl) && slices.Contains(goOn, e.Code) {
						r.stuck[fmt.Sprintf("%s life %d", key, d.lives())] = r.epochs
					}
					if slices.Contains(r.names[key], e.Decl) && e.Code == typeDeleted {
						gone[d] = true
					}
				}
			}
		}
	}
	// Values of a type that was deleted, under whatever name it is there again, are of that one.
	for _, d := range g.all(structure, container, method) {
		for t := d; t != nil; {
			if gone[t] {
				key := fmt.Sprintf("%s.%s%d life %d", d.pkg.name, letters[d.kind], d.id, d.lives())
				r.stuck[key], r.stuck[key+" *"] = r.epochs, r.epochs
			}
			if t.recv != nil {
				t = t.recv
			} else {
				t = t.embedded()
			}
		}
	}
}

// freeze notes which tables keep their value, as the tool said of them.
func (r *run) freeze(g *program, before, now *version, edits []drive.Edit) {
	if before == nil {
		return
	}
	frozen := map[string]map[string]string{}
	for name, m := range r.frozen {
		frozen[name] = maps.Clone(m)
	}
	r.frozen = frozen
	old, values := decode(before.replies["tables"]), decode(now.replies["tables"])
	for _, p := range g.pkgs {
		path := module + p.name
		if p.name == mainName {
			path = mainName
		}
		for _, d := range p.all(table) {
			key := fmt.Sprint(letters[table], d.id)
			for _, e := range edits {
				if e.Decl != path+"."+d.name {
					continue
				}
				if e.Verdict != "caveat" {
					if e.Kind == "initialised anew" {
						delete(frozen[p.name], key)
					}
					continue
				}
				if frozen[p.name] == nil {
					frozen[p.name] = map[string]string{}
				}
				if frozen[p.name][key] = old[p.name][key]; e.Code == "LMD0410" {
					frozen[p.name][key] = values[p.name][key] // it was made by older code, which nobody can tell
				}
			}
		}
	}
}

// decode reads a reply.
func decode(reply string) map[string]map[string]string {
	var m map[string]map[string]string
	if err := json.Unmarshal([]byte(reply), &m); err != nil {
		return map[string]map[string]string{"": {"": reply}}
	}
	return m
}

// differences are the answers in which two replies differ, of those that both have, or of all.
func differences(got, want string, all bool) []string {
	var list []string
	a, b := decode(got), decode(want)
	for _, p := range slices.Sorted(maps.Keys(b)) {
		for _, key := range slices.Sorted(maps.Keys(b[p])) {
			if x, ok := a[p][key]; (ok || all) && x != b[p][key] {
				list = append(list, fmt.Sprintf("%s.%s is %q, want %q", p, key, x, b[p][key]))
			}
		}
	}
	if all && len(list) == 0 && got != want {
		list = append(list, fmt.Sprintf("%s, want %s", got, want))
	}
	return list
}
