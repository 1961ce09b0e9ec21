package build

import (
	"fmt"
	"strings"
)

// A buildFlag is one flag of go build, in the form -name or -name=value.
type buildFlag struct {
	name     string
	value    string
	hasValue bool
}

func (f buildFlag) String() string {
	if f.hasValue {
		return "-" + f.name + "=" + f.value
	}
	return "-" + f.name
}

func (f buildFlag) on() bool {
	return !f.hasValue || f.value != "false" && f.value != "0" && f.value != "f" && f.value != "F" && f.value != "FALSE" && f.value != "False"
}

// The flags of go build whose value may be the next argument
// (cmd/go/internal/work/build.go, AddBuildFlags and init, Go 1.27).
var valueFlags = map[string]bool{
	"asmflags": true, "buildmode": true, "C": true, "compiler": true, "covermode": true, "coverpkg": true,
	"debug-actiongraph": true, "debug-runtime-trace": true, "debug-trace": true, "gccgoflags": true, "gcflags": true,
	"installsuffix": true, "ldflags": true, "mod": true, "modfile": true, "o": true, "overlay": true, "p": true, "pgo": true,
	"pkgdir": true, "tags": true, "toolexec": true,
}

// Flags that change what go build prints or keeps, not what it builds.
var printFlags = map[string]bool{
	"a": true, "debug-actiongraph": true, "debug-runtime-trace": true, "debug-trace": true, "json": true, "n": true, "v": true,
	"work": true, "x": true,
}

// parseFlags brings flags as a person gives them into one form each.
func parseFlags(args []string) ([]buildFlag, error) {
	var flags []buildFlag
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "-")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not a flag of go build", args[i])
		}
		name = strings.TrimPrefix(name, "-")
		f := buildFlag{}
		f.name, f.value, f.hasValue = strings.Cut(name, "=")
		if !f.hasValue && valueFlags[f.name] {
			i++
			if i == len(args) {
				return nil, fmt.Errorf("flag -%s of go build needs a value", f.name)
			}
			f.value, f.hasValue = args[i], true
		}
		flags = append(flags, f)
	}
	return flags, nil
}

// lastFlag returns the value of a flag that is in force: the last one given on
// the command line, else the last one in GOFLAGS.
func lastFlag(name string, flags, goflags []buildFlag) (buildFlag, bool) {
	for _, list := range [][]buildFlag{flags, goflags} {
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].name == name {
				return list[i], true
			}
		}
	}
	return buildFlag{}, false
}

// without returns the flags that are not in the set, as arguments.
func without(flags []buildFlag, drop map[string]bool) []string {
	var args []string
	for _, f := range flags {
		if !drop[f.name] {
			args = append(args, f.String())
		}
	}
	return args
}

// checkFlags refuses what cannot be reloaded, with the reason.
func checkFlags(flags, goflags []buildFlag) error {
	for _, f := range flags {
		switch f.name {
		case "C", "o":
			return fmt.Errorf("flag -%s of go build is not passed on here", f.name)
		case "n", "json":
			return fmt.Errorf("flag -%s of go build does not go with hot reload; leave it out", f.name)
		}
	}
	if f, ok := lastFlag("toolexec", flags, goflags); ok && f.value != "" {
		return fmt.Errorf("flag -toolexec=%s: a program that another tool rewrites while it is built cannot be reloaded; build without it", f.value)
	}
	for _, name := range []string{"msan", "asan", "linkshared"} {
		if f, ok := lastFlag(name, flags, goflags); ok && f.on() {
			return fmt.Errorf("flag -%s: such programs cannot be reloaded; build without it", name)
		}
	}
	if f, ok := lastFlag("compiler", flags, goflags); ok && f.value != "gc" {
		return fmt.Errorf("flag -compiler=%s: only programs of Go's own compiler can be reloaded", f.value)
	}
	if f, ok := lastFlag("buildmode", flags, goflags); ok && f.value != "exe" && f.value != "pie" && f.value != "default" {
		return fmt.Errorf("flag -buildmode=%s: only executables (exe, pie) can be reloaded", f.value)
	}
	return nil
}

// splitQuoted splits as the go command splits GOFLAGS and -toolexec: fields
// between spaces, or between quotes that begin a field
// (cmd/internal/quoted/quoted.go, Go 1.26).
func splitQuoted(s string) ([]string, error) {
	var fields []string
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return fields, nil
		}
		if q := s[0]; q == '"' || q == '\'' {
			field, rest, ok := strings.Cut(s[1:], string(q))
			if !ok {
				return nil, fmt.Errorf("%s: no closing %c", s, q)
			}
			fields, s = append(fields, field), rest
			continue
		}
		end := strings.IndexAny(s, " \t\r\n")
		if end < 0 {
			end = len(s)
		}
		fields, s = append(fields, s[:end]), s[end:]
	}
}

// joinQuoted is the inverse of splitQuoted.
func joinQuoted(fields []string) (string, error) {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch {
		case f != "" && !strings.ContainsAny(f, " \t\r\n'\""):
			b.WriteString(f)
		case !strings.Contains(f, "'"):
			b.WriteString("'" + f + "'")
		case !strings.Contains(f, `"`):
			b.WriteString(`"` + f + `"`)
		default:
			return "", fmt.Errorf("%s: the go command takes no path with both kinds of quotes", f)
		}
	}
	return b.String(), nil
}
