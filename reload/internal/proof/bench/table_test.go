// Package bench measures what an edit costs, always against something else that was measured in the same run. It knows
// the tool's command line and the plain go command, and must never know how a refresh is made.
//
// Run it as go test -run ^$ -bench . -benchtime 1x -timeout 2h: each benchmark makes its own fixed number of edits, and
// the table comes at the end.
package bench

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) {
	code := drive.Main(m)
	fmt.Print(table.String())
	os.Exit(code)
}

// table is what all benchmarks of the process found.
var table report

// A row compares one figure with another.
type row struct {
	what, figure, against string
	ratio                 string
	target                string // empty where none was set
	met                   bool
}

type report struct {
	mu    sync.Mutex
	rows  []row
	notes []string
}

func (r *report) add(rows ...row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, rows...)
}

// note adds lines below the table.
func (r *report) note(lines ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, lines...)
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows)+len(r.notes) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\tagainst\tratio\ttarget\t")
	for _, x := range r.rows {
		target := x.target
		switch {
		case target == "":
		case x.met:
			target += ", met"
		default:
			target += ", MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", x.what, x.figure, x.against, x.ratio, target)
	}
	w.Flush()
	for _, n := range r.notes {
		fmt.Fprintln(&b, n)
	}
	return b.String()
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// times formats a ratio of two figures, the larger first where it is the one that is divided.
func times(figure, against float64) string {
	if figure <= 0 {
		return "-"
	}
	if against >= figure {
		return fmt.Sprintf("%.0f× faster", against/figure)
	}
	return fmt.Sprintf("%.2f×", figure/against)
}
