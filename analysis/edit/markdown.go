package edit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown returns the text of analysis/EDITS.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from analysis/edit/table.go by go generate; do not edit. -->

# Edits

Every edit of Go source is of one of these kinds. *hot*: live at the next call, nothing to know. *caveat*: live, with
something to know. *restart*: refused, the process stays as it is. One refresh is all or nothing: if one edit needs a
restart, none is made live, and each keeps its own verdict. ` + "`limeade-lsp explain CODE`" + ` shows a page about a kind.
The last column has the rows of the list of edits that the project is tested against.

| code | kind | verdict | what and why | what to do | rows |
|---|---|---|---|---|---|
`)
	for _, k := range Kinds() {
		row := &kinds[k]
		// Editors link to the codes.
		fmt.Fprintf(&b, "| <a id=\"%[1]s\"></a>%[1]s | %[2]s | %[3]s | %[4]s: %[5]s | %[6]s | %[7]s |\n", k.Code(), row.name, row.verdict, row.what, row.why, row.do, numbers(row.rows))
	}
	b.WriteString("\nRows that follow from the kinds above:\n\n| row | verdict |\n|---|---|\n")
	for _, n := range slices.Sorted(maps.Keys(followers)) {
		fmt.Fprintf(&b, "| %d | %s |\n", n, followers[n])
	}
	return b.String()
}

func numbers(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}
