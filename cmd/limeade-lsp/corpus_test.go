package main_test

import (
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

const (
	corpusDir = "../../testdata/edits"
	lastRow   = 78 // of the table of edit kinds
)

// verdicts in the order of their weight; "error" is a source that does not compile.
var verdictOrder = []string{"hot", "caveat", "restart", "error"}

// editCase is one file of testdata/edits: a program, what it answers, and a
// sequence of edits. The format is described in testdata/edits/README.md.
type editCase struct {
	name     string
	row      int
	pkg      string   // the main package, as an argument of go build in dir
	dir      string   // where limeade-lsp and go are run, relative to the root of the files
	start    string   // "run": limeade-lsp run; "build": limeade-lsp build, then the program alone
	variants []string // names; a leading "!" excludes; empty: all
	goMin    string   // lowest Go release that compiles it, "1.26"; empty: any that is supported
	fresh    bool     // answers after a live step equal those of a fresh build with the same inputs
	next     bool     // refused in this step of the project, to be made live in the next
	files    map[string]string
	before   dialogue
	steps    []editStep
	end      []string // what the program prints after its stdin was closed
}

// editStep is one save: files that change, and what must come of it.
type editStep struct {
	files   map[string]string
	deleted []string
	flags   []string     // of check and refresh
	verdict string       // of verdictOrder; several joined by "|" where the table leaves it open
	edits   []wantedEdit // nil: not compared
	noEdits bool         // the list of edits must be empty
	applied string       // "yes", "no", or "any" where the contract leaves it open
	errors  []string     // file:line:column of every compile error
	stale   []staleFunc
	noStale bool // the list of stale functions must be empty
	expect  dialogue
}

// live tells whether the process is to run the step's source afterwards.
func (s editStep) live() bool {
	return !strings.Contains(s.verdict, "restart") && !strings.Contains(s.verdict, "error")
}

// decided is the step with the verdict that was found, where several may be.
func (s editStep) decided(verdict string) editStep {
	if open := strings.Split(s.verdict, "|"); len(open) > 1 && slices.Contains(open, verdict) {
		s.verdict = verdict
		if s.applied != "any" {
			s.applied = appliedBy(verdict)
		}
	}
	return s
}

// appliedBy is what a refresh with a verdict says of "applied", if the case says nothing.
func appliedBy(verdict string) string {
	if (editStep{verdict: verdict}).live() {
		return "yes"
	}
	return "no"
}

// wantedEdit matches an edit of an answer; a "*" in a field matches any text.
type wantedEdit struct {
	decl, kind string
	verdicts   []string // any of them
}

func (w wantedEdit) String() string {
	return w.decl + " " + w.kind + " " + strings.Join(w.verdicts, "|")
}

func (w wantedEdit) matches(e editAnswer) bool {
	return matchStars(w.decl, e.Decl) && matchStars(w.kind, e.Kind) &&
		(w.verdicts[0] == "*" || slices.Contains(w.verdicts, e.Verdict))
}

// matchStars matches text against a pattern in which "*" stands for any text,
// and for a plain "*" as in "main.(*T).M" too.
func matchStars(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// dialogue is what is said to a program, and what it must answer.
type dialogue []exchange

type exchange struct {
	input   string
	answers []string
	kept    bool // the answer hangs on what happened before the edit: not compared with a fresh build
}

func parseDialogue(text string) (dialogue, error) {
	var d dialogue
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		input, probe := strings.CutPrefix(line, "> ")
		kept := false
		if !probe {
			input, kept = strings.CutPrefix(line, "~ ")
		}
		switch {
		case probe, kept:
			d = append(d, exchange{input: input, kept: kept})
		case line == "":
		case len(d) == 0:
			return nil, fmt.Errorf("answer %q stands before the first input", line)
		default:
			last := &d[len(d)-1]
			last.answers = append(last.answers, line)
		}
	}
	for _, x := range d {
		if len(x.answers) == 0 {
			return nil, fmt.Errorf("input %q has no answer", x.input)
		}
	}
	return d, nil
}

// loadCorpus reads every case; a malformed one ends the test.
func loadCorpus(t *testing.T) []*editCase {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(corpusDir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no cases in %s", corpusDir)
	}
	var cases []*editCase
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCase(strings.TrimSuffix(filepath.Base(name), ".txtar"), data)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
			continue
		}
		cases = append(cases, c)
	}
	if t.Failed() {
		t.FailNow()
	}
	return cases
}

var (
	caseName   = regexp.MustCompile(`^row(\d\d)-[a-z0-9-]+$`)
	headerLine = regexp.MustCompile(`^([a-z]+)([2-9]?): (.+)$`)
	section    = regexp.MustCompile(`^(before|after[2-9]?|expect)/(.+)$`)
)

