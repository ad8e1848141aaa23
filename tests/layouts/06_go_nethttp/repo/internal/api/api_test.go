package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAddEntry(t *testing.T) {
	request := httptest.NewRequest(http.MethodPost, "/accounts/a/entries", strings.NewReader(`{"amount": 3}`))
	answer := httptest.NewRecorder()
	New().Routes().ServeHTTP(answer, request)
	if answer.Code != 200 {
		t.Fatal(answer.Code)
	}
}

func TestHealth(t *testing.T) {
	request := httptest.NewRequest("GET", "/healthz", nil)
	answer := httptest.NewRecorder()
	New().Routes().ServeHTTP(answer, request)
}
