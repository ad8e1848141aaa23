// Waits of goroutines: requests of net/http in turn and at once, a timer, channels, a mutex; served by a process of the same
// program.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

var base string

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func fetch(path string) {
	r, err := http.Get(base + path)
	if err != nil {
		fail(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
}

func oneAfterAnother() {
	defer enter("oneAfterAnother")()
	for i := 0; i < 10; i++ {
		fetch("/timer")
	}
}

func worker(wait *sync.WaitGroup) {
	defer wait.Done()
	for i := 0; i < 3; i++ {
		fetchSlow()
	}
}

func fetchSlow() {
	defer enter("fetchSlow")()
	fetch("/slow")
}

func atOnce() {
	defer enter("atOnce")()
	var wait sync.WaitGroup
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go worker(&wait)
	}
	wait.Wait()
}

func nap() {
	defer enter("nap")()
	time.Sleep(150 * time.Millisecond)
}

func compute() {
	defer enter("compute")()
	crunch(150 * time.Millisecond)
}

func produce(to chan<- int) {
	for i := 0; i < 5; i++ {
		makeOne()
		to <- i
	}
	close(to)
}

func makeOne() {
	defer enter("makeOne")()
	time.Sleep(30 * time.Millisecond)
}

func consume() {
	defer enter("consume")()
	from := make(chan int)
	go produce(from)
	for range from {
	}
}

func holder(lock *sync.Mutex, held chan<- bool) {
	lock.Lock()
	held <- true
	hold()
	lock.Unlock()
}

func hold() {
	defer enter("hold")()
	crunch(120 * time.Millisecond)
}

func contend() {
	defer enter("contend")()
	var lock sync.Mutex
	held := make(chan bool)
	go holder(&lock, held)
	<-held
	blocked(&lock)
}

func blocked(lock *sync.Mutex) {
	defer enter("blocked")()
	lock.Lock()
	lock.Unlock()
}

func main() {
	serves := "serve"
	switch os.Args[1] {
	case "serve":
		serve()
		return
	case "serve-streams":
		serveStreams()
		return
	case "streams":
		serves = "serve-streams"
		streams := http.DefaultTransport.(*http.Transport)
		streams.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		streams.ForceAttemptHTTP2 = true
	}
	server := exec.Command(os.Args[0], serves)
	stdin, _ := server.StdinPipe()
	stdout, _ := server.StdoutPipe()
	if err := server.Start(); err != nil {
		fail(err)
	}
	told := bufio.NewReader(stdout)
	address, _ := told.ReadString('\n')
	base = strings.TrimSpace(address)

	fetch("/timer") // opens the connection
	oneAfterAnother()
	nap()
	atOnce()
	compute()
	consume()
	contend()
	inC()

	stdin.Close()
	var served []function
	json.NewDecoder(told).Decode(&served)
	server.Wait()
	writeTruth(os.Args[1], served)
}
