package build

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// compileAssembly stands in for a compile command when the package is one of
// the agent's that has assembly (see layPackages): it does what the go command
// does for such a package that lies in a directory. Done is false for every
// other package.
func compileAssembly(config string, tool []string) (done bool, code int) {
	text, err := os.ReadFile(config)
	if err != nil {
		return false, 0
	}
	path, output := flagValue(tool, "-p"), flagValue(tool, "-o")
	var packages map[string]*assembly
	if err := json.Unmarshal(text, &packages); err != nil || packages[path] == nil || output == "" {
		return false, 0
	}
	if err := packages[path].compile(tool, output); err != nil {
		fmt.Fprintf(os.Stderr, "limeade: package %s: %v\n", path, err)
		return true, 1
	}
	return true, 0
}

func flagValue(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// compile runs the assembler's first pass, the compiler, and the assembler, and
// puts the objects into one archive (cmd/go/internal/work/gc.go: symabis, gc,
// asm, Go 1.25 to 1.27).
func (a *assembly) compile(tool []string, output string) error {
	work, bin := filepath.Dir(output), filepath.Dir(tool[0])
	goroot := filepath.Join(bin, "..", "..", "..")
	header := filepath.Join(work, "go_asm.h")
	trim := flagValue(tool, "-trimpath")
	for _, file := range a.Files {
		trim = file + "=>" + trimmedPath(trim, filepath.Join(a.Dir, filepath.Base(file))) + ";" + trim
	}
	asm := []string{"-p", flagValue(tool, "-p"), "-trimpath", trim, "-I", work, "-I", filepath.Join(goroot, "pkg", "include"),
		"-D", "GOOS_linux", "-D", "GOARCH_amd64"}
	if slices.Contains(tool, "-shared") {
		asm = append(asm, "-shared")
	}
	run := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	if err := os.WriteFile(header, nil, 0o600); err != nil {
		return err
	}
	symabis := filepath.Join(work, "symabis")
	if err := run(filepath.Join(bin, "asm"), slices.Concat(asm, []string{"-gensymabis", "-o", symabis}, a.Files)...); err != nil {
		return err
	}
	compile := slices.DeleteFunc(slices.Clone(tool[1:]), func(arg string) bool { return arg == "-complete" })
	if err := run(tool[0], append([]string{"-symabis", symabis, "-asmhdr", header}, compile...)...); err != nil {
		return err
	}
	for _, file := range a.Files {
		object := filepath.Join(work, strings.TrimSuffix(filepath.Base(file), ".s")+".o")
		if err := run(filepath.Join(bin, "asm"), slices.Concat(asm, []string{"-o", object, file})...); err != nil {
			return err
		}
		if err := appendMember(output, object); err != nil {
			return err
		}
	}
	return nil
}

// trimmedPath applies a -trimpath to a path.
func trimmedPath(trim, path string) string {
	for _, r := range parseTrim(trim) {
		if inside(r.From, path) {
			return r.To + strings.TrimPrefix(path, r.From)
		}
	}
	return path
}

// appendMember adds a file to an archive (cmd/internal/archive/archive.go,
// AddEntry, Go 1.26).
func appendMember(archive, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(archive, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil && end%2 == 1 {
		_, err = f.Write([]byte{0})
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%-16.16s%-12d%-6d%-6d%-8o%-10d`\n", filepath.Base(file), 0, 0, 0, 0o644, len(data))
	}
	if err == nil && len(data)%2 == 1 {
		data = append(data, 0)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	return err
}
