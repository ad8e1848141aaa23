// The faults of the catalogue in Go, each with its twin that does the same work without it: twins RULE.bad | RULE.good.
// The work is measured by the program itself: `work` in its truth, which is what a fix is worth.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Ports of the services.
var plain, store, secret int

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail(err)
	}
}

var ways = map[string]func(){
	"connection_per_request.bad":  connectionPerRequestBad,
	"connection_per_request.good": connectionPerRequestGood,
	"dns_per_request.bad":         dnsPerRequestBad,
	"dns_per_request.good":        dnsPerRequestGood,
	"tls_full_handshake.bad":      func() { shakeHands(false) },
	"tls_full_handshake.good":     func() { shakeHands(true) },
	"sequential_http_calls.bad":   sequentialHTTPCallsBad,
	"sequential_http_calls.good":  sequentialHTTPCallsGood,
	"n_plus_one_queries.bad":      nPlusOneQueriesBad,
	"n_plus_one_queries.good":     nPlusOneQueriesGood,
	"repeated_query.bad":          repeatedQueryBad,
	"repeated_query.good":         repeatedQueryGood,
	"repeated_request.bad":        repeatedRequestBad,
	"repeated_request.good":       repeatedRequestGood,
	"repeated_computation.bad":    func() { bill("") },
	"repeated_computation.good":   func() { bill(rates()) },
	"cache_unused.bad":            cacheUnusedBad,
	"cache_unused.good":           cacheUnusedGood,
	"rate_limiting.bad":           rateLimitingBad,
	"rate_limiting.good":          rateLimitingGood,
	"delayed_ack_stall.bad":       func() { askIn(2) },
	"delayed_ack_stall.good":      func() { askIn(1) },
	"pool_exhaustion.bad":         func() { crowdAtPool(5) },
	"pool_exhaustion.good":        func() { crowdAtPool(15) },

	// Faults whose rules do not meet, in one run.
	"several.bad": func() {
		sequentialHTTPCallsBad()
		repeatedRequestBad()
		writeLines(false)
	},
	"several.good": func() {
		sequentialHTTPCallsGood()
		repeatedRequestGood()
		writeLines(true)
	},

	"tiny_io.bad":                   func() { writeLines(false) },
	"tiny_io.good":                  func() { writeLines(true) },
	"small_sync_writes.bad":         func() { writeSynced(1) },
	"small_sync_writes.good":        func() { writeSynced(60) },
	"lock_contention.bad":           func() { takeTurns(true) },
	"lock_contention.good":          func() { takeTurns(false) },
	"cpu_bound_hot_function.bad":    func() { parseAll() },
	"cpu_bound_hot_function.good":   shareWork,
	"remote_service_cpu_bound.bad":  func() { askService("think") },
	"remote_service_cpu_bound.good": func() { askService("wait") },
	"cpu_contention.bad":            func() { crowdCPUs(true) },
	"cpu_contention.good":           func() { crowdCPUs(false) },
	"memory_leak.bad":               func() { serveItems(true) },
	"memory_leak.good":              func() { serveItems(false) },
	"large_allocation.bad":          func() { load(160) },
	"large_allocation.good":         func() { load(2) },
}

func work(way func()) float64 {
	began := time.Now()
	way()
	return float64(time.Since(began)) / 1e6
}

func main() {
	variant := os.Args[1]
	way, ok := ways[variant]
	if !ok {
		fail(fmt.Errorf("no twin %q", variant))
	}
	var more []string
	if strings.HasPrefix(variant, "dns") {
		more = []string{"names"}
	}
	python := os.Getenv("WL_PYTHON")
	if python == "" {
		python = "python3"
	}
	server := exec.Command(python, append([]string{"../w70_twins/serve.py"}, more...)...)
	server.Stderr = os.Stderr
	stop, err := server.StdinPipe()
	must(err)
	says, err := server.StdoutPipe()
	must(err)
	must(server.Start())
	ports, err := bufio.NewReader(says).ReadString('\n')
	must(err)
	_, err = fmt.Sscan(ports, &plain, &store, &secret)
	must(err)
	wall := work(way)
	stop.Close()
	must(server.Wait())
	dir := os.Getenv("TRUTH_DIR")
	if dir == "" {
		dir = "truth"
	}
	truth := map[string]any{
		"workload": "w78_twins_go", "variant": variant,
		"functions": []map[string]any{{"function": "main.work", "wall_ms": wall}},
	}
	text, err := json.Marshal(truth)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "w78_twins_go."+variant+".json"), text, 0o666))
}
