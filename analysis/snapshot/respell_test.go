package snapshot

import (
	"strings"
	"testing"
)

// TestRespelled checks that each place of a respelled file is found in the one that somebody wrote.
func TestRespelled(t *testing.T) {
	f := NewFile("/m/p/a.go", []byte("package p\n\ntype customer struct{}\n\nfunc (c customer) of(x customer) {}\n"))
	var words []Word
	at := 0
	for {
		i := strings.Index(string(f.content[at:]), "customer")
		if i < 0 {
			break
		}
		at += i
		words = append(words, Word{at, at + len("customer"), "ox"})
		at += len("customer")
	}
	end := strings.Index(string(f.content), "{}") + 2
	words = append(words[:1:1], append([]Word{{end, end, "; type customer = ox"}}, words[1:]...)...)
	r := f.Respelled(words)
	const want = "package p\n\ntype ox struct{}; type customer = ox\n\nfunc (c ox) of(x ox) {}\n"
	if got, _ := r.Content(); string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if r.Original() != f || f.Original() != f || f.Respelled(nil) != f {
		t.Error("not the file that it is from")
	}
	for _, c := range []struct{ text, original string }{
		{"package", "package"}, {"type ox", "type customer"}, {"ox struct", "customer struct"}, {"struct{}", "struct{}"},
		{"\n\nfunc", "\n\nfunc"}, {"ox) of", "customer) of"}, {"of(x", "of(x"}, {"ox) {}", "customer) {}"}, {") {}", ") {}"},
	} {
		offset, original := strings.Index(want, c.text), strings.Index(string(f.content), c.original)
		if got := r.OriginalOffset(offset); got != original {
			t.Errorf("%q is at %d of the original, want %d", c.text, got, original)
		}
		line := 1 + strings.Count(want[:offset], "\n")
		column := offset - strings.LastIndexByte(want[:offset], '\n')
		wantColumn := original - strings.LastIndexByte(string(f.content[:original]), '\n')
		if got := r.OriginalColumn(line, column); got != wantColumn {
			t.Errorf("%q is in column %d of the original, want %d", c.text, got, wantColumn)
		}
		if got := f.OriginalOffset(original); got != original {
			t.Errorf("%q is at %d of a file that is as it was read, want %d", c.text, got, original)
		}
	}
	if got, want := r.OriginalOffset(len(want)), len(f.content); got != want {
		t.Errorf("it ends at %d, want %d", got, want)
	}
	if got, want := r.OriginalOffset(strings.Index(string(r.content), "= ox")), end; got != want {
		t.Errorf("what is not in the original is at %d, want %d", got, want)
	}
}
