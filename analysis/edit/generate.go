//go:build ignore

// This program writes analysis/EDITS.md.
package main

import (
	"log"
	"os"

	"github.com/limeade-go/limeade/analysis/edit"
)

func main() {
	if err := os.WriteFile("../EDITS.md", []byte(edit.Markdown()), 0o644); err != nil {
		log.Fatal(err)
	}
}
