package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// streams are the server-sent events that come from upstreams at present. They
// have no end of their own, and a server that waits for its requests would wait
// for them.
type streams struct {
	mu    sync.Mutex
	open  map[*eventBody]struct{}
	ended bool
}

// follow makes the answer one that end ends, where it is a stream of events.
func (s *streams) follow(resp *http.Response) {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return
	}
	body := &eventBody{ReadCloser: resp.Body, streams: s}
	resp.Body = body
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.open[body] = struct{}{}
	}
	s.mu.Unlock()
	if ended {
		body.end()
	}
}

// end ends those that are open and those that come.
func (s *streams) end() {
	s.mu.Lock()
	s.ended = true
	open := s.open
	s.open = make(map[*eventBody]struct{})
	s.mu.Unlock()
	for body := range open {
		body.end()
	}
}

type eventBody struct {
	io.ReadCloser
	streams *streams
	ended   atomic.Bool
}

// Read makes of the error that closing the body causes a proper end.
func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.ended.Load() {
		err = io.EOF
	}
	return n, err
}

func (b *eventBody) Close() error {
	b.streams.mu.Lock()
	delete(b.streams.open, b)
	b.streams.mu.Unlock()
	return b.ReadCloser.Close()
}

// end closes the body under a reader that waits.
func (b *eventBody) end() {
	b.ended.Store(true)
	_ = b.ReadCloser.Close()
}
