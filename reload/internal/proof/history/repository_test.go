package history

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// A repository is a clone of a public program that may be edited: a git work tree.
type repository struct {
	dir  string // the work tree
	main string // the main package's folder, relative to dir
}

// A commit is one step: from its first parent to it.
type commit struct {
	hash, subject string
}

// clone makes a work tree that shares the objects of a repository, which is only read.
func clone(ctx context.Context, from, dir string) (*repository, error) {
	r := &repository{dir: dir}
	_, err := r.git(ctx, "clone", "--quiet", "--shared", "--no-checkout", from, ".")
	return r, err
}

// git runs git in the work tree and gives what it printed.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(msg.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// commits lists a range along first parents, the oldest first.
func (r *repository) commits(ctx context.Context, span string) ([]commit, error) {
	out, err := r.git(ctx, "log", "--first-parent", "--reverse", "--format=%H %s", span, "--")
	if err != nil {
		return nil, err
	}
	var list []commit
	for line := range strings.Lines(out) {
		hash, subject, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, commit{hash, subject})
	}
	return list, nil
}

// checkout makes the work tree that of a commit, as a developer does: files that are the same are not touched.
func (r *repository) checkout(ctx context.Context, hash string) error {
	_, err := r.git(ctx, "checkout", "--quiet", "--detach", hash)
	return err
}

// changed lists the files that a commit changed, as absolute paths.
func (r *repository) changed(ctx context.Context, c commit) ([]string, error) {
	out, err := r.git(ctx, "diff", "--no-renames", "--name-only", c.hash+"^1", c.hash)
	if err != nil {
		return nil, err
	}
	var list []string
	for line := range strings.Lines(out) {
		list = append(list, filepath.Join(r.dir, strings.TrimSpace(line)))
	}
	return list, nil
}

// sources lists the files below the work tree that the program is built from, by the go command's word. What it gives when
// some package cannot be read is what it knows.
func (r *repository) sources(ctx context.Context, env []string) (map[string]bool, error) {
	const format = `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}
{{end}}{{range .CgoFiles}}{{$dir}}/{{.}}
{{end}}{{range .SFiles}}{{$dir}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}
{{end}}`
	out, err := drive.Go(ctx, filepath.Join(r.dir, r.main), env, "list", "-e", "-deps", "-f", format, ".")
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	for line := range strings.Lines(out) {
		file := strings.TrimSpace(line)
		if strings.HasPrefix(file, r.dir+string(filepath.Separator)) {
			files[file] = true
		}
	}
	return files, nil
}
