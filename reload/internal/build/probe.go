package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A probe is what is known of a build before anything of the program is read:
// the toolchain, its settings and the flags in force.
type probe struct {
	store    *Store
	command  *command
	settings settings
	flags    []buildFlag
	goflags  []buildFlag
	overlay  map[string]string // the user's -overlay, absolute
}

// newProbe asks the go command for its settings and refuses what is not known.
func newProbe(ctx context.Context, o Options) (*probe, error) {
	store := o.Store
	if store == nil {
		var err error
		if store, err = OpenStore(""); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	p := &probe{store: store}
	if p.command, err = newCommand(dir, env); err != nil {
		return nil, err
	}
	if p.settings, err = p.command.settings(ctx); err != nil {
		return nil, err
	}
	if err := p.settings.check(); err != nil {
		return nil, err
	}
	if path := filepath.Join(p.settings["GOROOT"], "bin", "go"); isFile(path) {
		p.command.path = path // spares the choice of a toolchain at each start
	}
	if p.flags, err = parseFlags(o.Flags); err != nil {
		return nil, err
	}
	fields, err := splitQuoted(p.settings["GOFLAGS"])
	if err == nil {
		p.goflags, err = parseFlags(fields)
	}
	if err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	if err := checkFlags(p.flags, p.goflags); err != nil {
		return nil, err
	}
	if mod, work := p.settings["GOMOD"], p.settings["GOWORK"]; mod == "" || mod == os.DevNull && (work == "" || work == "off") {
		return nil, fmt.Errorf("%s is in no module; hot reload needs one: run \"go mod init example.com/app\" there (and unset GO111MODULE=off)", dir)
	}
	p.overlay, err = p.userOverlay()
	return p, err
}

func (p *probe) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(p.command.dir, path)
}

// An overlayConfig is the file of go build's -overlay flag
// (cmd/go/internal/fsys/fsys.go, Go 1.26).
type overlayConfig struct {
	Replace map[string]string // path → file with its contents, "" when it is deleted
}

// userOverlay reads the file of the user's own -overlay flag.
func (p *probe) userOverlay() (map[string]string, error) {
	over := map[string]string{}
	f, ok := lastFlag("overlay", p.flags, p.goflags)
	if !ok || f.value == "" {
		return over, nil
	}
	text, err := os.ReadFile(p.abs(f.value))
	if err != nil {
		return nil, fmt.Errorf("flag -overlay: %w", err)
	}
	var file overlayConfig
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("flag -overlay: %s: %w", f.value, err)
	}
	for from, to := range file.Replace {
		if to != "" {
			to = p.abs(to)
		}
		over[p.abs(from)] = to
	}
	return over, nil
}

// actual is the file on disk whose contents the go command reads for a path.
func (p *probe) actual(path string) string {
	if over, ok := p.overlay[path]; ok {
		return over
	}
	return path
}

// module finds the module that the main package is in.
func (p *probe) module(ctx context.Context, main *listed) (Module, error) {
	if m := main.Module; m != nil {
		if !m.Main && !main.local(p.settings) {
			return Module{}, fmt.Errorf("package %s belongs to module %s in the module cache, to which limeade cannot add its agent; "+
				"run limeade-lsp in a checkout of that module", main.ImportPath, m.Path)
		}
		return Module{Path: m.Path, Dir: m.Dir}, nil
	}
	// A list of files has no module of its own: take the main module around it.
	out, _, err := p.command.run(ctx, append([]string{"list", "-m", "-json=Path,Dir"}, without(p.flags, printFlags)...)...)
	if err != nil {
		return Module{}, err
	}
	var best Module
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var m Module
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Module{}, fmt.Errorf("go list -m: %w", err)
		}
		if inside(m.Dir, main.Dir) && len(m.Dir) > len(best.Dir) {
			best = m
		}
	}
	if best.Dir == "" {
		return Module{}, errors.New("the files named are in no module of yours; run \"go mod init example.com/app\" in their directory")
	}
	return best, nil
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}
