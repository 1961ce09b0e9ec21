package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A large module, written for BenchmarkLarge: many packages in layers, and one of 10,000 lines in their middle, that imports
// 25 of them, and that 20 import.
const (
	largePackages = 520
	largeBelow    = 400 // of them do not import the package that is edited
	largeFiles    = 25  // of the package that is edited
	largeUnits    = 3   // of code in each of them
)

// largeUnit is a piece of code as programs are made of: a struct with methods, an interface, a generic type, functions
// that use them and other packages. %[1]d is its number, %[2]d that of the one before it and %[3]s a package.
const largeUnit = `
// State%[1]d counts what became of an order.
type State%[1]d int

const (
	Idle%[1]d State%[1]d = iota
	Busy%[1]d
	Done%[1]d
)

var names%[1]d = map[State%[1]d]string{Idle%[1]d: "idle", Busy%[1]d: "busy", Done%[1]d: "done"}

// Order%[1]d is what somebody has ordered.
type Order%[1]d struct {
	ID     int64
	Name   string
	Labels map[string]string
	Since  time.Time
	state  State%[1]d
	lines  []Line%[1]d
	before *Order%[2]d
}

type Line%[1]d struct {
	Count int
	Price float64
	Text  string
}

// Keeper%[1]d keeps orders.
type Keeper%[1]d interface {
	Put(ctx context.Context, o *Order%[1]d) error
	Get(ctx context.Context, id int64) (*Order%[1]d, error)
}

type keeper%[1]d struct {
	mu   sync.Mutex
	byID map[int64]*Order%[1]d
	Pool%[1]d[*Order%[1]d]
}

// Pool%[1]d has what is free.
type Pool%[1]d[T comparable] struct{ free []T }

func (p *Pool%[1]d[T]) Take(is func(T) bool) (found T, ok bool) {
	for i, x := range p.free {
		if is(x) {
			p.free = append(p.free[:i], p.free[i+1:]...)
			return x, true
		}
	}
	return found, false
}

func (k *keeper%[1]d) Put(ctx context.Context, o *Order%[1]d) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("order %%d: %%w", o.ID, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.byID[o.ID]; ok && old.state > o.state {
		return errors.New("the order is older than the one that is there: " + strconv.FormatInt(o.ID, 10))
	}
	k.byID[o.ID] = o
	k.free = append(k.free, o)
	return nil
}

func (k *keeper%[1]d) Get(ctx context.Context, id int64) (*Order%[1]d, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o, ok := k.byID[id]
	if !ok {
		return nil, fmt.Errorf("no order %%d", id)
	}
	return o, ctx.Err()
}

// Total is the sum of the lines.
func (o *Order%[1]d) Total() (sum float64) {
	for _, l := range o.lines {
		sum += float64(l.Count) * l.Price
	}
	if o.before != nil && o.before.Total() > sum {
		sum += o.before.Total() / 2
	}
	return sum
}

func (o *Order%[1]d) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%%s (%%s)", o.Name, names%[1]d[o.state])
	for key, value := range o.Labels {
		b.WriteString(key + "=" + strings.ToUpper(value))
	}
	return b.String()
}

func walk%[1]d(ctx context.Context, k Keeper%[1]d, ids []int64) (map[string][]*Order%[1]d, error) {
	found := make(map[string][]*Order%[1]d)
	for i, id := range ids {
		o, err := k.Get(ctx, id)
		switch {
		case err != nil && i == 0:
			return nil, err
		case err != nil:
			continue
		case o.state == Done%[1]d:
			o.Since = o.Since.Add(time.Duration(i) * time.Second)
		}
		found[o.Name] = append(found[o.Name], o)
	}
	names := slices.Sorted(maps.Keys(found))
	defer func() { found[strings.Join(names, ",")] = nil }()
	go func() { _ = %[3]s.Run(len(names)) }()
	return found, nil
}

func Run%[1]d(n int) int {
	k := &keeper%[1]d{byID: map[int64]*Order%[1]d{}}
	for i := range n {
		if err := k.Put(context.Background(), &Order%[1]d{ID: int64(i), Name: strconv.Itoa(i)}); err != nil {
			return -1
		}
	}
	found, err := walk%[1]d(context.Background(), k, []int64{0, 1, 2})
	if err != nil {
		return -1
	}
	if o, ok := k.Take(func(o *Order%[1]d) bool { return o.Total() > 0 || o.String() == "" }); ok {
		n += len(o.Labels)
	}
	return n + len(found)
}
`

// writeLarge writes the module. The package that is edited is core, of which it returns the first file and the number of
// lines.
func writeLarge(b *testing.B, dir string) (edited string, lines int) {
	b.Helper()
	write := func(name, text string) string {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		return file
	}
	header := func(name string, more ...string) string {
		var s strings.Builder
		fmt.Fprintf(&s, "package %s\n\nimport (\n", name)
		for _, imp := range append([]string{"context", "errors", "fmt", "maps", "slices", "strconv", "strings", "sync", "time"}, more...) {
			fmt.Fprintf(&s, "\t%q\n", imp)
		}
		return s.String() + ")\n"
	}
	write("go.mod", "module example.com/large\n\ngo 1.26\n")
	for i := range largePackages {
		name := fmt.Sprintf("p%d", i)
		text := "package p0\n\n// Run does nothing.\nfunc Run(n int) int { return n }\n"
		if i > 0 {
			below := fmt.Sprintf("p%d", (i-1)/2)
			imports := []string{"example.com/large/" + below}
			more := ""
			if i >= largeBelow && i%6 == 0 {
				imports = append(imports, "example.com/large/core")
				more = "\nvar last core.Order0\n\nfunc Core(n int) int { return core.Run0(n) + len(last.Name) }\n"
			} else if i > largeBelow {
				imports[0] = fmt.Sprintf("example.com/large/p%d", i-1)
				below = fmt.Sprintf("p%d", i-1)
			}
			text = header(name, imports...) + more + fmt.Sprintf(largeUnit, 1, 1, below) + "\nfunc Run(n int) int { return Run1(n) }\n"
		}
		write("internal/"+name+"/"+name+".go", strings.ReplaceAll(text, "large/p", "large/internal/p"))
	}
	for i := range largeFiles {
		below := fmt.Sprintf("p%d", 100+i)
		text := header("core", "example.com/large/internal/"+below)
		for j := range largeUnits {
			n := i*largeUnits + j
			text += fmt.Sprintf(largeUnit, n, max(n-1, 0), below)
		}
		file := write(fmt.Sprintf("core/core%d.go", i), text)
		if i == 0 {
			edited = file
		}
		lines += strings.Count(text, "\n")
	}
	text := "package main\n\nimport (\n\t\"bufio\"\n\t\"fmt\"\n\t\"os\"\n\n"
	calls := ""
	for i := largePackages / 4; i < largePackages; i++ {
		text += fmt.Sprintf("\t\"example.com/large/internal/p%d\"\n", i)
		calls += fmt.Sprintf("\t\tn += p%d.Run(n)\n", i)
	}
	write("main.go", text+")\n\nfunc main() {\n\tn := 0\n\tfmt.Println(\"ready\")\n\tfor in := bufio.NewScanner(os.Stdin); in.Scan(); {\n"+calls+"\t\tfmt.Println(n)\n\t}\n}\n")
	return edited, lines
}
