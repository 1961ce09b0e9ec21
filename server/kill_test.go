package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/server/editor"
	"github.com/limeade-go/limeade/server/session"
)

// TestKilledAtAnyTime kills servers in the middle of a refresh, which the parent of the program carries out for them, or
// which they carry out themselves where the parent is gone. The moments close in on the swap, so that some come while the
// compiler runs and some while the patch is on its way. The program goes on, with the old code or the new one, and the
// next server makes the edit live.
func TestKilledAtAnyTime(t *testing.T) {
	for _, orphan := range []bool{false, true} {
		t.Run(map[bool]string{false: "with a parent", true: "alone"}[orphan], func(t *testing.T) {
			dir, runtimeDir := tempDir(t), tempDir(t)
			if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
				t.Fatal(err)
			}
			env := environ(runtimeDir)
			p, err := startProgram(dir, env, shared.tool, "run", ".")
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			greeting, count := "hello ", 0
			main := filepath.Join(dir, "main.go")
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%v\n%s", err, p.said())
				}
			}
			// ask returns how the program greets, and makes sure that it counts on.
			ask := func() string {
				t.Helper()
				got, err := p.ask("a")
				check(err)
				count++
				greeting, ok := strings.CutSuffix(got, fmt.Sprintf("a %d 1", count))
				if !ok {
					t.Fatalf("the program answers %q at the %dth time", got, count)
				}
				return greeting
			}
			start := func() *editor.Editor {
				t.Helper()
				e, err := editor.Start(editor.Config{
					Command: []string{shared.tool, "--stdio"}, Env: env, Folders: []string{dir}, Capabilities: capabilities(nil), Check: conformance,
				})
				check(err)
				t.Cleanup(e.Kill)
				check(e.Wait(func() bool { n, _ := at(e.StatusNow(), "processes.len"); return n == "1" }))
				check(e.Open(main))
				return e
			}
			// change makes the program greet otherwise, in the editor and on disk.
			change := func(e *editor.Editor, n int) string {
				t.Helper()
				next := fmt.Sprintf("g%d ", n)
				check(e.Type(main, `"`+greeting+`"`, `"`+next+`"`))
				check(e.Save(main))
				return next
			}
			refresh := func(e *editor.Editor) {
				t.Helper()
				raw, err := e.Command("limeade.lsp.refresh")
				check(err)
				var a session.Answer
				check(json.Unmarshal(raw, &a))
				if a.Error != nil {
					t.Fatalf("refresh: %s\n%s", a.Error.Message, e.Stderr())
				}
			}

			if got := ask(); got != greeting {
				t.Fatalf("the program greets %q", got)
			}
			if orphan {
				check(p.cmd.Process.Kill())
				<-p.ended
			}
			e := start()
			next := change(e, 0)
			begun := time.Now()
			refresh(e)
			took := time.Since(begun)
			if greeting = next; ask() != greeting {
				t.Fatal("the first refresh is not live")
			}
			e.Kill()

			early, late := time.Duration(0), 2*took
			counts := map[bool]int{}
			const kills = 10
			for n := 1; n <= kills; n++ {
				e := start()
				next := change(e, n)
				moment := (early + late) / 2
				if n == 1 {
					moment = 0
				}
				_, _, err := e.Begin("workspace/executeCommand", map[string]any{"command": "limeade.lsp.refresh"})
				check(err)
				time.Sleep(moment)
				e.Kill()
				got := ask()
				if got != greeting && got != next {
					t.Fatalf("killed after %v: the program greets %q, neither %q nor %q", moment, got, greeting, next)
				}
				if counts[got == next]++; got == next {
					late = moment
				} else {
					early = moment
				}
				greeting = next
				after := start()
				refresh(after)
				if got := ask(); got != greeting {
					t.Fatalf("killed after %v: the next server's refresh has the program greet %q, not %q", moment, got, greeting)
				}
				check(after.Wrong())
				after.Kill()
			}
			t.Logf("%d killed before the swap, %d after it, the last at %v; a whole refresh took %v", counts[false], counts[true], (early+late)/2, took)
		})
	}
}
