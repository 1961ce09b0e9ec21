package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/analysis/edit"
)

// command makes a command of this server.
func command(title, name string, args Arguments) protocol.Command {
	raw, err := json.Marshal(args)
	if err != nil {
		panic(err) // the type can be written
	}
	return protocol.Command{Title: title, Command: name, Arguments: []protocol.LSPAny{raw}}
}

func (s *Server) codeLens(ctx context.Context, p *protocol.CodeLensParams) ([]protocol.CodeLens, error) {
	v, err := s.observer.current(ctx)
	if err != nil {
		return nil, err
	}
	path := pathOf(p.TextDocument.URI)
	lenses := s.mainLenses(v, path)
	f := v.files[path]
	if f == nil {
		return lenses, nil
	}
	for _, e := range f.edits {
		lens := protocol.CodeLens{Range: s.encoding.Range(f.content, e.Start, e.End)}
		switch e.Verdict {
		case edit.Restart.String():
			lens.Command = command("restart required", commandRestart, Arguments{PID: v.only(&e)})
		case edit.Caveat.String():
			lens.Command = command("hot, with a caveat: refresh", commandRefresh, Arguments{})
		default:
			lens.Command = command("hot: refresh", commandRefresh, Arguments{})
		}
		lenses = append(lenses, lens)
	}
	return lenses, nil
}

// mainLenses are those above a function main: what can be done with the program.
func (s *Server) mainLenses(v *view, path string) []protocol.CodeLens {
	lenses := []protocol.CodeLens{}
	d := v.docs[path]
	if d == nil || strings.HasSuffix(path, "_test.go") {
		return lenses
	}
	start, end, ok := mainFunc(d.Content)
	if !ok {
		return lenses
	}
	add := func(c protocol.Command) {
		lenses = append(lenses, protocol.CodeLens{Range: s.encoding.Range(d.Content, start, end), Command: c})
	}
	dir := filepath.Dir(path)
	runs := false
	for _, p := range v.programs {
		if p.live.MainDir() != dir {
			continue
		}
		runs = true
		args := Arguments{PID: p.status.PID}
		if n := len(p.pending); n > 0 {
			add(command(fmt.Sprintf("refresh (%d pending)", n), commandRefresh, args))
		}
		add(command("restart", commandRestart, args))
	}
	if !runs {
		add(command("run", commandRun, Arguments{Dir: dir, Package: "."}))
	}
	return lenses
}

// mainFunc finds the name of the function main of a main package.
func mainFunc(content []byte) (start, end int, ok bool) {
	if !bytes.Contains(content, []byte("func main()")) {
		return 0, 0, false
	}
	fset := token.NewFileSet()
	f, _ := parser.ParseFile(fset, "", content, parser.SkipObjectResolution) // as far as it can be read
	if f == nil || f.Name.Name != "main" {
		return 0, 0, false
	}
	for _, d := range f.Decls {
		if fn, isFunc := d.(*ast.FuncDecl); isFunc && fn.Recv == nil && fn.Name.Name == "main" {
			file := fset.File(f.FileStart)
			return file.Offset(fn.Name.Pos()), file.Offset(fn.Name.End()), true
		}
	}
	return 0, 0, false
}
