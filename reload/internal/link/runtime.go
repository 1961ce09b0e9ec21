package link

import (
	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/patch"
)

// Runtime tells the agent of a process where its runtime keeps what it needs, with the process's
// bias. It fails when the toolchain's runtime lacks one of them, or has it in another form than the
// agent was written for.
func (h *Host) Runtime(bias uint64) (patch.Runtime, error) {
	return h.Layout.Runtime(func(name string, abi uint16) (lo, hi uint64, ok bool) {
		addr, ok := h.Index.Addr(name, abi)
		if !ok {
			return 0, 0, false
		}
		if f, ok := h.Image.FuncAt(addr); ok && f.Entry == addr {
			return f.Entry + bias, f.End + bias, true
		}
		return addr + bias, addr + bias, true
	})
}

// Offsets gives the image reader the layouts that it asks for.
func Offsets(l *layout.Layout) image.Offsets {
	o := image.Offsets{}
	for _, name := range []string{"moduledata", "pcHeader", "_func", "inlinedCall", "abi.ITab", "abi.InterfaceType"} {
		s, ok := l.Struct(name)
		if !ok {
			continue // the reader says what it misses
		}
		o[name] = map[string]int64{}
		for f, v := range s.Fields {
			o[name][f] = v.Offset
		}
	}
	return o
}
