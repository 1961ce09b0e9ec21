//go:build go1.25

package limeade

// An Outcome is what limeade-lsp refresh --json prints.
type Outcome struct {
	Generation uint32   `json:"generation"`
	Applied    bool     `json:"applied"` // something was swapped, and the program runs what the files say
	PID        int      `json:"pid"`
	Edits      []Edit   `json:"edits"`
	Stale      []Stale  `json:"stale"` // nil: not known
	Hooks      []string `json:"hooks,omitempty"`
	Phases     Phases   `json:"phases"`
	Error      *Failure `json:"error"`
}

// An Edit is one difference between what the program ran and what the files say. Lines and columns count from 1; File is
// relative to the module's root.
type Edit struct {
	Decl    string `json:"decl"`
	Kind    string `json:"kind"`
	Verdict string `json:"verdict"` // hot, caveat or restart
	Code    string `json:"code"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// A Stale is replaced code that goroutines are still inside of.
type Stale struct {
	Func       string `json:"func"`
	Goroutines int    `json:"goroutines"`
}

// Phases are the parts of a refresh, in milliseconds; Pause is in microseconds.
type Phases struct {
	Detect  float64 `json:"detect_ms"`
	Join    float64 `json:"join_ms"`
	Check   float64 `json:"check_ms"`
	Compile float64 `json:"compile_ms"`
	Link    float64 `json:"link_ms"`
	Hooks   float64 `json:"hooks_ms"`
	Inject  float64 `json:"inject_ms"`
	Pause   float64 `json:"pause_us"`
	Total   float64 `json:"total_ms"`
}

// A Failure says why a refresh did not do what it was for.
type Failure struct {
	Kind    string        `json:"kind"` // refused, vetoed, withheld, trial, source, process or usage
	Message string        `json:"message"`
	Source  []SourceError `json:"source,omitempty"` // of kind source
	Trace   []string      `json:"trace,omitempty"`  // of kind trial
}

func (f *Failure) Error() string { return f.Message }

// A SourceError is an error of the compiler.
type SourceError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}
