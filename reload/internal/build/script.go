package build

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// A script is what go build -n prints: the commands that would make a program,
// each in its directory, and the files that would be written for them. Paths
// below the go command's work directory begin with $WORK.
//
// The output is a shell script in form, but not in quoting: arguments that
// need it are Go string literals, environment values stand in single quotes,
// and the current directory is printed as "." wherever it follows a space
// (cmd/go/internal/work/shell.go: ShowCmd, joinUnambiguously, writeFile,
// Go 1.25 to 1.27).
type script struct {
	commands []scriptCommand
	files    map[string]string // contents by $WORK path
}

type scriptCommand struct {
	dir  string
	env  []string // NAME=value
	args []string
}

// tool is the name of the toolchain's program that the command runs, or "".
func (c *scriptCommand) tool() string {
	if len(c.args) == 0 || !strings.Contains(c.args[0], "/pkg/tool/") {
		return ""
	}
	return filepath.Base(c.args[0])
}

// parseScript reads the output of go build -n, run in dir.
func parseScript(dir, output string) (*script, error) {
	s := &script{files: map[string]string{}}
	cwd := dir
	for output != "" {
		var line string
		line, output, _ = strings.Cut(output, "\n")
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "cd "):
			cwd = line[len("cd "):]
		case strings.HasPrefix(line, "cat >"):
			name, ok := strings.CutSuffix(line[len("cat >"):], " << 'EOF' # internal")
			if !ok {
				return nil, fmt.Errorf("go build -n: %q: unknown form of a file", line)
			}
			var text strings.Builder
			for ended := false; !ended; { // the end mark follows directly on a text without a last newline
				if output == "" {
					return nil, fmt.Errorf("go build -n: %s: no end of the file", name)
				}
				line, output, _ = strings.Cut(output, "\n")
				if line, ended = strings.CutSuffix(line, "EOF"); !ended {
					line += "\n"
				}
				text.WriteString(line)
			}
			s.files[name] = text.String()
		case strings.HasPrefix(line, "echo "):
			text, name, ok := strings.Cut(strings.TrimSuffix(line[len("echo "):], " # internal"), " > ")
			for { // the text may hold the separator, the name of a file in $WORK does not
				more, last, again := strings.Cut(name, " > ")
				if !again {
					break
				}
				text, name = text+" > "+more, last
			}
			switch {
			case !ok:
				return nil, fmt.Errorf("go build -n: %q: unknown form of a file", line)
			case text == "-n":
				s.files[name] = ""
			default:
				s.files[name] = strings.TrimSuffix(strings.TrimPrefix(text, "'"), "'") + "\n"
			}
		default:
			c, err := parseCommand(line)
			if err != nil && strings.Contains(line, "/pkg/tool/") {
				return nil, fmt.Errorf("go build -n: %q: %w", line, err)
			}
			c.dir = cwd
			for i, arg := range c.args {
				c.args[i] = expandDot(arg, cwd)
			}
			s.commands = append(s.commands, c)
		}
	}
	return s, nil
}

// expandDot undoes the printing of the current directory as ".": no argument
// that the go command makes up begins with a dot of its own.
func expandDot(arg, cwd string) string {
	if strings.HasPrefix(arg, ".") && cwd != "/" {
		return strings.TrimSuffix(cwd, "/") + arg[1:]
	}
	return arg
}

func parseCommand(line string) (scriptCommand, error) {
	var c scriptCommand
	for {
		line = strings.TrimLeft(line, " ")
		if line == "" {
			return c, nil
		}
		var field string
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return c, err
			}
			if field, err = strconv.Unquote(quoted); err != nil {
				return c, err
			}
			line = line[len(quoted):]
			c.args = append(c.args, field)
			continue
		}
		if len(c.args) == 0 {
			variable, rest, ok, err := parseVariable(line)
			if err != nil {
				return c, err
			}
			if ok {
				c.env, line = append(c.env, variable), rest
				continue
			}
		}
		field, line, _ = strings.Cut(line, " ")
		c.args = append(c.args, field)
	}
}

// parseVariable reads a setting in front of a command: NAME='value' or, when
// the value holds such a quote, NAME="value".
func parseVariable(line string) (variable, rest string, ok bool, err error) {
	name, value, ok := strings.Cut(line, "=")
	if !ok || !isName(name) || value == "" {
		return "", line, false, nil
	}
	switch value[0] {
	case '\'':
		if value, rest, ok = strings.Cut(value[1:], "'"); !ok {
			return "", line, false, fmt.Errorf("no closing quote of %s", name)
		}
	case '"':
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			return "", line, false, err
		}
		rest = value[len(quoted):]
		if value, err = strconv.Unquote(quoted); err != nil {
			return "", line, false, err
		}
	default:
		return "", line, false, nil
	}
	return name + "=" + value, rest, true, nil
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
