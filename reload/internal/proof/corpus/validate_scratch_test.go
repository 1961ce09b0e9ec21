package corpus

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

type rec struct {
	name          string
	emptied, kept int
	keptWhy       map[string]int
	fail          string
	dur           time.Duration
	excl          string
}

func runp(dir string, stdin string, path string, args ...string) (string, string, string, time.Duration) {
	ctx, c := context.WithTimeout(context.Background(), 120*time.Second)
	defer c()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	t := time.Now()
	err := cmd.Run()
	x := "ok"
	if err != nil {
		x = err.Error()
	}
	return o.String(), e.String(), x, time.Since(t)
}

func TestValidate(t *testing.T) {
	goroot := runtime.GOROOT()
	list, err := programs(goroot)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := listExports(list)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var recs []rec
	sem := make(chan bool, 2)
	var wg sync.WaitGroup
	only := os.Getenv("ONLY")
	nobuild := os.Getenv("NOBUILD") != ""
	for _, p := range list {
		if only != "" && !strings.Contains(","+only+",", ","+p.name+",") {
			continue
		}
		wg.Add(1)
		sem <- true
		go func() {
			defer wg.Done()
			defer func() { <-sem }()
			r := rec{name: p.name, keptWhy: map[string]int{}}
			defer func() {
				mu.Lock()
				recs = append(recs, r)
				fmt.Println(r.name, r.excl, r.fail, r.emptied, r.dur)
				mu.Unlock()
			}()
			if p.out != "" {
				r.excl = p.out
				return
			}
			pr, err := p.prepare(ex)
			if err != nil {
				r.fail = "prepare: " + err.Error()
				return
			}
			r.emptied = len(pr.emptied)
			for _, w := range pr.kept {
				r.keptWhy[w]++
			}
			if r.emptied == 0 {
				r.excl = "nothing"
				return
			}
			if nobuild {
				return
			}
			os.Remove("/nonexist")
			dir := t.TempDir()
			if err := lay(dir, "1.26"); err != nil {
				t.Error(err)
			}
			step := func(out string) bool {
				args := append([]string{"build", "-o", out}, p.flags...)
				cmd := exec.Command("go", append(args, ".")...)
				cmd.Dir = dir
				b, err := cmd.CombinedOutput()
				if err != nil {
					r.fail = "build " + out + ": " + string(b)
				}
				return err == nil
			}
			put(dir, pr.empty)
			if os.Getenv("KEEP") != "" {
				os.CopyFS(filepath.Join(os.Getenv("KEEP"), p.name), os.DirFS(dir))
			}
			if !step(filepath.Join(dir, "empty.exe")) {
				return
			}
			o, e, x, _ := runp(dir, "\n", filepath.Join(dir, "empty.exe"), p.args...)
			if x != "ok" {
				r.fail = "empty run " + x + e
				return
			}
			_ = o
			if !strings.Contains(o, emptyMain) { r.fail = "no empty main" ; return }
			preEmpty, _, _ := strings.Cut(o, waiting)
			put(dir, pr.real)
			if !step(filepath.Join(dir, "real.exe")) {
				return
			}
			o, e, x, r.dur = runp(dir, "\n", filepath.Join(dir, "real.exe"), p.args...)
			pre, _, ok := strings.Cut(o, waiting)
			if !ok || pre != preEmpty {
				r.fail = fmt.Sprintf("pre-waiting differs: %q %q", pre, preEmpty)
				return
			}
			o = strings.Replace(o, waiting, "", 1)
			if x != "ok" || (o+e != p.want && e+o != p.want) {
				r.fail = fmt.Sprintf("real run: %s; out %.300q err %.500q want %.100q", x, o, e, p.want)
			}
			// the original
			args := append([]string{"build", "-o", filepath.Join(dir, "orig.exe")}, p.flags...)
			args = append(args, p.files...)
			cmd := exec.Command("go", args...)
			cmd.Dir = filepath.Join(goroot, "test")
			b, err := cmd.CombinedOutput()
			if err != nil {
				r.fail += "| orig build: " + string(b)
				return
			}
			oo, oe, ox, _ := runp(cmd.Dir, "\n", filepath.Join(dir, "orig.exe"), p.args...)
			if oo != o || oe != e || ox != x {
				r.fail += fmt.Sprintf("| orig differs: %s out %.300q err %.300q", ox, oo, oe)
			}
			if oo+oe != p.want && oe+oo != p.want {
				r.fail += fmt.Sprintf("| orig not as .out: %.300q %.300q", oo, oe)
			}
		}()
	}
	wg.Wait()
	sort.Slice(recs, func(i, j int) bool { return recs[i].dur > recs[j].dur })
	n, em := 0, 0
	ke := map[string]int{}
	exc := map[string]int{}
	for _, r := range recs {
		if r.excl != "" {
			exc[r.excl]++
			fmt.Println("EXCL", r.name, r.excl)
		} else if r.fail != "" {
			fmt.Println("FAIL", r.name, r.fail)
		} else {
			n++
			em += r.emptied
			for k, v := range r.keptWhy {
				ke[k] += v
			}
		}
	}
	for i, r := range recs {
		if i < 25 {
			fmt.Println("SLOW", r.name, r.dur)
		}
	}
	fmt.Println("OK", n, "of", len(recs), "emptied", em, "kept", ke, "excl", exc)
}
