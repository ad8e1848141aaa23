package main

import (
	"net/http"

	"example.com/shop/internal/store"
)

type server struct {
	store *store.Store
}

func main() {
	s := &server{store: store.New()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", s.item)
	mux.HandleFunc("/sync", func(w http.ResponseWriter, r *http.Request) {
		s.sync(r)
	})
	http.HandleFunc("/health", health)
	http.ListenAndServe(":8080", mux)
}

func health(w http.ResponseWriter, r *http.Request) {}

func (s *server) item(w http.ResponseWriter, r *http.Request) {
	item, err := s.store.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return
	}
	write(w, item)
}

func (s *server) sync(r *http.Request) {
	for _, name := range s.store.Names() {
		client := &http.Client{}
		resp, err := client.Get("http://prices:9000/price/" + name)
		if err != nil {
			continue
		}
		resp.Body.Close()
	}
}
