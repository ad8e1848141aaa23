package shop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

func TestPrice(t *testing.T) {
	s := New()
	s.Add("pen", 120)
	if price, ok := s.Price("pen"); !ok || price != 120 {
		t.Fatal(price, ok)
	}
	if _, ok := s.Price("ink"); ok {
		t.Fatal("found what is not there")
	}
}

func TestManyAtOnce(t *testing.T) {
	s := New()
	var all sync.WaitGroup
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			name := fmt.Sprint("article ", i)
			s.Add(name, i)
			if price, _ := s.Price(name); price != i {
				t.Error(name, price)
			}
		}(i)
	}
	all.Wait()
}

func TestServe(t *testing.T) {
	s := New()
	s.Add("pen", 120)
	server := httptest.NewServer(s)
	defer server.Close()
	for _, one := range []struct {
		path   string
		status int
	}{{"/pen", 200}, {"/ink", 404}, {"/pen", 200}} {
		answer, err := http.Get(server.URL + one.path)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != one.status {
			t.Error(one.path, answer.StatusCode)
		}
		if one.status == 200 {
			var body map[string]int
			if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body["price"] != 120 {
				t.Error(body, err)
			}
		}
		answer.Body.Close()
	}
}
