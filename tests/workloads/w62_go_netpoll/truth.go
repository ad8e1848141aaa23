package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// How long each function was inside, by its own clock; where it ran in several goroutines at once, from the first to the last.
var (
	guard  sync.Mutex
	inside = map[string]time.Duration{}
	depth  = map[string]int{}
	since  = map[string]time.Time{}
	born   = time.Now()
)

func enter(name string) func() {
	guard.Lock()
	defer guard.Unlock()
	if depth[name]++; depth[name] == 1 {
		since[name] = time.Now()
	}
	return func() {
		guard.Lock()
		defer guard.Unlock()
		if depth[name]--; depth[name] == 0 {
			inside[name] += time.Since(since[name])
		}
	}
}

type function struct {
	Function string  `json:"function"`
	Wall     float64 `json:"wall_ms"`
	CPU      float64 `json:"cpu_ms"`
	Share    float64 `json:"wall_share_pct"`
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func functions() []function {
	guard.Lock()
	defer guard.Unlock()
	var all []function
	for name, d := range inside {
		all = append(all, function{name, ms(d), 0, 100 * float64(d) / float64(time.Since(born))})
	}
	return all
}

func writeTruth(variant string, more []function) {
	dir := os.Getenv("TRUTH_DIR")
	if dir == "" {
		dir = "truth"
	}
	truth := map[string]any{
		"workload":  "w62_go_netpoll",
		"process":   map[string]float64{"wall_ms": ms(time.Since(born))},
		"functions": append(functions(), more...),
	}
	text, _ := json.Marshal(truth)
	if err := os.WriteFile(filepath.Join(dir, "w62_go_netpoll."+variant+".json"), text, 0o666); err != nil {
		fail(err)
	}
}

// CPU time of this thread alone.
func crunch(d time.Duration) (n int) {
	clock := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(1, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for end := clock() + d; clock() < end; {
		for i := 0; i < 200000; i++ {
			n += i & 3
		}
	}
	return n
}