func parseCase(name string, data []byte) (*editCase, error) {
	c := &editCase{name: name, pkg: ".", dir: ".", start: "run", files: map[string]string{}}
	archive := txtar.Parse(data)
	var expects = map[string]string{}
	for _, f := range archive.Files {
		m := section.FindStringSubmatch(f.Name)
		if m == nil {
			return nil, fmt.Errorf("section %s: unknown", f.Name)
		}
		text := string(f.Data)
		switch {
		case m[1] == "expect":
			expects[m[2]] = text
		case m[1] == "before":
			c.files[m[2]] = text
		default:
			s, err := c.step(strings.TrimPrefix(m[1], "after"))
			if err != nil {
				return nil, err
			}
			if gone, ok := strings.CutSuffix(m[2], ".deleted"); ok {
				s.deleted = append(s.deleted, gone)
			} else {
				s.files[m[2]] = text
			}
		}
	}
	if err := c.parseHeader(string(archive.Comment)); err != nil {
		return nil, err
	}
	var err error
	for key, text := range expects {
		switch {
		case key == "before":
			c.before, err = parseDialogue(text)
		case key == "end":
			c.end = strings.Split(strings.TrimRight(text, "\n"), "\n")
		case strings.HasPrefix(key, "after"):
			var s *editStep
			if s, err = c.step(key[len("after"):]); err == nil {
				s.expect, err = parseDialogue(text)
			}
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return nil, fmt.Errorf("section expect/%s: %w", key, err)
		}
	}
	return c, c.complete()
}

// step returns the step that a suffix names ("" is the first), made if it is the next one.
func (c *editCase) step(suffix string) (*editStep, error) {
	n := 1
	if suffix != "" {
		n, _ = strconv.Atoi(suffix)
	}
	if n < 1 || n > len(c.steps)+1 {
		return nil, fmt.Errorf("step %q comes before its predecessor", suffix)
	}
	if n == len(c.steps)+1 {
		c.steps = append(c.steps, editStep{files: map[string]string{}})
	}
	return &c.steps[n-1], nil
}

func (c *editCase) parseHeader(header string) error {
	for line := range strings.Lines(header) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := headerLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("header line %q: not \"key: value\"", line)
		}
		if err := c.set(m[1], m[2], m[3]); err != nil {
			return fmt.Errorf("header line %q: %w", line, err)
		}
	}
	return nil
}

func (c *editCase) set(key, suffix, value string) (err error) {
	if suffix == "" {
		switch key {
		case "row":
			c.row, err = strconv.Atoi(value)
			return err
		case "package":
			c.pkg = value
			return nil
		case "dir":
			c.dir = value
			return nil
		case "start":
			c.start = value
			return nil
		case "variants":
			c.variants = strings.Fields(value)
			return nil
		case "go":
			c.goMin = strings.TrimPrefix(value, ">=")
			return nil
		case "fresh":
			c.fresh = value == "yes"
			return nil
		case "until":
			c.next = value == "next"
			return nil
		}
	}
	s, err := c.step(suffix)
	if err != nil {
		return err
	}
	switch key {
	case "verdict":
		s.verdict = value
	case "applied":
		s.applied = value
	case "refresh":
		s.flags = strings.Fields(value)
	case "error":
		s.errors = append(s.errors, value)
	case "edit":
		if value == "none" {
			s.noEdits = true
			return nil
		}
		fields := strings.Fields(value)
		if len(fields) < 3 {
			return errors.New("not \"decl kind verdict\"")
		}
		last := len(fields) - 1
		s.edits = append(s.edits, wantedEdit{
			decl:     fields[0],
			kind:     strings.Join(fields[1:last], " "),
			verdicts: strings.Split(fields[last], "|"),
		})
	case "stale":
		if value == "none" {
			s.noStale = true
			return nil
		}
		fields := strings.Fields(value)
		if len(fields) != 2 {
			return errors.New("not \"func goroutines\"")
		}
		n, err := strconv.Atoi(fields[1])
		s.stale = append(s.stale, staleFunc{Func: fields[0], Goroutines: n})
		return err
	default:
		return errors.New("unknown key")
	}
	return nil
}

// complete fills in what follows from the rest, and says what is missing.
func (c *editCase) complete() error {
	m := caseName.FindStringSubmatch(c.name)
	if m == nil {
		return errors.New("file name: not row<NN>-<slug>.txtar")
	}
	if n, _ := strconv.Atoi(m[1]); n != c.row || n < 1 || n > lastRow {
		return fmt.Errorf("row %d: the file name says %s", c.row, m[1])
	}
	if c.start != "run" && c.start != "build" {
		return fmt.Errorf("start %q: neither run nor build", c.start)
	}
	if len(c.before) == 0 || len(c.steps) == 0 {
		return errors.New("needs expect/before and one step at least")
	}
	for i := range c.steps {
		s := &c.steps[i]
		for verdict := range strings.SplitSeq(s.verdict, "|") {
			if !slices.Contains(verdictOrder, verdict) {
				return fmt.Errorf("step %d: verdict %q: not one of %v", i+1, verdict, verdictOrder)
			}
		}
		if s.applied == "" {
			s.applied = appliedBy(s.verdict)
		}
		if !slices.Contains([]string{"yes", "no", "any"}, s.applied) {
			return fmt.Errorf("step %d: applied %q: not yes, no or any", i+1, s.applied)
		}
		if len(s.expect) == 0 {
			return fmt.Errorf("step %d: has no expectation", i+1)
		}
		if (s.verdict == "error") != (len(s.errors) > 0) {
			return fmt.Errorf("step %d: verdict %s with %d error places", i+1, s.verdict, len(s.errors))
		}
		if s.noEdits && s.edits != nil {
			return fmt.Errorf("step %d: edits none and some", i+1)
		}
	}
	return nil
}

