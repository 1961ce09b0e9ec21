// A program that answers each line with a line.
package main

import (
	"bufio"
	"fmt"
	"os"

	"example.com/app/store"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(answer(in.Text()))
	}
}

var count int

// answer is what the program says to a line.
//
//go:noinline
func answer(line string) string {
	count++
	return fmt.Sprint(greet(line), " ", count, " ", store.Default.Get(line))
}

func greet(name string) string {
	return "hello " + name
}
