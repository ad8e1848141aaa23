package main

import (
	"flag"
	"log"
	"net/http"

	"example.org/ledger/internal/api"
)

func main() {
	address := flag.String("listen", ":8085", "address")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*address, api.New().Routes()))
}
