// Small is a server around one small package, with as many goroutines that wait as its argument says. It says where it
// listens, and reads lines from standard input: at "use" it works with the package, as for a request, and prints the
// result, at "free" it gives back what memory it can; it ends at the end of its input.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"

	"limeade.test/small/ledger"
)

func main() {
	waiting := 0
	if len(os.Args) > 1 {
		var err error
		if waiting, err = strconv.Atoi(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(64)
		}
	}
	block := make(chan string)
	for i := range waiting {
		go hold(i%10, block)
	}
	http.HandleFunc("/report", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, use()) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(l, nil)
	fmt.Println("ready", waiting, l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "use":
			fmt.Println(use())
		case "free":
			debug.FreeOSMemory()
			fmt.Println("freed")
		default:
			fmt.Println("unknown command")
		}
	}
}

// hold waits at the end of a few frames.
func hold(depth int, block chan string) int {
	if depth == 0 {
		return len(<-block)
	}
	return hold(depth-1, block) + depth
}

func use() string {
	b, err := ledger.Read([]string{
		"# a few entries",
		"2026-01-03 bread 310 food,home",
		"2026-01-04 train 4200 travel",
		"2026-02-01 bread 305 food",
		"2026-02-11 books 2999 home",
	})
	if err != nil {
		return err.Error()
	}
	return ledger.Report(b, []string{"food", "home", "travel"})
}
