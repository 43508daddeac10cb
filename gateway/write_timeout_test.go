package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

const writeTimeout = 30 * time.Second

// dialed serves h on one connection within the process and sends a request on it;
// what is not read from client is not taken.
func dialed(t *testing.T, h http.Handler, serverTimeout time.Duration, path string) (client net.Conn) {
	t.Helper()
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h, WriteTimeout: serverTimeout, ReadHeaderTimeout: time.Hour}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	client, server := net.Pipe()
	l.conns <- server
	t.Cleanup(func() {
		_ = client.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
	})
	if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+alice+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client
}

// written is what became of a handler that writes to a client.
type written struct {
	err      error
	took     time.Duration
	canceled bool // whether the context of the request ended
}

// writing is a handler that writes size bytes, in pieces of 1 MiB with a pause
// after each, and tells what came of it.
func writing(size int, pause time.Duration) (http.HandlerFunc, chan written) {
	done := make(chan written, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var got written
		piece := make([]byte, min(size, 1<<20))
		for n := 0; n < size && got.err == nil; n += len(piece) {
			if _, got.err = w.Write(piece); got.err == nil {
				got.err = http.NewResponseController(w).Flush()
			}
			time.Sleep(pause)
		}
		got.took = time.Since(start)
		got.canceled = r.Context().Err() != nil
		done <- got
	}, done
}

func writingGateway(t *testing.T, h http.HandlerFunc, stream bool) *gateway.Gateway {
	t.Helper()
	r := route("large", http.MethodGet, "/large", platform.Authenticated(), h)
	r.Stream = stream
	cfg := config()
	cfg.Timeout = 24 * time.Hour
	return newGateway(t, cfg, r)
}

// Who asks and does not read is cut off, and lets go of what he was to get.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	for name, stream := range map[string]bool{"an operation": false, "a stream": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, done := writing(8<<20, 0)
				dialed(t, writingGateway(t, h, stream), 0, "/large")
				got := <-done
				if !errors.Is(got.err, os.ErrDeadlineExceeded) || got.took != writeTimeout || !got.canceled {
					t.Errorf("after %v: %v, context ended: %v; want the deadline after %v", got.took, got.err, got.canceled, writeTimeout)
				}
			})
		})
	}
}

// The last part of an answer is sent after its handler has returned.
func TestAClientThatDoesNotReadTheEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") }
		client := dialed(t, writingGateway(t, h, false), 0, "/large")
		time.Sleep(writeTimeout + time.Second)
		if got, _ := io.ReadAll(client); len(got) > 0 {
			t.Errorf("the connection still gave %q", got)
		}
	})
}

// A client that reads slowly gets all of an answer that takes much longer.
func TestASlowReaderGetsItAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		h, done := writing(size, 0)
		client := dialed(t, writingGateway(t, h, false), 0, "/large")
		resp, err := http.ReadResponse(bufio.NewReaderSize(client, 4096), nil)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 32<<10)
		n := 0
		for {
			time.Sleep(10 * time.Second)
			m, err := io.ReadFull(resp.Body, part)
			if n += m; err != nil {
				break
			}
		}
		_ = resp.Body.Close()
		if got := <-done; got.err != nil || n != size || got.took < time.Minute {
			t.Errorf("%d of %d bytes in %v: %v", n, size, got.took, got.err)
		}
	})
}

// A stream lasts as long as its events are read, however long there is none.
func TestAStreamThatIsReadLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, done := writing(5<<20, time.Hour)
		client := dialed(t, writingGateway(t, h, true), 0, "/large")
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if got := <-done; got.err != nil || got.took != 5*time.Hour {
			t.Errorf("after %v: %v", got.took, got.err)
		}
	})
}

// Of HTTP/2 a deadline that passes would end a stream that only waits.
func TestAnIdleStreamOfHTTP2Lasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, done := writing(3<<20, time.Hour)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		both := new(http.Protocols)
		both.SetUnencryptedHTTP2(true)
		s := &http.Server{Handler: writingGateway(t, h, true), Protocols: both, ReadHeaderTimeout: time.Hour}
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		transport := &http.Transport{Protocols: both, DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			l.conns <- server
			return client, nil
		}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/large", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(alice, ": ")
		req.Header.Set(name, value)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if got := <-done; err != nil || got.err != nil || n != 3<<20 {
			t.Errorf("%d bytes, %v, %v", n, err, got.err)
		}
		transport.CloseIdleConnections()
		_ = s.Close()
		<-served
	})
}

// A server with a timeout of its own keeps it.
func TestAServerWithAWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, done := writing(8<<20, 0)
		dialed(t, writingGateway(t, h, false), 2*time.Second, "/large")
		if got := <-done; got.err == nil || got.took != 2*time.Second {
			t.Errorf("after %v: %v", got.took, got.err)
		}
	})
}

// endless is the answer of an upstream that never ends.
type endless struct{ closed chan struct{} }

func (e *endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }
func (e *endless) Close() error               { close(e.closed); return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An upstream's answer is let go of with the client that does not read it.
func TestAClientThatDoesNotReadAnUpstreamIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &endless{make(chan struct{})}
		cfg := config()
		cfg.Upstreams = []gateway.Upstream{{
			Name: "files", URLs: []string{"http://files.example"}, Timeout: 24 * time.Hour,
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, ContentLength: 1 << 40, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
			}),
			Routes: []platform.Route{{Operation: "files.get", Method: http.MethodGet, Path: "/large", Access: platform.Public(), Stream: true}},
		}}
		start := time.Now()
		dialed(t, newGateway(t, cfg), 0, "/large")
		<-body.closed
		if took := time.Since(start); took != writeTimeout {
			t.Errorf("the upstream was let go of after %v, want %v", took, writeTimeout)
		}
	})
}

// A connection that was taken over keeps the deadline of its writes.
func TestATakenConnectionHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		h := gateway.WriteTimeout(writeTimeout)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				done <- err
				return
			}
			time.Sleep(time.Hour)
			_, err = conn.Write(make([]byte, 1<<20))
			done <- err
			_ = conn.Close()
		}))
		start := time.Now()
		dialed(t, h, 0, "/")
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Hour+writeTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// A writer that has no connection is written to as before.
func TestWriteTimeoutWithoutAConnection(t *testing.T) {
	rec := httptest.NewRecorder()
	h, done := writing(3<<20, 0)
	gateway.WriteTimeout(time.Second)(h).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := <-done; got.err != nil || rec.Body.Len() != 3<<20 {
		t.Errorf("%d bytes, %v", rec.Body.Len(), got.err)
	}
}
