package drive

import (
	"bytes"
	"context"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Exports finds the export data of packages: import path to file.
type Exports map[string]string

// ListExports asks the go command, in dir, for the export data of packages and of all that they import.
func ListExports(ctx context.Context, dir string, packages ...string) (Exports, error) {
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", "--"}, packages...)
	out, err := Go(ctx, dir, nil, args...)
	if err != nil {
		return nil, err
	}
	e := Exports{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if path, file, ok := strings.Cut(line, "="); ok && file != "" {
			e[path] = file
		}
	}
	return e, nil
}

// Importer is a new importer over the export data; each is for one goroutine.
func (e Exports) Importer() types.Importer {
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file := e[path]
		if file == "" {
			return nil, fmt.Errorf("%s: no export data", path)
		}
		return os.Open(file)
	})
}

// Config is the text of the compiler's -importcfg.
func (e Exports) Config() []byte {
	var b bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(e)) {
		fmt.Fprintf(&b, "packagefile %s=%s\n", path, e[path])
	}
	return b.Bytes()
}
