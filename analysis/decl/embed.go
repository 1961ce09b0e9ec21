package decl

import (
	"path"
	"strconv"
	"strings"
)

// Patterns returns the patterns of the //go:embed directives that belong to d (go/build, parseGoEmbed).
func (d *Decl) Patterns() []string {
	var list []string
	for _, text := range d.Embeds {
		rest := strings.TrimPrefix(text, "//go:embed")
		for rest = strings.TrimLeft(rest, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
			if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] != '\'' {
				pattern, _ := strconv.Unquote(quoted) // it is a quoted string
				list, rest = append(list, pattern), rest[len(quoted):]
				continue
			}
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			list, rest = append(list, rest[:end]), rest[end:]
		}
	}
	return list
}

// Embeds reports whether a pattern of a //go:embed directive matches a file that some pattern of its package matches. The
// file is named by its path from the package's directory, with slashes. A directory stands for all files below it but those
// with names, below it, that begin with "." or "_", unless the pattern begins with "all:".
func Embeds(pattern, file string) bool {
	glob, all := strings.CutPrefix(pattern, "all:")
	for top := file; top != "."; top = path.Dir(top) {
		if ok, err := path.Match(path.Clean(glob), top); err != nil || !ok {
			continue
		}
		below := strings.TrimPrefix(file, top)
		if all || !strings.Contains(below, "/.") && !strings.Contains(below, "/_") {
			return true
		}
	}
	ok := path.Clean(glob) == "."
	return ok && (all || !strings.HasPrefix(file, ".") && !strings.HasPrefix(file, "_") && !strings.Contains(file, "/.") && !strings.Contains(file, "/_"))
}
