package store

import (
	"context"
	"database/sql"
	"sync"
)

type Store struct {
	db *sql.DB
	mu sync.Mutex
}

func New() *Store {
	db, _ := sql.Open("postgres", "")
	db.SetMaxOpenConns(4)
	return &Store{db: db}
}

func (s *Store) Load(ctx context.Context, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var name string
	row := s.db.QueryRowContext(ctx, "SELECT name FROM items WHERE id = $1", id)
	err := row.Scan(&name)
	return name, err
}

func (s *Store) Names() []string {
	return nil
}
