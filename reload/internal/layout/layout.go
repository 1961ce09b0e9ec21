// Package layout knows how a Go toolchain's runtime lays out its structures: offsets, sizes, constants and signatures,
// read from that toolchain's own source. It must never know a process, an image, or an offset of its own.
//
// It holds for linux/amd64 and the gc compiler.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// roots are the packages whose declarations are kept, by import path, with the prefix of their names in a Layout.
var roots = []struct{ path, prefix string }{
	{"runtime", ""},
	{"internal/abi", "abi."},
}

// A Layout describes the runtime of one toolchain. Names are those of the source: plain in package runtime ("g"),
// with a prefix in internal/abi ("abi.Type").
type Layout struct {
	// GoVersion is the toolchain's version, "go1.26.8".
	GoVersion string            `json:"go"`
	Structs   map[string]Struct `json:"structs"`
	Consts    map[string]int64  `json:"consts"`
	Funcs     map[string]string `json:"funcs"`
}

// A Struct is the layout of a struct type.
type Struct struct {
	// Size is in bytes.
	Size int64 `json:"size"`
	// Fields are the struct's own ones by name; embedded ones go by the name of their type.
	Fields map[string]Field `json:"fields"`
}

// A Field is a field of a Struct. Offset is in bytes from the start of the struct.
type Field struct {
	Offset int64 `json:"off"`
	Size   int64 `json:"size"`
	// Type is the source form of the type, names of package runtime unqualified.
	Type string `json:"type"`
}

// Struct returns the layout of the named struct type.
func (l *Layout) Struct(name string) (Struct, bool) {
	s, ok := l.Structs[name]
	return s, ok
}

// Const returns the value of the named integer or boolean (0, 1) constant; one above 1<<63 − 1 as its two's complement.
func (l *Layout) Const(name string) (int64, bool) {
	c, ok := l.Consts[name]
	return c, ok
}

// Func returns the signature of the named package-level function: "func(reason stwReason) worldStop".
func (l *Layout) Func(name string) (string, bool) {
	f, ok := l.Funcs[name]
	return f, ok
}

// Offset returns the offset of a field reached through a path of struct types and field names, in bytes from the start of
// the outermost one: Offset("g", "sched", "pc"). Each step but the last must be a struct with a name.
func (l *Layout) Offset(name string, path ...string) (int64, error) {
	var offset int64
	at := name
	for _, field := range path {
		s, ok := l.Structs[at]
		if !ok {
			return 0, fmt.Errorf("%s of %s: the runtime's source has no struct of that name", at, l.GoVersion)
		}
		f, ok := s.Fields[field]
		if !ok {
			return 0, fmt.Errorf("%s.%s of %s: the runtime's source has no field of that name", at, field, l.GoVersion)
		}
		offset += f.Offset
		at = f.Type
	}
	return offset, nil
}

// Load returns the layout of the toolchain at goroot. Results are kept in cacheDir, one file for each toolchain, and
// are used as long as the files of the source have the same names and sizes; "" means no cache, and so does one that cannot be
// written.
func Load(goroot, cacheDir string) (*Layout, error) {
	tools, err := toolchainOf(goroot)
	if err != nil {
		return nil, fmt.Errorf("runtime layout of %s: %w", goroot, err)
	}
	file := ""
	if cacheDir != "" {
		file = filepath.Join(cacheDir, "layout-"+tools.key+".json")
		if l := read(file); l != nil {
			return l, nil
		}
	}
	l, err := tools.parse()
	if err != nil {
		return nil, fmt.Errorf("runtime layout of %s: %w", tools.version, err)
	}
	if file != "" {
		_ = write(file, l) // what is not kept is read from the source again
	}
	return l, nil
}

// formatVersion changes when a cached file of an older tool must not be used.
const formatVersion = "1"

// A toolchain is a GOROOT, and what decides which of its files are built.
type toolchain struct {
	goroot, version       string
	toolTags, releaseTags []string
	key                   string
}

// toolchainOf asks the go command at goroot for its build tags (they follow GOEXPERIMENT and GOAMD64) and computes the
// cache key.
func toolchainOf(goroot string) (*toolchain, error) {
	t := &toolchain{goroot: goroot}
	version, err := os.ReadFile(filepath.Join(goroot, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("its version: %w", err)
	}
	t.version, _, _ = strings.Cut(string(version), "\n")
	t.version = strings.TrimSpace(t.version)
	cmd := exec.Command(filepath.Join(goroot, "bin", "go"), "list", "-f", "{{context.ToolTags}}{{context.ReleaseTags}}", "unsafe")
	cmd.Dir = goroot
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOROOT="+goroot, "GOOS=linux", "GOARCH=amd64", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			return nil, fmt.Errorf("its build tags: %w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, fmt.Errorf("its build tags: %w", err)
	}
	tool, release, ok := strings.Cut(strings.Trim(strings.TrimSpace(string(out)), "[]"), "][")
	if !ok {
		return nil, fmt.Errorf("its build tags: unexpected answer %q", out)
	}
	t.toolTags, t.releaseTags = strings.Fields(tool), strings.Fields(release)

	h := sha256.New()
	fmt.Fprintln(h, formatVersion, t.version, t.toolTags, t.releaseTags)
	for _, root := range roots {
		dir := filepath.Join(goroot, "src", filepath.FromSlash(root.path))
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("its source: %w", err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			info, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("its source: %w", err)
			}
			fmt.Fprintln(h, root.path, e.Name(), info.Size())
		}
	}
	t.key = hex.EncodeToString(h.Sum(nil)[:16])
	return t, nil
}

// read returns the layout kept in file, nil if there is none that can be used: it will be made again.
func read(file string) *Layout {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	l := new(Layout)
	if json.Unmarshal(data, l) != nil || len(l.Structs) == 0 {
		return nil
	}
	return l
}

// write keeps l in file; other processes see the whole file or none.
func write(file string, l *Layout) (err error) {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "layout-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if e := os.Remove(tmp.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
