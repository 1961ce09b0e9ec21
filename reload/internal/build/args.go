package build

import "strings"

// SplitArgs splits a command line of the form "[build flags] TARGET… [-- ARGS]": the flags of go build,
// the packages or files, and what comes after "--".
func SplitArgs(args []string) (flags, target, rest []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
			return flags, target, args[i+1:]
		case !strings.HasPrefix(a, "-") || a == "-":
			target = append(target, a)
		default:
			flags = append(flags, a)
			name := strings.TrimLeft(a, "-")
			if valueFlags[name] && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		}
	}
	return flags, target, nil
}

// Tags are the build tags that the build's flags, or GOFLAGS, set.
func (b *Baseline) Tags() []string {
	var tags []string
	flags, err := parseFlags(b.Flags)
	if err != nil {
		return nil // Build has parsed them
	}
	fields, err := splitQuoted(lookupEnv(b.Env, "GOFLAGS"))
	if err != nil {
		return nil
	}
	goflags, err := parseFlags(fields)
	if err != nil {
		return nil
	}
	if f, ok := lastFlag("tags", flags, goflags); ok {
		tags = strings.FieldsFunc(f.value, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if b.Race {
		tags = append(tags, "race")
	}
	return tags
}
