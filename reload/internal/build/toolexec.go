package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// linkFile is where the record lies in a build's temporary directory.
const linkFile = "link.json"

// A linkRecord is what the link step was given: every archive of the program,
// by import path, kept in the store.
type linkRecord struct {
	Archives map[string]string // import path → hash
}

// Toolexec is the program that go build starts in front of each tool
// (-toolexec). Its arguments are the store's directory, the build's temporary
// directory, the tool and the tool's arguments. It keeps the archives of the
// link step and becomes the tool: same process, same standard streams, same exit
// code, so that the go command sees no difference, and takes the results of
// ordinary builds from its cache. It returns, with an exit code, when that
// fails, and when it has itself compiled a package of the agent that has
// assembly.
func Toolexec(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "limeade: toolexec is for go build alone: toolexec STORE TEMP TOOL [ARG...]")
		return 64
	}
	storeDir, temp, tool := args[0], args[1], args[2:]
	var err error
	switch filepath.Base(tool[0]) {
	case "compile":
		if done, code := compileAssembly(filepath.Join(temp, overlayDir, assemblyFile), tool); done {
			return code
		}
	case "link":
		err = recordLink(storeDir, filepath.Join(temp, linkFile), tool[1:])
	case "cover":
		tool, err = coverActual(filepath.Join(temp, overlayDir, overlayFile), tool)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "limeade: %v\n", err)
		return 1
	}
	path, err := exec.LookPath(tool[0])
	if err == nil {
		err = syscall.Exec(path, tool, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "limeade: toolexec: %s: %v\n", tool[0], err)
	return 1
}

// coverActual gives cover the files that an overlay shows: unlike the compiler,
// it is started with paths at which there is nothing
// (cmd/go/internal/work/cover.go, Go 1.25 to 1.27). The compiler's -trimpath
// leads back to those paths.
func coverActual(overlay string, tool []string) ([]string, error) {
	text, err := os.ReadFile(overlay)
	if errors.Is(err, fs.ErrNotExist) {
		return tool, nil
	}
	var config overlayConfig
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	tool = slices.Clone(tool)
	for i, arg := range tool {
		if actual := config.Replace[arg]; actual != "" {
			tool[i] = actual
		}
	}
	return tool, nil
}

// recordLink keeps what a link command reads. A command without an import
// configuration links nothing: it is asked for its version.
func recordLink(storeDir, record string, args []string) error {
	config := ""
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "-importcfg="); ok {
			config = value
		} else if arg == "-importcfg" && i+1 < len(args) {
			config = args[i+1]
		}
	}
	if config == "" {
		return nil
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("link step: %w", err)
	}
	store, err := OpenStore(storeDir)
	if err != nil {
		return err
	}
	rec := linkRecord{Archives: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		if pkg, file, ok := packageFile(line); ok {
			if rec.Archives[pkg], err = store.putArchive(file); err != nil {
				return fmt.Errorf("link step: package %s: %w", pkg, err)
			}
		}
	}
	if len(rec.Archives) == 0 {
		return errors.New("link step: no archive in the import configuration")
	}
	out, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return store.WriteFile(record, out)
}
