package drive

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestOutput(t *testing.T) {
	o := newOutput()
	lines := make(chan string)
	go func() {
		for {
			line, err := o.Line(context.Background())
			if err != nil {
				close(lines)
				return
			}
			lines <- line
		}
	}()
	for _, s := range []string{"one\ntw", "o\n", "\nthree"} {
		if _, err := io.WriteString(o, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"one", "two", ""} {
		if got := <-lines; got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	if err := o.Until(context.Background(), "two\n\nthree"); err != nil {
		t.Error(err)
	}
	o.end()
	if _, ok := <-lines; ok {
		t.Error("a line after the end")
	}
	if err := o.Until(context.Background(), "four"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Until gives %v after the end", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newOutput().Line(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Line gives %v when its context has ended", err)
	}
}

func TestOwnLines(t *testing.T) {
	const in = "limeade: started\npanic: x\n\tlimeade: not ours\nlimeade: ended\nlast"
	if got, want := OwnLines(in), "panic: x\n\tlimeade: not ours\nlast"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuantile(t *testing.T) {
	list := []int{5, 1, 4, 2, 3}
	for q, want := range map[float64]int{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(list, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := Quantile([]float64(nil), 0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}

func TestParent(t *testing.T) {
	if got := parent(os.Getpid()); got != os.Getppid() {
		t.Errorf("parent is %d, want %d", got, os.Getppid())
	}
	if got := parent(-1); got != 0 {
		t.Errorf("parent of no process is %d", got)
	}
}

func TestPut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.go")
	for _, text := range []string{"one", "two"} {
		if err := Put(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Fatalf("file has %q, %v, want %q", got, err, text)
		}
	}
	if list, err := os.ReadDir(filepath.Dir(file)); err != nil || len(list) != 1 {
		t.Errorf("folder has %v, %v", list, err)
	}
}
