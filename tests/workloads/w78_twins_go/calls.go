package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

var kept = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func get(client *http.Client, host, path string) (int, string) {
	answer, err := client.Get(fmt.Sprintf("http://%s:%d%s", host, plain, path))
	must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	return answer.StatusCode, string(body)
}

func connectionPerRequestBad() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := 0; i < 30; i++ {
		get(client, "127.0.0.1", fmt.Sprint("/t/2/item/", i))
	}
}

func connectionPerRequestGood() {
	for i := 0; i < 30; i++ {
		get(kept, "127.0.0.1", fmt.Sprint("/t/2/item/", i))
	}
}

func dnsPerRequestBad() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := 0; i < 20; i++ {
		get(client, "shop.twins.test", fmt.Sprint("/t/1/item/", i))
	}
}

func dnsPerRequestGood() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	addresses, err := net.LookupHost("shop.twins.test")
	must(err)
	for i := 0; i < 20; i++ {
		get(client, addresses[0], fmt.Sprint("/t/1/item/", i))
	}
}

func shakeHands(resume bool) {
	config := &tls.Config{InsecureSkipVerify: true}
	if resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	answer := make([]byte, 65536)
	for i := 0; i < 12; i++ {
		c, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", secret), config)
		must(err)
		fmt.Fprintf(c, "GET /t/1/item/%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
		_, err = c.Read(answer)
		must(err)
		c.Close()
	}
}

// As a store would name it.
func uuid(i int) string {
	h := fmt.Sprintf("%x", sha1.Sum([]byte(fmt.Sprint(i))))
	return h[:8] + "-" + h[8:12] + "-5" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32]
}

func loadItem(i int) {
	get(kept, "127.0.0.1", "/t/30/item/"+uuid(i))
}

func sequentialHTTPCallsBad() {
	for i := 0; i < 24; i++ {
		loadItem(i)
	}
}

func sequentialHTTPCallsGood() {
	items := make(chan int)
	var all sync.WaitGroup
	for n := 0; n < 8; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range items {
				loadItem(i)
			}
		}()
	}
	for i := 0; i < 24; i++ {
		items <- i
	}
	close(items)
	all.Wait()
}

type cache struct {
	c net.Conn
	r *bufio.Reader
}

func newCache() *cache {
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", store))
	must(err)
	return &cache{c, bufio.NewReader(c)}
}

func (s *cache) line() string {
	line, err := s.r.ReadString('\n')
	must(err)
	return line
}

func (s *cache) ask(words ...string) {
	var command bytes.Buffer
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	_, err := s.c.Write(command.Bytes())
	must(err)
	first, count := s.line(), 1
	if first[0] == '*' {
		fmt.Sscanf(first, "*%d", &count)
	} else {
		s.line()
		return
	}
	for ; count > 0; count-- {
		s.line()
		s.line()
	}
}

func nPlusOneQueriesBad() {
	c := newCache()
	for i := 0; i < 60; i++ {
		c.ask("GET", fmt.Sprint("user:", i))
	}
}

func nPlusOneQueriesGood() {
	words := []string{"MGET"}
	for i := 0; i < 60; i++ {
		words = append(words, fmt.Sprint("user:", i))
	}
	newCache().ask(words...)
}

func repeatedQueryBad() {
	c := newCache()
	for i := 0; i < 40; i++ {
		c.ask("GET", "settings")
	}
}

func repeatedQueryGood() {
	newCache().ask("GET", "settings")
}

func repeatedRequestBad() {
	for i := 0; i < 20; i++ {
		get(kept, "127.0.0.1", "/t/15/rates")
	}
}

func repeatedRequestGood() {
	get(kept, "127.0.0.1", "/t/15/rates")
}

//go:noinline
func rates() string {
	_, body := get(kept, "127.0.0.1", "/t/12/rates")
	return body
}

//go:noinline
func total(known string) int {
	if known == "" {
		known = rates()
	}
	return len(known)
}

//go:noinline
func taxes(known string) int {
	if known == "" {
		known = rates()
	}
	return len(known) / 5
}

//go:noinline
func bill(known string) {
	for i := 0; i < 8; i++ {
		total(known)
		taxes(known)
	}
}

func cacheUnusedBad() {
	c := newCache()
	c.ask("SET", "rates", "1")
	for i := 0; i < 20; i++ {
		rates()
	}
}

func cacheUnusedGood() {
	c := newCache()
	for i := 0; i < 20; i++ {
		c.ask("GET", "rates")
		if i == 0 {
			rates()
		}
	}
}

// As fast as it can; what was refused is asked again after a moment.
func rateLimitingBad() {
	for i := 0; i < 15; i++ {
		for {
			status, body := get(kept, "127.0.0.1", fmt.Sprint("/busy/", i))
			if status != 429 && !strings.Contains(body, "slow") {
				break
			}
			time.Sleep(3 * time.Millisecond)
		}
	}
}

func rateLimitingGood() {
	for i := 0; i < 15; i++ {
		get(kept, "127.0.0.1", fmt.Sprint("/busy/", i))
		time.Sleep(25 * time.Millisecond)
	}
}

// Go sends at once unless it is told not to.
func askIn(parts int) {
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", plain))
	must(err)
	must(c.(*net.TCPConn).SetNoDelay(false))
	answer := make([]byte, 65536)
	for i := 0; i < 25; i++ {
		body := fmt.Sprintf("body-%035d", i)
		head := fmt.Sprintf("POST /t/0/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(body))
		writes := []string{head + body}
		if parts == 2 {
			writes = []string{head, body}
		}
		for _, part := range writes {
			_, err := io.WriteString(c, part)
			must(err)
		}
		_, err := c.Read(answer)
		must(err)
	}
}

type pool struct{ free chan *http.Client }

//go:noinline
func (p *pool) acquire() *http.Client { return <-p.free }

//go:noinline
func (p *pool) release(c *http.Client) { p.free <- c }

//go:noinline
func take(p *pool, i int) {
	c := p.acquire()
	get(c, "127.0.0.1", fmt.Sprint("/t/20/item/", i))
	p.release(c)
}

func crowdAtPool(size int) {
	shared := &pool{make(chan *http.Client, size)}
	for i := 0; i < size; i++ {
		shared.release(&http.Client{Transport: &http.Transport{}})
	}
	var all sync.WaitGroup
	for n := 0; n < 15; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			for i := 0; i < 6; i++ {
				take(shared, n*6+i)
			}
		}(n)
	}
	all.Wait()
}
