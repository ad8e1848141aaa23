// Twenty goroutines, fifteen items each: 10 ms for themselves, then
//   gomutex  4 ms under one mutex
//   gopool   12 ms with one of the three places of a channel
// It measures its own rate.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const workers, items = 20, 15

var mutex sync.Mutex
var places = make(chan struct{}, 3)

//go:noinline
func fetch() {
	time.Sleep(10 * time.Millisecond)
}

//go:noinline
func save() {
	mutex.Lock()
	time.Sleep(4 * time.Millisecond)
	mutex.Unlock()
}

//go:noinline
func store() {
	places <- struct{}{}
	time.Sleep(12 * time.Millisecond)
	<-places
}

func worker(variant string) {
	for item := 0; item < items; item++ {
		fetch()
		if variant == "gomutex" {
			save()
		} else {
			store()
		}
	}
}

func main() {
	variant := os.Args[1]
	var group sync.WaitGroup
	start := time.Now()
	for number := 0; number < workers; number++ {
		group.Add(1)
		go func() {
			defer group.Done()
			worker(variant)
		}()
	}
	group.Wait()
	seconds := time.Since(start).Seconds()
	truth := fmt.Sprintf(`{"variant": %q, "workers": %d, "items": %d, "seconds": %f, "rate": %f}`,
		variant, workers, workers*items, seconds, workers*items/seconds)
	file := filepath.Join(os.Getenv("TRUTH_DIR"), "w79_workers."+variant+".json")
	if err := os.WriteFile(file, []byte(truth), 0o644); err != nil {
		panic(err)
	}
}
