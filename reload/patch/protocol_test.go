package patch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRequests(t *testing.T) {
	for _, q := range []Request{
		{Kind: KindHello},
		{Kind: KindApply, Patch: []byte("patch")},
		{Kind: KindRollback, BuildID: "build", Base: 7, Source: "digest"},
		{Kind: KindStale},
		{Kind: KindApply, Patch: []byte("patch"), Trial: true},
		{Kind: KindTrial, BuildID: "build", Base: 7, Time: 5e9},
	} {
		kind, payload, err := ReadFrame(iotest.OneByteReader(bytes.NewReader(q.Encode())), MaxFrame)
		if err != nil || kind != q.Kind {
			t.Fatalf("frame of %+v: kind %d, %v", q, kind, err)
		}
		got, err := DecodeRequest(kind, payload)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("request is %+v, %v, want %+v", got, err, q)
		}
	}
}

func TestReplies(t *testing.T) {
	hello := HelloReply{Protocol, 2, "build", "go", 3, "source", 4, 5, 6, 7, 8, -9, 10, 11, 12, 13, true}
	checkReply(t, hello, KindHelloReply, DecodeHelloReply)
	checkReply(t, ApplyReply{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, []string{"a hook", ""}}, KindApplyReply, DecodeApplyReply)
	checkReply(t, StaleReply{}, KindStaleReply, DecodeStaleReply)
	checkReply(t, StaleReply{Funcs: []StaleFunc{{"a", 1}, {"b", 2}}, Partial: 3}, KindStaleReply, DecodeStaleReply)
	checkReply(t, TrialReply{}, KindTrialReply, DecodeTrialReply)
	checkReply(t, TrialReply{"panic", []string{"here", "there"}}, KindTrialReply, DecodeTrialReply)
	checkReply(t, &Error{Busy, "words"}, KindError, func(b []byte) (*Error, error) {
		if e := DecodeError(b); e.Code != Corrupt {
			return e, nil
		}
		return nil, errors.New("corrupt")
	})
}

// checkReply sends a reply through a frame, and damages it.
func checkReply[T interface{ Encode() []byte }](t *testing.T, reply T, want Kind, decode func([]byte) (T, error)) {
	t.Helper()
	kind, payload, err := ReadFrame(bytes.NewReader(reply.Encode()), MaxReply)
	if err != nil || kind != want {
		t.Fatalf("frame of %+v: kind %d, %v", reply, kind, err)
	}
	got, err := decode(payload)
	if err != nil || !reflect.DeepEqual(got, reply) {
		t.Errorf("reply is %+v, %v, want %+v", got, err, reply)
	}
	for i := range payload {
		if _, err := decode(payload[:i]); err == nil {
			t.Errorf("%T: the first %d bytes are taken", reply, i)
		}
	}
	if _, err := decode(append(payload, 0)); err == nil {
		t.Errorf("%T: one byte more is taken", reply)
	}
}

func TestFrames(t *testing.T) {
	frame := func(n uint32, rest string) string {
		return string(binary.LittleEndian.AppendUint32(nil, n)) + rest
	}
	for _, test := range []struct{ in, want string }{
		{"", "EOF"},
		{"\x01", "cut short"},
		{frame(1, ""), "cut short"},
		{frame(3, "x1"), "cut short"},
		{frame(0, "x"), "frame length 0 is out of bounds"},
		{frame(101, "x"), "frame length 101 is out of bounds"},
		{frame(1<<32-1, "x"), "frame length 4294967295 is out of bounds"},
	} {
		_, _, err := ReadFrame(strings.NewReader(test.in), 100)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("frame %q: %v, want %s", test.in, err, test.want)
		}
	}
	if _, _, err := ReadFrame(strings.NewReader(""), 100); err != io.EOF {
		t.Errorf("end of the conversation: %v", err)
	}
	long := strings.Repeat("long", 100_000)
	kind, payload, err := ReadFrame(iotest.HalfReader(strings.NewReader(frame(uint32(len(long)+1), "k"+long))), MaxFrame)
	if err != nil || kind != 'k' || string(payload) != long {
		t.Errorf("a long frame: kind %d, %d bytes, %v", kind, len(payload), err)
	}
}

// TestPromises: a length alone does not make the reader take memory.
func TestPromises(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		in := binary.LittleEndian.AppendUint32(nil, MaxFrame)
		if _, _, err := ReadFrame(bytes.NewReader(append(in, 2, 3, 4)), MaxFrame); code(err) != Corrupt {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("ten empty promises took %d bytes", used)
	}
}

func TestCodes(t *testing.T) {
	for c := Internal; c <= Vetoed; c++ {
		if s := c.String(); s == "code "+strconv.Itoa(int(c)) {
			t.Errorf("code %d has no words", c)
		}
	}
	if s := Code(99).String(); s != "code 99" {
		t.Errorf("code 99 is %q", s)
	}
}

func TestSocketDirs(t *testing.T) {
	for _, test := range []struct {
		runtimeDir string
		want       []string
	}{
		{"", []string{"/tmp/limeade-7"}},
		{"relative", []string{"/tmp/limeade-7"}},
		{"/run/user/7", []string{"/run/user/7/limeade", "/tmp/limeade-7"}},
	} {
		if got := SocketDirs(test.runtimeDir, 7); !reflect.DeepEqual(got, test.want) {
			t.Errorf("directories for %q are %q, want %q", test.runtimeDir, got, test.want)
		}
	}
	if got := SocketName(12); got != "12.sock" {
		t.Errorf("socket is %q", got)
	}
}

func FuzzFrames(f *testing.F) {
	for _, frame := range [][]byte{
		Request{Kind: KindHello}.Encode(),
		Request{Kind: KindApply, Patch: full().Encode()}.Encode(),
		Request{Kind: KindRollback, BuildID: "b", Base: 1, Source: "s"}.Encode(),
		HelloReply{BuildID: "b"}.Encode(),
		ApplyReply{}.Encode(),
		StaleReply{Funcs: []StaleFunc{{"a", 1}}}.Encode(),
		TrialReply{"panic", []string{"here"}}.Encode(),
		Request{Kind: KindTrial, BuildID: "b", Base: 1, Time: 2}.Encode(),
		(&Error{Busy, "words"}).Encode(),
		{0xff, 0xff, 0xff, 0xff, 2},
		{},
	} {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		kind, payload, err := ReadFrame(r, 1<<20)
		if err != nil {
			return
		}
		if len(payload)+5+r.Len() != len(b) {
			t.Fatalf("payload of %d bytes out of %d, %d left", len(payload), len(b), r.Len())
		}
		// Every decoder must stand every payload, and write back what it understood.
		want := b[:len(b)-r.Len()]
		var again []byte
		if q, err := DecodeRequest(kind, payload); err == nil {
			again = q.Encode()
		}
		if h, err := DecodeHelloReply(payload); err == nil && kind == KindHelloReply {
			again = h.Encode()
		}
		if a, err := DecodeApplyReply(payload); err == nil && kind == KindApplyReply {
			again = a.Encode()
		}
		if s, err := DecodeStaleReply(payload); err == nil && kind == KindStaleReply {
			again = s.Encode()
		}
		if r, err := DecodeTrialReply(payload); err == nil && kind == KindTrialReply {
			again = r.Encode()
		}
		if e := DecodeError(payload); e.Code != Corrupt && kind == KindError {
			again = e.Encode()
		}
		if again != nil && !bytes.Equal(again, want) {
			t.Fatalf("kind %d: % x was encoded to % x", kind, want, again)
		}
	})
}
