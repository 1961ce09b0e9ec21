package build

import (
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// limeade's own module at a version whose agent is another one, with a package limeade that can be attached to.
const attachableLimeade = `
-- go.mod --
module github.com/limeade-go/limeade

go 1.26
-- reload/agent/agent.go --
package agent

func init() { println("older") }
-- reload/limeade/attach2.go --
package limeade

var Attached = "nothing"

func Attach(to string) { Attached = to }
`

const attachingProgram = `
-- go.mod --
module example.com/app

go 1.26

require github.com/limeade-go/limeade v0.1.0
-- main.go --
package main

import "github.com/limeade-go/limeade/reload/limeade"

func main() { println(limeade.Attached) }
`

// liveAgent is testAgent with the package that speaks to package limeade.
func liveAgent() fstest.MapFS {
	a := maps.Clone(testAgent)
	a["agent/live/live.go"] = &fstest.MapFile{Data: []byte(`package live

import (
	_ "github.com/limeade-go/limeade/reload/agent"
	"github.com/limeade-go/limeade/reload/limeade"
	"github.com/limeade-go/limeade/reload/patch"
)

func init() { limeade.Attach("the " + patch.Name) }
`)}
	return a
}

// A program that imports package limeade, of whatever version and in whatever way, gets what attaches it to the one agent;
// and one that imports the agent as well gets no second agent.
func TestProgramImportsLimeade(t *testing.T) {
	byHand := attachingProgram + "-- agent.go --\npackage main\n\nimport _ \"github.com/limeade-go/limeade/reload/agent\"\n"
	for _, tt := range []struct {
		name    string
		program string
		dir     string
		setup   [][]string // go commands
		own     bool       // the agent is a package of the program's own module
	}{
		{name: "module cache", program: attachingProgram, setup: [][]string{{"mod", "tidy"}}, own: true},
		{name: "vendor", program: attachingProgram, setup: [][]string{{"mod", "tidy"}, {"mod", "vendor"}}, own: true},
		{name: "directory", dir: "app", program: below("app", attachingProgram) + below("limeade", attachableLimeade),
			setup: [][]string{{"mod", "edit", "-replace=github.com/limeade-go/limeade=../limeade"}}, own: true},
		{name: "agent in the module cache", program: byHand, setup: [][]string{{"mod", "tidy"}}},
		{name: "agent in vendor", program: byHand, setup: [][]string{{"mod", "tidy"}, {"mod", "vendor"}}},
		{name: "agent in a directory", dir: "app", program: below("app", byHand) + below("limeade", attachableLimeade),
			setup: [][]string{{"mod", "edit", "-replace=github.com/limeade-go/limeade=../limeade"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, filepath.Join(unpack(t, tt.program), tt.dir))
			o.Agent = liveAgent()
			o.Env = append(o.Env, "GOPROXY="+moduleProxy(t, attachableLimeade), "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw -buildvcs=false")
			for _, args := range tt.setup {
				cmd := exec.Command("go", args...)
				cmd.Dir, cmd.Env = o.Dir, o.Env
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			b := check(t, o, "the agent\n")
			if own := strings.HasPrefix(b.Agent, "example.com/app/"); own != tt.own {
				t.Errorf("agent is %s", b.Agent)
			}
			if len(b.Main().Generated) != 1 {
				t.Errorf("files added to package main: %v", b.Main().Generated)
			}
			for _, l := range b.Locals() {
				if l.Path != "example.com/app" {
					t.Errorf("%s is taken for the user's", l.Path)
				}
			}
		})
	}
}
