package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/limeade-go/limeade/"

// may says which packages of this module each package may import. Imports go one way only, as in
// go/build/deps_test.go: a package that is not here, or an import that is not, is a mistake in the cut.
var may = map[string][]string{
	"reload/patch":             {},
	"reload/agent/internal/rt": {"reload/patch"},
	"reload/agent":             {"reload/patch", "reload/agent/internal/rt"},
	"reload/limeade":           {},
	"reload/agent/live":        {"reload/agent", "reload/limeade", "reload/patch"},

	"reload/internal/object": {},
	"reload/internal/layout": {"reload/patch"},
	"reload/internal/image":  {"reload/internal/object"},
	"reload/internal/stub":   {},
	"reload/internal/build":  {"reload/internal/object"},
	"reload/internal/wire":   {"reload/patch"},
	"reload/internal/link":   {"reload/internal/object", "reload/internal/image", "reload/internal/layout", "reload/patch"},
	"reload": {
		"reload/internal/build", "reload/internal/image", "reload/internal/layout", "reload/internal/link",
		"reload/internal/object", "reload/internal/stub", "reload/internal/wire", "reload/patch",
	},

	"analysis/snapshot": {},
	"analysis/decl":     {"analysis/snapshot"},
	"analysis/edit":     {"analysis/snapshot", "analysis/decl"},
	"analysis/facts":    {"analysis/snapshot", "analysis/decl"},
	"analysis":          {"analysis/snapshot", "analysis/decl", "analysis/edit", "analysis/facts"},

	"server/watch":    {},
	"server/session":  {"analysis", "analysis/snapshot", "analysis/decl", "analysis/edit", "analysis/facts", "reload", "server/watch"},
	"server/retest":   {"analysis/snapshot", "server/session", "server/watch", "analysis/edit", "reload"},
	"server/text":     {},
	"server":          {"server/session", "server/text", "server/watch", "analysis/edit"},
	"cmd/limeade-lsp": {"server", "server/retest", "server/session", "analysis/edit", "reload"},
}

// testOnly are packages that hold tests and what tests share; they may import anything.
var testOnly = []string{"reload/internal/proof", "server/editor"}

func TestImportDirection(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		if slices.ContainsFunc(testOnly, func(dir string) bool { return strings.HasPrefix(pkg, dir) }) || pkg+"/" == module {
			continue
		}
		allowed, ok := may[pkg]
		if !ok {
			t.Errorf("%s: not in the table of packages", pkg)
		}
		for _, imp := range fields[1:] {
			if own, ok := strings.CutPrefix(imp, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", pkg, own)
			}
		}
	}
}
