package edit

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTable checks what people and editors rely on: codes that are unique, sorted and grouped, a text for each question,
// and a kind or a reason for each row of the list of edits.
func TestTable(t *testing.T) {
	rows := make(map[int]bool)
	for n := range followers {
		rows[n] = true
	}
	names := make(map[string]bool)
	last := 0
	for _, k := range Kinds() {
		row := &kinds[k]
		if row.code <= last {
			t.Errorf("%s: code %d comes after %d", row.name, row.code, last)
		}
		last = row.code
		if names[row.name] {
			t.Errorf("%s: two kinds have the name", row.name)
		}
		names[row.name] = true
		for what, text := range map[string]string{"what": row.what, "why": row.why, "example": row.example} {
			if text == "" || what != "example" && strings.ContainsAny(text[len(text)-1:], ".;:") {
				t.Errorf("%s: %s is %q", k.Code(), what, text)
			}
		}
		if (row.do == "") != (row.verdict == Hot) {
			t.Errorf("%s: verdict %s, what to do %q", k.Code(), row.verdict, row.do)
		}
		for _, n := range row.rows {
			rows[n] = true
		}
		if found, ok := ByCode(strings.ToLower(k.Code())); !ok || found != k {
			t.Errorf("%s: ByCode returns %v, %v", k.Code(), found, ok)
		}
	}
	for n := 1; n <= 78; n++ {
		if !rows[n] {
			t.Errorf("row %d: no kind", n)
		}
	}
	if len(rows) != 78 {
		t.Errorf("%d rows, want 78", len(rows))
	}
}

// TestLiveRows pins which rows of the list this version makes live.
func TestLiveRows(t *testing.T) {
	live := []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 19, 23, 26, 27, 30, 31, 32, 33, 34, 35, 38, 39, 41, 42, 43, 44, 45, 47, 48, 49, 50, 51, 53, 54, 59, 75, 77, 78}
	caveats := []int{11, 12, 13, 15, 16, 17, 18, 24, 28, 32, 34, 35, 36, 38, 40, 41, 43, 44, 46, 47, 55, 58}
	partly := []int{9, 36, 58, 76} // some edits of the row are live, others are not
	for _, k := range Kinds() {
		for _, n := range k.Rows() {
			switch {
			case k.Verdict() == Caveat && !slices.Contains(caveats, n):
				t.Errorf("%s: caveat, but row %d is not", k.Code(), n)
			case k.Verdict() == Hot && !slices.Contains(live, n) && !slices.Contains(partly, n):
				t.Errorf("%s: hot, but row %d is not", k.Code(), n)
			case k.Verdict() == Restart && slices.Contains(live, n):
				t.Errorf("%s: restart, but row %d is live", k.Code(), n)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	e := Edit{Decl: "example.com/app/p.(*Counter).Inc", Kind: FuncBody, File: "p/p.go", Line: 14, Column: 1}
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"decl":"example.com/app/p.(*Counter).Inc","kind":"func body","verdict":"hot","code":"LMD0001","file":"p/p.go",` +
		`"line":14,"column":1,"message":"the body of a function changed: it is live at the next call"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestExplain(t *testing.T) {
	page := FieldAdded.Explain()
	for _, part := range []string{`^LMD0301  field added \(restart\)\n`, `\nWhat   a struct got a field\.`, `\nWhy    `, `\nExample\n\n    type T`, `\nWhat to do   restart the program`} {
		if !regexp.MustCompile(part).MatchString(page) {
			t.Errorf("no %q in\n%s", part, page)
		}
	}
	if _, ok := ByCode("LMD9999"); ok {
		t.Error("there is an LMD9999")
	}
}

func TestWorst(t *testing.T) {
	if got := Worst([]Edit{{Kind: FuncBody}, {Kind: FieldAdded}, {Kind: Main}}); got != Restart {
		t.Errorf("worst is %s, want restart", got)
	}
	if got := Worst(nil); got != Hot {
		t.Errorf("worst of nothing is %s, want hot", got)
	}
}

func TestMarkdown(t *testing.T) {
	got, err := os.ReadFile("../EDITS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Markdown() {
		t.Error("EDITS.md is stale: go generate ./analysis/edit")
	}
}
