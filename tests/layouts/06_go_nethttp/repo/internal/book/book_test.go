package book

import "testing"

func TestBalance(t *testing.T) {
	b := New()
	b.Add("a", Entry{Amount: 2})
	if b.Balance("a") != 2 {
		t.Fatal("wrong")
	}
}