// fillerLine asks for N lines of generated declarations whose names begin with a prefix.
var fillerLine = regexp.MustCompile(`(?m)^//generate:lines (\d+) ([A-Z]\w*)\n`)

// source is a file's text as it is written to disk.
func source(text string) string {
	return fillerLine.ReplaceAllStringFunc(text, func(line string) string {
		m := fillerLine.FindStringSubmatch(line)
		n, _ := strconv.Atoi(m[1])
		return filler(n, m[2])
	})
}

// filler writes at least n lines of declarations of many kinds, which compile in any package.
func filler(n int, prefix string) string {
	const unit = `
// %[1]s is a record of the filler.
type %[1]s struct {
	id   int
	name string
	next *%[1]s
	tags map[string]int
}

// Grow makes the chain longer.
func (x *%[1]s) Grow(n int) *%[1]s {
	for i := range n {
		x = &%[1]s{id: x.id + i, name: x.name, next: x}
	}
	return x
}

func (x %[1]s) String() string { return x.name }

// %[1]sSum adds up the ids of a chain that %[2]s is prime to.
func %[1]sSum(x *%[1]s, each func(int) int) (sum int) {
	for ; x != nil; x = x.next {
		switch {
		case x.id%%%[2]s == 0:
			sum += each(x.id)
		case len(x.tags) > 0:
			for _, v := range x.tags {
				sum += v
			}
		default:
			sum--
		}
	}
	return sum
}

var %[1]sTable = map[string][]int{"%[1]s": {%[2]s, 2, 3}}
`
	var b strings.Builder
	height := strings.Count(unit, "\n")
	for i := 0; i*height < n; i++ {
		fmt.Fprintf(&b, unit, prefix+strconv.Itoa(i), strconv.Itoa(i%97+2))
	}
	return b.String()
}

// writeFiles lays a tree of files out below root.
func writeFiles(root string, files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(source(text)), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the step's edit below root.
func (s editStep) apply(root string) error {
	for _, name := range s.deleted {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.Remove(file); err != nil {
			return err
		}
		// A directory that has become empty goes with its last file; another stays.
		if err := os.Remove(filepath.Dir(file)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return writeFiles(root, s.files)
}

// TestCorpus holds the corpus to its own rules: every row of the table has its
// cases, the Go of all cases is formatted, and what was promised is there.
func TestCorpus(t *testing.T) {
	cases := loadCorpus(t)
	var live, refused int
	perRow := map[int]int{}
	refusedOf := map[int]int{}
	for _, c := range cases {
		perRow[c.row]++
		isLive := false
		for _, s := range c.steps {
			isLive = isLive || s.live()
		}
		if isLive {
			live++
		} else {
			refused++
			refusedOf[c.row]++
		}
		if c.next && isLive && c.steps[0].live() {
			t.Errorf("%s: until next, but its first step is live", c.name)
		}
		checkFormat(t, c)
	}
	for row := 1; row <= lastRow; row++ {
		if perRow[row] == 0 {
			t.Errorf("row %d has no case", row)
		}
	}
	for row, n := range refusedOf {
		if n == perRow[row] && n < 2 {
			t.Errorf("row %d is refused as a whole by %d case", row, n)
		}
	}
	if len(cases) < 130 || live < 90 {
		t.Errorf("%d cases, %d of them live; at least 130 and 90 are promised", len(cases), live)
	}
	t.Logf("%d cases: %d live, %d refused", len(cases), live, refused)
}

// checkFormat holds a case's Go to gofmt, but for what does not parse and for
// the row that is about formatting.
func checkFormat(t *testing.T, c *editCase) {
	if c.row == 3 {
		return
	}
	trees := []map[string]string{c.files}
	for _, s := range c.steps {
		trees = append(trees, s.files)
	}
	for _, tree := range trees {
		for name, text := range tree {
			if path.Ext(name) != ".go" {
				continue
			}
			out, err := format.Source([]byte(text))
			if err == nil && string(out) != text {
				t.Errorf("%s: %s is not formatted", c.name, name)
			}
		}
	}
}
