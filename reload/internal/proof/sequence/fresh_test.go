package sequence

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

// A fresh build costs a link, and so many of them are one program: a package for each package of each version. Packages
// that are the same in several versions are shared: each command gives their state its values first.

// unplaced begins the import paths of a version until its packages have their places.
const unplaced = "fresh/unplaced/"

// place adds the packages of a version to the files of the fresh build, and gives the import path of the last.
func place(files map[string]string, v *version) string {
	var imports []string
	for _, dir := range []string{"base", "mid", "."} {
		paths := strings.NewReplacer(imports...)
		texts := map[string]string{}
		sum := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(v.files)) {
			if path.Dir(name) == dir {
				texts[path.Base(name)] = paths.Replace(v.files[name])
				fmt.Fprintf(sum, "%s\n%s", name, texts[path.Base(name)])
			}
		}
		at := fmt.Sprintf("p%x", sum.Sum(nil)[:8])
		for name, text := range texts {
			files[at+"/"+name] = text
		}
		imports = append(imports, fmt.Sprintf("%q", unplaced+dir), fmt.Sprintf("%q", "fresh/"+at))
	}
	return imports[len(imports)-1]
}

// compare builds all versions afresh, into one program, and holds what the processes answered against what it does.
func compare(t *testing.T, versions []*version) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	dir := t.TempDir()
	files := map[string]string{"go.mod": "module fresh\n\ngo 1.25\n"}
	var imports, table strings.Builder
	for _, v := range versions {
		fmt.Fprintf(&imports, "%s %s\n", v.name, place(files, v))
		fmt.Fprintf(&table, "%q: %s.Answer,\n", v.name, v.name)
	}
	files["main.go"] = fmt.Sprintf(`package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	%s
)

var versions = map[string]func(string) string{
%s}

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		name, command, _ := strings.Cut(in.Text(), " ")
		fmt.Println(versions[name](command))
	}
}
`, &imports, &table)
	if err := write(dir, files); err != nil {
		t.Fatal(err)
	}
	w := drive.NewWorkspace(t, dir, "")
	exe := filepath.Join(dir, "fresh.exe")
	start := time.Now()
	if _, err := drive.Go(ctx, dir, []string{"GOWORK=off", "GOFLAGS=-mod=mod"}, "build", "-ldflags=-s -w", "-o", exe, "."); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d versions built afresh in %.0f s", len(versions), time.Since(start).Seconds())
	p, err := w.Direct(exe)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(command string) string {
		reply, err := p.Ask(ctx, command)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for _, v := range versions {
		ask(v.name + " keep")
		for _, q := range slices.Sorted(maps.Keys(v.replies)) {
			all, fresh, time := true, q, 0
			if n, _ := fmt.Sscanf(q, "kept %d", &time); n == 1 {
				all, fresh = false, "kept 0 4"
			}
			for _, d := range differences(v.replies[q], ask(v.name+" "+fresh), all) {
				if name, _, _ := strings.Cut(d, " is "); !all && time < v.stuck[name] {
					continue
				}
				t.Errorf("%s, %q: %s\nsources in %s; edits:\n\t%s", v.name, q, d, v.dir, strings.Join(v.log, "\n\t"))
			}
		}
	}
}
