// Three functions with a known share of one thread's CPU time, a lock that is held for a known time, and requests to a server of
// its own; net/http/pprof beside them. It measures its own truth.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const threadUsage = 1

var sink int

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(threadUsage, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

//go:noinline
func hot(d time.Duration) time.Duration { return burn(d) }

//go:noinline
func warm(d time.Duration) time.Duration { return burn(d) }

//go:noinline
func cool(d time.Duration) time.Duration { return burn(d) }

//go:noinline
func burn(d time.Duration) time.Duration {
	begin := cpu()
	for cpu() < begin+d {
		for i := 0; i < 200000; i++ {
			sink += i & 3
		}
	}
	return cpu() - begin
}

// holds the lock while another goroutine waits for it.
//
//go:noinline
func contend(guard *sync.Mutex, d time.Duration) time.Duration {
	guard.Lock()
	begin := make(chan time.Time)
	done := make(chan time.Duration)
	go func() {
		asked := time.Now()
		begin <- asked
		guard.Lock()
		done <- time.Since(asked)
		guard.Unlock()
	}()
	<-begin
	time.Sleep(d)
	guard.Unlock()
	return <-done
}

func main() {
	runtime.LockOSThread()
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	port := os.Getenv("WL_PORT")
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fail(err)
	}
	var answered int64
	mux := http.NewServeMux()
	mux.HandleFunc("/item", func(w http.ResponseWriter, _ *http.Request) {
		atomic.AddInt64(&answered, 1)
		io.WriteString(w, "ok")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go http.Serve(listener, mux)
	born := time.Now()
	for i := 0; i < 40; i++ {
		answer, err := http.Get("http://" + listener.Addr().String() + "/item")
		if err != nil {
			fail(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	inside := map[string]time.Duration{}
	var guard sync.Mutex
	var waited time.Duration
	for i := 0; i < 40; i++ {
		inside["hot"] += hot(54 * time.Millisecond)
		inside["warm"] += warm(27 * time.Millisecond)
		inside["cool"] += cool(9 * time.Millisecond)
		waited += contend(&guard, 5*time.Millisecond)
	}
	all := inside["hot"] + inside["warm"] + inside["cool"]
	var functions []map[string]any
	for _, name := range []string{"hot", "warm", "cool"} {
		functions = append(functions, map[string]any{
			"function": "main." + name, "wall_ms": ms(inside[name]), "cpu_ms": ms(inside[name]),
			"wall_share_pct": 100 * float64(inside[name]) / float64(all),
		})
	}
	dir := os.Getenv("TRUTH_DIR")
	if dir == "" {
		dir = "truth"
	}
	text, _ := json.Marshal(map[string]any{
		"workload": "w90_own_profile", "process": map[string]float64{"wall_ms": ms(time.Since(born))},
		"functions": functions, "waited_ms": ms(waited), "answered": atomic.LoadInt64(&answered),
	})
	if err := os.WriteFile(filepath.Join(dir, "w90_own_profile.json"), text, 0o666); err != nil {
		fail(err)
	}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
