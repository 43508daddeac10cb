package main

import (
	"net/http"
	"sync/atomic"
)

// startup answers while the platform starts: alive and not ready, so that whoever watches
// the process neither ends it nor sends it requests.
type startup struct{ started atomic.Pointer[http.Handler] }

// open lets requests through.
func (s *startup) open(h http.Handler) { s.started.Store(&h) }

func (s *startup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := s.started.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/livez" {
		_, _ = w.Write([]byte(`{"status":"alive"}`))
		return
	}
	body := `{"type":"tag:github.com/acme/platform,2026:problem:starting","title":"Service Unavailable","status":503,"code":"starting","detail":"the server is starting"}`
	if r.URL.Path == "/readyz" {
		body = `{"status":"not_ready","modules":{}}`
	} else {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(body))
}
