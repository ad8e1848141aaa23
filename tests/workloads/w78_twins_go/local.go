package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func scratch() *os.File {
	file, err := os.CreateTemp(".", "scratch-")
	must(err)
	must(os.Remove(file.Name()))
	return file
}

func writeLines(buffered bool) {
	file := scratch()
	defer file.Close()
	var to io.Writer = file
	if buffered {
		buffer := bufio.NewWriterSize(file, 1<<16)
		defer buffer.Flush()
		to = buffer
	}
	for i := 0; i < 150000; i++ {
		_, err := fmt.Fprintf(to, "%039d\n", i)
		must(err)
	}
}

func writeSynced(every int) {
	file, block := scratch(), make([]byte, 4096)
	defer file.Close()
	for i := 1; i <= 60; i++ {
		_, err := file.Write(block)
		must(err)
		if i%every == 0 {
			must(file.Sync())
		}
	}
}

func takeTurns(inside bool) {
	var shared sync.Mutex
	var all sync.WaitGroup
	for n := 0; n < 4; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; i < 20; i++ {
				oneTurn(&shared, inside)
			}
		}()
	}
	all.Wait()
}

//go:noinline
func oneTurn(shared *sync.Mutex, inside bool) {
	if !inside {
		time.Sleep(40 * time.Millisecond)
	}
	shared.Lock()
	defer shared.Unlock()
	if inside {
		time.Sleep(10 * time.Millisecond)
	}
}

// Of the whole process; nothing else computes.
func cpu() time.Duration {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

//go:noinline
func parseAll() (x uint32) {
	x = 1
	for end := cpu() + 800*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partOne() (x uint32) {
	x = 1
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partTwo() (x uint32) {
	x = 2
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partThree() (x uint32) {
	x = 3
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partFour() (x uint32) {
	x = 4
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partFive() (x uint32) {
	x = 5
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partSix() (x uint32) {
	x = 6
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partSeven() (x uint32) {
	x = 7
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

//go:noinline
func partEight() (x uint32) {
	x = 8
	for end := cpu() + 90*time.Millisecond; cpu() < end; {
		for i := 0; i < 20000; i++ {
			x = x*1103515245 + 12345
		}
	}
	return x
}

// An eighth each: the limit is at 30 %.
func shareWork() {
	partOne()
	partTwo()
	partThree()
	partFour()
	partFive()
	partSix()
	partSeven()
	partEight()
}

func askService(how string) {
	server := exec.Command("python3", "../w72_twins_cpu/server.py", how, "200")
	says, err := server.StdoutPipe()
	must(err)
	must(server.Start())
	port, err := bufio.NewReader(says).ReadString('\n')
	must(err)
	for i := 0; i < 4; i++ {
		answer, err := http.Get("http://127.0.0.1:" + strings.TrimSpace(port) + "/")
		must(err)
		_, err = io.ReadAll(answer.Body)
		must(err)
		answer.Body.Close()
	}
	must(server.Process.Kill())
	server.Wait()
}

func crowdCPUs(crowd bool) {
	count, seconds := 1, 0.05
	if crowd {
		count, seconds = 3*runtime.NumCPU(), 0.2
	}
	code := fmt.Sprintf("import time\nend = time.process_time() + %v\nwhile time.process_time() < end: pass\n", seconds)
	var children []*exec.Cmd
	for i := 0; i < count; i++ {
		child := exec.Command("python3", "-c", code)
		must(child.Start())
		children = append(children, child)
	}
	if !crowd {
		time.Sleep(time.Second)
	}
	for _, child := range children {
		must(child.Wait())
	}
}

var remembered [][]byte

// Keeps what it made for each item, or gives it up.
//
//go:noinline
func serveItem(i int, keep bool) {
	made := make([]byte, 1<<20)
	for at := 0; at < len(made); at += 4096 {
		made[at] = byte(i)
	}
	get(kept, "127.0.0.1", fmt.Sprint("/t/4/item/", i))
	if keep {
		remembered = append(remembered, made)
	}
}

func serveItems(keep bool) {
	for i := 0; i < 60; i++ {
		serveItem(i, keep)
	}
}

//go:noinline
func load(mib int) {
	all := make([]byte, mib<<20)
	for at := 0; at < len(all); at += 4096 {
		all[at] = 1
	}
	remembered = append(remembered, all)
	time.Sleep(200 * time.Millisecond)
}
