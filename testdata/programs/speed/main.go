// Speed times three pieces of work. It reads the name of one from a line of standard input and prints the nanoseconds
// that a fixed amount of it took, and its result; it ends at the end of its input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"limeade.test/speed/work"
)

func main() {
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var f func() uint64
		switch in.Text() {
		case "hash":
			f = hash
		case "sort":
			f = order
		case "parse":
			f = parse
		default:
			fmt.Println("unknown command")
			continue
		}
		start := time.Now()
		sum := f()
		fmt.Println(time.Since(start).Nanoseconds(), sum)
	}
}

func hash() uint64 {
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = byte(i * 7)
	}
	var sum uint64
	for range 120 {
		d := work.Digest(block)
		block[0] = d[0]
		sum = sum*31 + uint64(d[1])
	}
	return sum
}

func order() uint64 {
	list := make([]work.Record, 100_000)
	seed := uint64(1)
	for i := range list {
		seed = seed*6364136223846793005 + 1442695040888963407
		list[i] = work.Record{Key: seed >> 33, Name: "record"}
	}
	work.Sort(list, func(a, b *work.Record) bool { return a.Key < b.Key })
	var sum uint64
	for i := range list {
		if i > 0 && list[i].Key < list[i-1].Key {
			return 0
		}
		sum = sum*31 + list[i].Key
	}
	return sum
}

func parse() uint64 {
	text := []byte(`{"id": 17, "name": "limeade", "tags": ["go", "reload", "näh"], "size": {"w": 1.5e3, "h": -20}, "ok": true}`)
	var sum uint64
	for range 40_000 {
		n, err := work.Parse(text)
		if err != nil {
			return 0
		}
		sum += uint64(n)
	}
	return sum
}
