// Calls of gRPC, and requests of HTTP/2 without TLS, in turn and at once; served by a process of the same program, whose own
// count of what it answered is part of the truth.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/golang/protobuf/ptypes/duration"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ask is how this variant calls one of the server's methods.
var ask func(method string) error

func callTimer() {
	defer enter("callTimer")()
	if err := ask("Timer"); err != nil {
		fail(err)
	}
}

func callSlow() {
	defer enter("callSlow")()
	if err := ask("Slow"); err != nil {
		fail(err)
	}
}

func callMissing() {
	defer enter("callMissing")()
	if ask("Missing") == nil {
		fail(fmt.Errorf("it is there"))
	}
}

func inTurn() {
	defer enter("inTurn")()
	for i := 0; i < 10; i++ {
		callTimer()
	}
}

func atOnce() {
	defer enter("atOnce")()
	var wait sync.WaitGroup
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := 0; i < 3; i++ {
				callSlow()
			}
		}()
	}
	wait.Wait()
}

func answerTimer() {
	defer enter("answerTimer")()
	time.Sleep(20 * time.Millisecond)
}

func answerSlow() {
	defer enter("answerSlow")()
	time.Sleep(60 * time.Millisecond)
}

func answer(method string) bool {
	switch method {
	case "Timer":
		answerTimer()
	case "Slow":
		answerSlow()
	default:
		return false
	}
	return true
}

func method(name string) grpc.MethodDesc {
	handler := func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := read(&duration.Duration{}); err != nil {
			return nil, err
		}
		if !answer(name) {
			return nil, status.Error(codes.NotFound, "there is none")
		}
		return &duration.Duration{Seconds: 1}, nil
	}
	return grpc.MethodDesc{MethodName: name, Handler: handler}
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println(listener.Addr())
	return listener
}

func serve(variant string) {
	listener := listen()
	if variant == "grpc" {
		server := grpc.NewServer()
		methods := []grpc.MethodDesc{method("Timer"), method("Slow"), method("Missing")}
		server.RegisterService(&grpc.ServiceDesc{ServiceName: "pauses.Pauses", HandlerType: (*any)(nil), Methods: methods}, 0)
		go server.Serve(listener)
	} else {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answer(r.URL.Path[1:]) {
				w.WriteHeader(http.StatusNotFound)
			}
		})
		go http.Serve(listener, h2c.NewHandler(handler, &http2.Server{}))
	}
	os.Stdin.Read(make([]byte, 1)) // until the client closes it
	text, _ := json.Marshal(functions())
	os.Stdout.Write(append(text, '\n'))
}

func connect(variant, address string) {
	if variant == "grpc" {
		connection, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithBlock())
		if err != nil {
			fail(err)
		}
		ask = func(method string) error {
			return connection.Invoke(context.Background(), "/pauses.Pauses/"+method, &duration.Duration{}, &duration.Duration{})
		}
		return
	}
	dial := func(network, address string, _ *tls.Config) (net.Conn, error) { return net.Dial(network, address) }
	client := http.Client{Transport: &http2.Transport{AllowHTTP: true, DialTLS: dial}}
	ask = func(method string) error {
		answer, err := client.Get("http://" + address + "/" + method)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		return nil
	}
}

func main() {
	variant := os.Args[1]
	if len(os.Args) > 2 {
		serve(variant)
		return
	}
	server := exec.Command(os.Args[0], variant, "serve")
	stdin, _ := server.StdinPipe()
	stdout, _ := server.StdoutPipe()
	if err := server.Start(); err != nil {
		fail(err)
	}
	told := bufio.NewReader(stdout)
	address, _ := told.ReadString('\n')
	connect(variant, strings.TrimSpace(address))

	inTurn()
	atOnce()
	callMissing()

	stdin.Close()
	var served []function
	json.NewDecoder(told).Decode(&served)
	server.Wait()
	writeTruth(variant, served)
}
