package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/limeade-go/limeade/reload"
)

// cutFlag splits -name=value.
func cutFlag(arg string) (name, value string, joined bool) {
	return strings.Cut(strings.TrimLeft(arg, "-"), "=")
}

// defaultOutput names the file as go build does: after the package's directory, or the first file, in
// the current directory.
func defaultOutput(o reload.BuildOptions) (string, error) {
	dir := o.Dir
	if dir == "" {
		dir = "."
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	name := o.Target[0]
	if strings.HasSuffix(name, ".go") {
		name = strings.TrimSuffix(path.Base(name), ".go")
	} else if strings.HasPrefix(name, ".") || filepath.IsAbs(name) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		name = filepath.Base(name)
	} else {
		name = path.Base(name)
	}
	out := filepath.Join(dir, name)
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		out = filepath.Join(out, name)
	}
	return out, nil
}
