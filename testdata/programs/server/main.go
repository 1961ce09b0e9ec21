// Server is an HTTP server on the loopback interface. It says its address on standard output, serves until a line or
// the end of standard input, and then says how many requests and connections there were.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"limeade.test/server/state"
	"limeade.test/server/web"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quote", web.Quote)
	mux.HandleFunc("GET /stream", web.Stream)
	s := &http.Server{Handler: mux, ConnContext: state.Connect}
	go func() { log.Fatal(s.Serve(l)) }()
	fmt.Println(l.Addr())
	bufio.NewScanner(os.Stdin).Scan()
	fmt.Println(state.Served.Load(), state.Opened.Load())
}
