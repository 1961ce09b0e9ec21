package text

import (
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
)

// A Document is one version of a text that a client has open. It is immutable.
type Document struct {
	URI     uri.URI // as the client has it
	Version int32
	Content []byte
	// Saved says that the file had this content when the client said so last.
	Saved bool
}

// Change returns the document after changes, each of which is about what the one before left. The slice that holds the
// content is a new one.
func (d *Document) Change(e Encoding, version int32, changes []protocol.TextDocumentContentChangeEvent) *Document {
	content := d.Content
	for _, c := range changes {
		switch c := c.(type) {
		case *protocol.TextDocumentContentChangeWholeDocument:
			content = []byte(c.Text)
		case *protocol.TextDocumentContentChangePartial:
			start, end := e.At(content, c.Range.Start), e.At(content, c.Range.End)
			if end < start {
				start, end = end, start
			}
			next := make([]byte, 0, len(content)-(end-start)+len(c.Text))
			next = append(next, content[:start]...)
			next = append(next, c.Text...)
			content = append(next, content[end:]...)
		}
	}
	return &Document{URI: d.URI, Version: version, Content: content}
}
