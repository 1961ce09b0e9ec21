package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// A source is what the server's packages price, tax and web say. Whatever else it is, its answers are those that the
// traffic knows: only the number of the generation counts up.
type source struct {
	now     int
	unit    int    // a constant; what it lacks to 100 stands where it is used
	helper  string // name of a function
	params  int    // how many parameters it has besides the first
	extras  []int  // functions that were added
	vars    []int  // variables
	methods []int  // of *tax.Rate
	imports int    // how many of the list there are
	literal int    // in a function literal
	generic int    // in a generic function
	lines   int    // of comments above everything
	file    bool   // the helper has its own
	fields  int    // that tax.Rate was given
	tag     int    // in the struct tag of its field
}

func (s source) clone() source {
	s.extras, s.vars, s.methods = slices.Clone(s.extras), slices.Clone(s.vars), slices.Clone(s.methods)
	return s
}

// imported are packages that the server lacks or has, with an expression that is 0.
var imported = [][2]string{
	{"strings", `strings.Count("limeade", "x")`}, {"container/ring", "ring.New(2).Len() - 2"}, {"text/tabwriter", "int(tabwriter.TabIndent) - 16"},
	{"unicode/utf8", `utf8.RuneCountInString("")`}, {"container/list", "list.New().Len()"}, {"hash/adler32", "int(adler32.Checksum(nil)) - 1"},
}

// render gives the files.
func (s source) render(web string) map[string]string {
	var price, body, tax strings.Builder
	top := strings.Repeat("// A line.\n", s.lines)
	params, args := "", ""
	for i := range s.params {
		params += fmt.Sprintf(", p%d int", i)
		args += fmt.Sprintf(", %d", i)
	}
	fmt.Fprintf(&price, "%spackage price\n\nimport (\n", top)
	for _, imp := range imported[:s.imports] {
		fmt.Fprintf(&price, "\t%q\n", imp[0])
		fmt.Fprintf(&body, "\tcents += %s\n", imp[1])
	}
	fmt.Fprintf(&price, ")\n\nconst unit = %d\n\n", s.unit)
	for _, n := range s.extras {
		fmt.Fprintf(&price, "func extra%d() int { return %d }\n\n", n, n)
		fmt.Fprintf(&body, "\tcents += extra%d() - %d\n", n, n)
	}
	for _, n := range s.vars {
		fmt.Fprintf(&price, "var kept%d = %d * one()\n\n", n, n)
		fmt.Fprintf(&body, "\tcents += kept%d - %d\n", n, n)
	}
	fmt.Fprintf(&body, "\tcents += func(n int) int { return n - cents }(cents + %d) - %d\n", s.literal, s.literal)
	fmt.Fprintf(&body, "\tcents += same(%d) - %d\n", s.generic, s.generic)
	helper := fmt.Sprintf("//go:noinline\nfunc %s(item int%s) int { return item * 0 }\n", s.helper, params)
	files := map[string]string{}
	if s.file {
		files["price/helper.go"] = "package price\n\n" + helper
		helper = ""
	} else {
		files["price/helper.go"] = "package price\n"
	}
	fmt.Fprintf(&price, `func one() int { return 1 }

func same[T any](x T) T { return x }

//go:noinline
func Of(item int) (generation, cents int) {
	const now = %d
	cents = item*unit + item*%d + now + %s(item%s)
%s	return now, cents
}

%s`, s.now, 100-s.unit, s.helper, args, body.String(), helper)
	fmt.Fprintf(&tax, "%spackage tax\n\ntype Rate struct {\n\tPercent int `soak:\"%d\"`\n", top, s.tag)
	for i := range s.fields {
		fmt.Fprintf(&tax, "\tF%d int\n", i)
	}
	fmt.Fprintf(&tax, `}

//go:noinline
func (r *Rate) On(cents int) (generation, tax int) {
	const now = %d
`, s.now)
	for _, n := range s.methods {
		fmt.Fprintf(&tax, "\tcents += r.Extra%d(%d)\n", n, n)
	}
	fmt.Fprintf(&tax, "\treturn now, cents*r.Percent + now\n}\n")
	for _, n := range s.methods {
		fmt.Fprintf(&tax, "\nfunc (r *Rate) Extra%d(n int) int { return n - %d }\n", n, n)
	}
	files["price/price.go"], files["tax/tax.go"] = price.String(), tax.String()
	files["web/web.go"] = number.ReplaceAllString(web, fmt.Sprintf("const now = %d", s.now))
	return files
}

var number = regexp.MustCompile(`const now = \d+`)

// write saves the files that are others than before.
func write(dir string, files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(file); err == nil && string(old) == text {
			continue
		}
		if err := drive.Put(file, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// A kind of edit.
type kind struct {
	name string
	// make changes the source, n being a number that was not used yet.
	make func(s *source, n int, r *rand.Rand)
}

// kinds are edits that go live.
var kinds = []kind{
	{"body", func(*source, int, *rand.Rand) {}},
	{"function added", func(s *source, n int, _ *rand.Rand) { s.extras = append(s.extras, n) }},
	{"function deleted", func(s *source, _ int, r *rand.Rand) { s.extras = without(s.extras, r) }},
	{"function renamed", func(s *source, n int, _ *rand.Rand) { s.helper = fmt.Sprint("helper", n) }},
	{"signature", func(s *source, _ int, _ *rand.Rand) { s.params = (s.params + 1) % 3 }},
	{"constant", func(s *source, _ int, r *rand.Rand) { s.unit = r.IntN(100) }},
	{"variable added", func(s *source, n int, _ *rand.Rand) { s.vars = append(s.vars, n) }},
	{"variable deleted", func(s *source, _ int, r *rand.Rand) { s.vars = without(s.vars, r) }},
	{"method added", func(s *source, n int, _ *rand.Rand) { s.methods = append(s.methods, n) }},
	{"method deleted", func(s *source, _ int, r *rand.Rand) { s.methods = without(s.methods, r) }},
	{"import", func(s *source, _ int, _ *rand.Rand) { s.imports = (s.imports + 1) % (len(imported) + 1) }},
	{"literal", func(s *source, n int, _ *rand.Rand) { s.literal = n }},
	{"generic", func(s *source, n int, _ *rand.Rand) { s.generic = n }},
	{"lines", func(s *source, _ int, r *rand.Rand) { s.lines = r.IntN(40) }},
	{"function moved", func(s *source, _ int, _ *rand.Rand) { s.file = !s.file }},
	{"tag", func(s *source, n int, _ *rand.Rand) { s.tag = n }},
}

func without(list []int, r *rand.Rand) []int {
	if len(list) == 0 {
		return list
	}
	i := r.IntN(len(list))
	return slices.Delete(slices.Clone(list), i, i+1)
}

// broken are texts that files do not compile with, behind all that they say.
var broken = map[string]string{
	"syntax error": "\nfunc {\n",
	"type error":   "\nvar wrong string = 1\n",
	"undefined":    "\nfunc nowhere() int { return missing }\n",
}
