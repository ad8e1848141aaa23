package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"
)

func pause(d time.Duration) {
	defer enter("pause")()
	time.Sleep(d)
}

func answerTimer(w http.ResponseWriter, r *http.Request) {
	defer enter("answerTimer")()
	pause(20 * time.Millisecond)
	fmt.Fprint(w, "timer")
}

func answerSlow(w http.ResponseWriter, r *http.Request) {
	defer enter("answerSlow")()
	time.Sleep(60 * time.Millisecond)
	fmt.Fprint(w, "slow")
}

func serve() {
	http.HandleFunc("/timer", answerTimer)
	http.HandleFunc("/slow", answerSlow)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	go http.Serve(listener, nil)
	fmt.Println("http://" + listener.Addr().String())
	untilClosed()
}

// HTTP/2, with the certificate that tests use.
func serveStreams() {
	http.HandleFunc("/timer", answerTimer)
	http.HandleFunc("/slow", answerSlow)
	server := httptest.NewUnstartedServer(http.DefaultServeMux)
	server.EnableHTTP2 = true
	server.StartTLS()
	fmt.Println(server.URL)
	untilClosed()
}

func untilClosed() {
	os.Stdin.Read(make([]byte, 1)) // until the client closes it
	text, _ := json.Marshal(functions())
	os.Stdout.Write(append(text, '\n'))
}
