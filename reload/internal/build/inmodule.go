package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// replaceModule makes a copy of limeade's module with our files in it and a
// copy of go.mod (or go.work) that names it.
func (in *injection) replaceModule(ctx context.Context, p *probe, j *joined, agent *listed, a agentSources) error {
	module := agent.Module
	if module.Replace != nil {
		module = module.Replace
	}
	key := hashOf([]byte(module.Path + "@" + module.Version + " " + a.hash()))
	dir, err := in.store.publish(filepath.Join("agent", key), func(temp string) error {
		if err := os.CopyFS(temp, os.DirFS(module.Dir)); err != nil {
			return err
		}
		for _, d := range a.dirs() {
			if err := os.RemoveAll(filepath.Join(temp, "reload", filepath.FromSlash(d))); err != nil {
				return err
			}
		}
		for name, text := range a {
			file := filepath.Join(temp, "reload", filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.kept = append(j.kept, dir)
	replace := "-replace=" + agent.Module.Path + "=" + dir
	if work := p.settings["GOWORK"]; work != "" && work != "off" {
		file, err := in.editedCopy(ctx, p, work, "go.work", []string{"work", "edit", replace})
		if err != nil {
			return err
		}
		j.kept, j.env = append(j.kept, filepath.Dir(file)), append(j.env, "GOWORK="+file)
		return nil
	}
	mod := p.settings["GOMOD"]
	if f, ok := lastFlag("modfile", p.flags, p.goflags); ok {
		mod = p.abs(f.value)
	}
	file, err := in.editedCopy(ctx, p, mod, "go.mod", []string{"mod", "edit", replace})
	if err != nil {
		return err
	}
	j.kept, j.flags = append(j.kept, filepath.Dir(file)), append(j.flags, "-modfile="+file)
	return nil
}

// editedCopy keeps an edited copy of go.mod or go.work, and its sums, under a
// name that stays the same for the same contents.
func (in *injection) editedCopy(ctx context.Context, p *probe, file, name string, edit []string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sums := func(file string) string {
		if name == "go.work" {
			return file + ".sum"
		}
		return strings.TrimSuffix(file, ".mod") + ".sum"
	}
	sum, err := os.ReadFile(sums(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	key := hashOf([]byte(file + "\n" + strings.Join(edit, " ") + "\n" + hashOf(text) + hashOf(sum)))
	dir, err := in.store.publish(filepath.Join("agent", key), func(temp string) error {
		copied := filepath.Join(temp, name)
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(sums(copied), sum, 0o600); err != nil {
			return err
		}
		if name == "go.work" {
			uses, err := p.absoluteUses(ctx, file)
			if err != nil {
				return err
			}
			edit = append(edit, uses...)
		}
		_, _, err := p.command.run(ctx, append(edit, copied)...)
		return err
	})
	return filepath.Join(dir, name), err
}

// absoluteUses returns the edits that make the directories of a go.work file
// absolute.
func (p *probe) absoluteUses(ctx context.Context, file string) ([]string, error) {
	out, _, err := p.command.run(ctx, "work", "edit", "-json", file)
	if err != nil {
		return nil, err
	}
	var work struct {
		Use     []struct{ DiskPath string }
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &work); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var edits []string
	for _, u := range work.Use {
		if !filepath.IsAbs(u.DiskPath) {
			edits = append(edits, "-dropuse="+u.DiskPath, "-use="+filepath.Join(filepath.Dir(file), u.DiskPath))
		}
	}
	for _, r := range work.Replace {
		if r.New.Version == "" && !filepath.IsAbs(r.New.Path) {
			old := r.Old.Path
			if r.Old.Version != "" {
				old += "@" + r.Old.Version
			}
			edits = append(edits, "-replace="+old+"="+filepath.Join(filepath.Dir(file), r.New.Path))
		}
	}
	return edits, nil
}

// publish makes a directory of the store with fill, once: all of it appears
// under its name, or nothing.
func (s *Store) publish(name string, fill func(temp string) error) (string, error) {
	dir := filepath.Join(s.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := s.tempDir("dir-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := fill(temp); err != nil {
		return "", s.explain(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", s.explain(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, serr := os.Stat(dir); serr != nil {
			return "", s.explain(err)
		}
	}
	return dir, nil
}
