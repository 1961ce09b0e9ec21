package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// A class is what a commit changes.
type class struct {
	code bool // a file that the program is built from
	mod  bool // go.mod
}

func (c class) String() string {
	switch {
	case c.mod:
		return "dependencies"
	case c.code:
		return "code"
	}
	return "no code"
}

// verdict is that of a whole refresh: the worst of its edits'.
func verdict(a drive.Answer) string {
	worst := "nothing"
	for _, e := range a.Edits {
		switch {
		case e.Verdict == "restart", worst == "nothing", e.Verdict == "caveat" && worst == "hot":
			worst = e.Verdict
		}
		if worst == "restart" {
			break
		}
	}
	if worst != "restart" && a.Exit != drive.Live {
		return "refused"
	}
	return worst
}

// A reason is why a commit needs a restart.
type reason struct {
	code, text string
}

// reasons lists those of an answer.
func reasons(a drive.Answer) []reason {
	var list []reason
	for _, e := range a.Edits {
		if e.Verdict == "restart" {
			list = append(list, reason{e.Code + " " + e.Kind, fmt.Sprintf("%s %s %s %s:%d: %s", e.Code, e.Kind, e.Decl, e.File, e.Line, e.Message)})
		}
	}
	if len(list) == 0 && a.Exit != drive.Live {
		list = append(list, reason{"refused by linker or agent", a.String()})
	}
	return list
}

// A tally counts commits and their edits.
type tally struct {
	verdicts map[class]map[string]int // commits
	edits    map[string]int           // by kind and verdict
	commits  map[string]int           // that an edit of the kind and verdict is in
	reasons  map[string][]string      // commits that need a restart for it; code and kind to what was said
	alone    map[string]int           // commits that need a restart for it alone
	phases   []drive.Phases
	slow     []string
	unbuilt  int // commits that do not compile, or come after one that does not
	restarts int
	highest  int // generation
}

func newTally() *tally {
	return &tally{verdicts: map[class]map[string]int{}, edits: map[string]int{}, commits: map[string]int{},
		reasons: map[string][]string{}, alone: map[string]int{}}
}

// add counts a commit.
func (y *tally) add(c commit, of class, a drive.Answer) {
	if y.verdicts[of] == nil {
		y.verdicts[of] = map[string]int{}
	}
	y.verdicts[of][verdict(a)]++
	y.highest = max(y.highest, a.Generation)
	if a.Applied {
		y.phases = append(y.phases, a.Phases)
	}
	if a.Phases.Total > 1000 {
		p := a.Phases
		y.slow = append(y.slow, fmt.Sprintf("%s %s, %d edits: total %.0f ms: detect %.0f, check %.0f, compile %.0f, link %.0f, inject %.0f",
			c.hash[:9], verdict(a), len(a.Edits), p.Total, p.Detect, p.Check, p.Compile, p.Link, p.Inject))
	}
	if of.mod {
		return
	}
	seen := map[string]bool{}
	for _, e := range a.Edits {
		what := fmt.Sprintf("%-30s %s", e.Kind, e.Verdict)
		y.edits[what]++
		seen[what] = true
	}
	for what := range seen {
		y.commits[what]++
	}
	why := map[string][]string{}
	for _, r := range reasons(a) {
		why[r.code] = append(why[r.code], r.text)
	}
	for code, texts := range why {
		y.reasons[code] = append(y.reasons[code], c.hash[:9]+" "+strings.Join(texts, "\n              "))
		if len(why) == 1 {
			y.alone[code]++
		}
	}
}

// String is the result.
func (y *tally) String() string {
	var b strings.Builder
	for _, of := range []class{{code: true}, {mod: true, code: true}, {mod: true}, {}} {
		counts, total := y.verdicts[of], 0
		for _, n := range counts {
			total += n
		}
		fmt.Fprintf(&b, "commits, %s", of)
		if of.mod && !of.code {
			b.WriteString(" alone")
		}
		fmt.Fprintf(&b, ": %d", total)
		for _, v := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&b, ", %s %d", v, counts[v])
		}
		if live := total - counts["restart"] - counts["refused"]; of.code && !of.mod && total > 0 {
			fmt.Fprintf(&b, "; live %d of %d, %.1f %%", live, total, 100*float64(live)/float64(total))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "not compiled: %d; restarts: %d; highest generation: %d\n", y.unbuilt, y.restarts, y.highest)
	fmt.Fprintf(&b, "refreshes: %d, medians: %s\n", len(y.phases), drive.Medians(y.phases))
	b.WriteString("edits, commits that have some:\n")
	for _, what := range slices.Sorted(maps.Keys(y.edits)) {
		fmt.Fprintf(&b, "  %5d %5d  %s\n", y.edits[what], y.commits[what], what)
	}
	b.WriteString("why commits need a restart (commits; of them, those with no other reason):\n")
	codes := slices.Collect(maps.Keys(y.reasons))
	slices.SortFunc(codes, func(a, b string) int {
		if d := len(y.reasons[b]) - len(y.reasons[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, code := range codes {
		fmt.Fprintf(&b, "  %5d %5d  %s\n", len(y.reasons[code]), y.alone[code], code)
		for _, text := range y.reasons[code] {
			fmt.Fprintf(&b, "              %s\n", text)
		}
	}
	b.WriteString("refreshes over a second:\n")
	for _, s := range y.slow {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}
