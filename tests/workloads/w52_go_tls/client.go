// HTTPS requests of net/http over crypto/tls: twelve after one another, eight at once, a large answer, a large body up.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func read(r *http.Response, err error) {
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r.Body.Close()
}

func main() {
	pem, _ := os.ReadFile(os.Args[1])
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	base := "https://localhost:" + os.Args[2]
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for i := 0; i < 12; i++ {
		read(c.Get(fmt.Sprintf("%s/s/%d", base, i)))
	}
	var wait sync.WaitGroup
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func(i int) { defer wait.Done(); read(c.Get(fmt.Sprintf("%s/p/%d", base, i))) }(i)
	}
	wait.Wait()
	read(c.Get(base + "/big"))
	read(c.Post(base+"/post", "text/plain", strings.NewReader(strings.Repeat("body", 100000))))
}
