package image
import "testing"
import "strings"
import "github.com/limeade-go/limeade/reload/internal/object"
func TestZZ(t *testing.T) {
	p := build(t, "go1.27.3", variants[0])
	n := 0
	for _, o := range p.lib.Objects() {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			if s.Kind() == object.Text && s.IsContentHashed() { n++; if n % 10 == 0 {t.Log("hashed", s, s.Dupok(), o.Package.Path)} }
			if strings.HasPrefix(s.Name(), "main.main") { t.Log(s, s.Kind(), s.IsContentHashed(), s.ABI()) }
		}
	}
	t.Log(n)
}
