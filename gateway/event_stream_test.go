package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A server with a stream of events open stops at once, and its client sees a
// proper end.
func TestEndStreams(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, "data: 1\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	g := remoteGateway(t, remote(s.URL))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{Handler: g}
	front.RegisterOnShutdown(g.EndStreams)
	served := make(chan error, 1)
	go func() { served <- front.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := front.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	// One that begins after that ends, too.
	w := call(g, "GET", "/v1/stream")
	if w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// What is no stream of events is not cut off.
func TestEndStreamsOnly(t *testing.T) {
	more := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.WriteString(w, "1\n")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "2\n")
	}))
	defer s.Close()
	g := remoteGateway(t, remote(s.URL))
	front := httptest.NewServer(g)
	defer front.Close()
	resp, err := front.Client().Get(front.URL + "/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	g.EndStreams()
	close(more)
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "2\n" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
}
