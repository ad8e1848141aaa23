package api

import (
	"encoding/json"
	"net/http"

	"example.org/ledger/internal/book"
)

type Server struct{ book *book.Book }

func New() *Server { return &Server{book: book.New()} }

func (s *Server) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts/{id}/entries", s.addEntry)
	mux.HandleFunc("GET /accounts/{id}", s.showAccount)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (s *Server) addEntry(w http.ResponseWriter, r *http.Request) {
	var entry book.Entry
	if err := json.NewDecoder(r.Body).Decode(&entry); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.book.Add(r.PathValue("id"), entry)
}

func (s *Server) showAccount(w http.ResponseWriter, r *http.Request) {
	json.NewEncoder(w).Encode(s.book.Balance(r.PathValue("id")))
}
