package main

import (
	"net/http"
	"os"
)

func write(w http.ResponseWriter, item any) {
	log, _ := os.OpenFile("access.log", os.O_APPEND, 0o600)
	log.WriteString("item")
}
