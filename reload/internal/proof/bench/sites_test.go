package bench

import (
	"os"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// TestSites checks the places that are chosen in a small package: an edit at each of them must compile.
func TestSites(t *testing.T) {
	dir := drive.CopyProgram(t, "small")
	list, err := ownPackages(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ledger *pkg
	for _, p := range list {
		if p.ImportPath == "limeade.test/small/ledger" {
			ledger = p
		}
	}
	if ledger == nil || ledger.lines < 150 || ledger.lines > 250 {
		t.Fatalf("package ledger of about 200 lines is not there: %+v", ledger)
	}
	var names []string
	for _, s := range ledger.sites {
		names = append(names, s.fn+" by "+s.param)
	}
	want := "Read by lines, parseEntry by line, parseDay by s, splitTags by s, (*Book).Sum by tag, (*Book).Month by tags, Report by tags, euros by unit"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("places are %s, want %s", got, want)
	}
	original, err := os.ReadFile(ledger.sites[0].file)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range ledger.sites {
		text := s.edit(original, i)
		if err := os.WriteFile(s.file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if again := s.moved(); again != s.offset {
			t.Errorf("%s moved from %d to %d by an edit below it", s.fn, s.offset, again)
		}
		if _, err := drive.Go(t.Context(), dir, nil, "build", "./ledger"); err != nil {
			t.Errorf("edit of %s does not compile: %v", s.fn, err)
		}
	}
}

func TestSpread(t *testing.T) {
	var list []*pkg
	for _, p := range []struct {
		path string
		n    int
	}{{"a", 10}, {"b", 0}, {"c", 2}} {
		q := &pkg{ImportPath: p.path}
		for i := range p.n {
			q.sites = append(q.sites, site{pkg: p.path, offset: i})
		}
		list = append(list, q)
	}
	for n, want := range map[int]string{1: "a5", 2: "a5 c1", 4: "a2 c0 a7 c1", 5: "a1 c0 a5 c1 a8"} {
		var got []string
		for _, s := range spread(list, n) {
			got = append(got, s.pkg+string(rune('0'+s.offset)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("spread of %d is %v, want %s", n, got, want)
		}
	}
	if got := spread(nil, 3); got != nil {
		t.Errorf("spread over nothing is %v", got)
	}
}
