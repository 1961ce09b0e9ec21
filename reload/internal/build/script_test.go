package build

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseScript(t *testing.T) {
	const output = `mkdir -p $WORK/b002/

#
# example.com/app
#

echo -n > $WORK/b002/go_asm.h # internal
echo '# import config' > $WORK/b002/importcfg # internal
echo '{"a":"x > y"}' > $WORK/b002/pkgcfg.txt # internal
cat >$WORK/b003/importcfg << 'EOF' # internal
# import config
packagefile fmt=$WORK/b004/_pkg_.a
EOF
cat >$WORK/b003/embedcfg << 'EOF' # internal
{
	"a": "b"
}EOF
cd /home/it's/my app
TERM='dumb' CGO_LDFLAGS="it's" /go/pkg/tool/linux_amd64/cgo -objdir $WORK/b002/ "-ldflags=\"-O2\" \"-g\"" "" -- -I . ./a.go .2/b.go "/home/it's/my app/c d.go"
go: a warning with "an open quote
cd /
/bin/ls .hidden
`
	s, err := parseScript("/start", output)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"$WORK/b002/go_asm.h": "", "$WORK/b002/importcfg": "# import config\n", "$WORK/b002/pkgcfg.txt": "{\"a\":\"x > y\"}\n",
		"$WORK/b003/importcfg": "# import config\npackagefile fmt=$WORK/b004/_pkg_.a\n", "$WORK/b003/embedcfg": "{\n\t\"a\": \"b\"\n}",
	}
	if !reflect.DeepEqual(s.files, files) {
		t.Errorf("files %q\nwant %q", s.files, files)
	}
	c := s.command("cgo", "$WORK/b002", func([]string) bool { return true })
	if c == nil {
		t.Fatal("no cgo command")
	}
	want := &scriptCommand{dir: "/home/it's/my app", env: []string{"TERM=dumb", "CGO_LDFLAGS=it's"}, args: []string{
		"/go/pkg/tool/linux_amd64/cgo", "-objdir", "$WORK/b002/", `-ldflags="-O2" "-g"`, "", "--", "-I", "/home/it's/my app",
		"/home/it's/my app/a.go", "/home/it's/my app2/b.go", "/home/it's/my app/c d.go"}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("command %+v\nwant    %+v", c, want)
	}
	if last := s.commands[len(s.commands)-1]; last.args[1] != ".hidden" {
		t.Errorf("argument %q in the root directory, want .hidden", last.args[1])
	}
	for _, broken := range []string{"cat >x << EOF\n", "cat >x << 'EOF' # internal\nno end", "echo x\n", "/go/pkg/tool/linux_amd64/compile \"open\n"} {
		if _, err := parseScript("/", broken); err == nil {
			t.Errorf("%q is taken for a script", broken)
		}
	}
	for _, partial := range []string{
		"", "echo -n > $WORK/importcfg.link # internal\n",
		"echo 'packagefile x=$WORK/b001/_pkg_.a' > $WORK/b001/importcfg.link # internal\n/go/pkg/tool/linux_amd64/compile -o $WORK/b001/_pkg_.a -importcfg $WORK/b001/importcfg -pack x.go\n",
		"echo 'packagefile x=$WORK/b001/_pkg_.a' > $WORK/b001/importcfg.link # internal\n/go/pkg/tool/linux_amd64/compile -o\n",
		"echo 'packagefile x=$WORK/b001/_pkg_.a' > $WORK/b001/importcfg.link # internal\n/go/pkg/tool/linux_amd64/compile -o $WORK/b002/_pkg_.a -pack x.go\n",
	} {
		s, err := parseScript("/", partial)
		if err == nil {
			_, err = s.steps()
		}
		wantError(t, err, "go build -n: ")
	}
}

func FuzzScript(f *testing.F) {
	cmd := exec.Command("go", "build", "-n", "-a", "-o", "/dev/null", ".")
	cmd.Dir, cmd.Env = unpack(f, plainProgram), goEnv("")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.Fatal(err)
	}
	lines := strings.SplitAfter(string(out), "\n")
	f.Add(strings.Join(lines[max(0, len(lines)-300):], ""))
	f.Add("cat >x << 'EOF' # internal\nEOF\nA='b' \"c\" ./d\n")
	f.Fuzz(func(t *testing.T, output string) {
		s, err := parseScript("/dir", output)
		if err != nil {
			return
		}
		if _, err := s.steps(); err != nil {
			return
		}
	})
}

func FuzzBuildID(f *testing.F) {
	note := binary.LittleEndian.AppendUint32(nil, 4)
	note = binary.LittleEndian.AppendUint32(note, 3)
	note = binary.LittleEndian.AppendUint32(note, buildIDNote)
	note = append(note, "Go\x00\x00abc\x00"...)
	if id, ok := findBuildID(note, binary.LittleEndian); id != "abc" || !ok {
		f.Fatalf("build ID %q, %v", id, ok)
	}
	f.Add(note)
	f.Add(append(make([]byte, 12), note...))
	f.Fuzz(func(t *testing.T, notes []byte) {
		if id, ok := findBuildID(notes, binary.LittleEndian); !ok && id != "" {
			t.Error("an ID that is none")
		}
	})
}

func FuzzDiagnostics(f *testing.F) {
	p := &Package{Path: "p", Dir: "/p"}
	files := map[string][]byte{"a.go": []byte("package p\n\nfunc F[T any](a *T, b ...func(*int)) (r *int) { return func(q *int) *int { return q }(nil) }\n\nfunc (*T) M(_ int, x *T) {}\n\ntype T struct{}\n")}
	for i, msg := range []string{"leaking param: x", "leaking param content: x", "leaking param: x to result ~r0 level=1", "moved to heap: x", "can inline F with cost 4 as: func() {}",
		"parameter x leaks to {heap} for F with derefs=2:", "F capturing by ref: x (addr=true assign=true width=8)", "mutates param: x derefs=0", "assuming x is unsafe uintptr"} {
		f.Add(fmt.Sprintf("/p/a.go:5:%d: %s\n\tmore\n", 19+i%2, msg))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseFacts(p, files, text); err != nil {
			t.Fatal(err)
		}
		for _, e := range parseErrors(text, under("/p")) {
			if e.Line <= 0 || !filepath.IsAbs(e.File) {
				t.Errorf("error without a place: %+v", e)
			}
		}
	})
}
