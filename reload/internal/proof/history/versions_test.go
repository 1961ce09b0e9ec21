package history

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// versions are a history that everybody has who has a module proxy.
var versions = struct {
	module string
	list   []string
}{"github.com/mccutchen/go-httpbin/v2", []string{"v2.22.0", "v2.22.1", "v2.23.0", "v2.23.1", "v2.24.0", "v2.25.0"}}

// commitVersions makes a repository in dir of which each commit is a version of a module.
func commitVersions(ctx context.Context, dir string) error {
	r := &repository{dir: dir}
	if _, err := r.git(ctx, "init", "--quiet"); err != nil {
		return err
	}
	for _, v := range versions.list {
		out, err := drive.Go(ctx, dir, []string{"GOWORK=off", "GOFLAGS="}, "mod", "download", "-json", versions.module+"@"+v)
		if err != nil {
			return err
		}
		var m struct{ Dir string }
		if err := json.Unmarshal([]byte(out), &m); err != nil {
			return err
		}
		old, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range old {
			if e.Name() != ".git" {
				if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
		if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
			return err
		}
		for _, args := range [][]string{{"add", "--all"}, {"commit", "--quiet", "--message", v}} {
			if _, err := r.git(ctx, append([]string{"-c", "user.name=history", "-c", "user.email=history@example.com"}, args...)...); err != nil {
				return err
			}
		}
	}
	return nil
}
