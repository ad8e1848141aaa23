// Two functions share the CPU time, one to three, each by its own clock. Built without symbols and debug information.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

var born = time.Now()

func mix(sum, number int) int {
	return (sum ^ number) * 31
}

//go:noinline
func small(d time.Duration) (sum int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for at := 0; at < 100000; at++ {
			sum = mix(sum, at) // small's loop
		}
	}
	return sum
}

//go:noinline
func large(d time.Duration) (sum int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for at := 0; at < 100000; at++ {
			sum += at % (sum&7 + 1) // large's loop
		}
	}
	return sum
}

type function struct {
	Function string  `json:"function"`
	Wall     float64 `json:"wall_ms"`
	CPU      float64 `json:"cpu_ms"`
	Share    float64 `json:"wall_share_pct"`
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

var sink int

func main() {
	var inside [2]time.Duration
	for turn := 0; turn < 5; turn++ {
		began := time.Now()
		sink += small(100 * time.Millisecond)
		between := time.Now()
		sink += large(300 * time.Millisecond)
		inside[0] += between.Sub(began)
		inside[1] += time.Since(between)
	}
	all := time.Since(born)
	share := func(d time.Duration) float64 { return 100 * float64(d) / float64(all) }
	truth := map[string]any{
		"workload": "w92_go_stripped",
		"process":  map[string]float64{"wall_ms": ms(all)},
		"functions": []function{
			{"small", ms(inside[0]), 0, share(inside[0])},
			{"large", ms(inside[1]), 0, share(inside[1])},
		},
	}
	dir := os.Getenv("TRUTH_DIR")
	if dir == "" {
		dir = "truth"
	}
	text, _ := json.Marshal(truth)
	if err := os.WriteFile(filepath.Join(dir, "w92_go_stripped.json"), text, 0o666); err != nil {
		panic(err)
	}
}
