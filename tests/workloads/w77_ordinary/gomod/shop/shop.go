// Package shop keeps articles and serves them.
package shop

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

type Shop struct {
	guard    sync.RWMutex
	articles map[string]int
}

func New() *Shop { return &Shop{articles: map[string]int{}} }

func (s *Shop) Add(name string, price int) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.articles[name] = price
}

func (s *Shop) Price(name string) (int, bool) {
	s.guard.RLock()
	defer s.guard.RUnlock()
	price, ok := s.articles[name]
	return price, ok
}

func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, ok := s.Price(strings.TrimPrefix(r.URL.Path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(map[string]int{"price": price})
}
