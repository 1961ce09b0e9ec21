package object
import ("testing";"os";"math/rand";"runtime";"time")
func TestZZ(t *testing.T) {
	tables, _ := LoadTables(runtime.GOROOT())
	ok, n := 0, 0
	for _, f := range []string{"p.a","b.a"} {
		good, _ := os.ReadFile("/tmp/scratch/helperA/seed/"+f)
		start := time.Now()
		for i := 0; time.Since(start) < 60*time.Second; i++ {
			rng := rand.New(rand.NewSource(int64(i)))
			data := append([]byte{}, good...)
			for range 1+rng.Intn(12) {
				at := rng.Intn(len(data))
				switch rng.Intn(4) {
				case 0: data[at] = byte(rng.Intn(256))
				case 1: data[at] = 0xff
				case 2: data[at] ^= 1<<rng.Intn(8)
				case 3: if at+4 < len(data) { le.PutUint32(data[at:], rng.Uint32()>>rng.Intn(32)) }
				}
			}
			l := NewLibrary(tables)
			n++
			if _, err := l.addArchive("p", data); err != nil { continue }
			ok++
			over := l.Overlay()
			over.addArchive("p", data)
			for _, l := range []*Library{l, over} {
				for _, o := range l.Objects() {
					o.Imports()
					for i := -1; i <= o.NumSyms(); i++ { visit(t, l, o.Sym(i)) }
					for i := -1; i <= o.NumFiles(); i++ { o.File(i) }
				}
			}
		}
	}
	t.Log(n, ok)
}
