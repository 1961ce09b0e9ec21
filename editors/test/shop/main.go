// Command shop greets its visitors, and counts them.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	shop := &Shop{Name: "Limes & Co"}
	http.Handle("/", shop)
	log.Printf("%s is open", shop.Name)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("SHOP_PORT"), nil))
}
