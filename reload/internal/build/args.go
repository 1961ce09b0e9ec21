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
