package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// pipes is a listener of connections within the process, whose deadlines
// follow the clock of a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// exchange serves one connection: it sends parts, one each pause, and returns
// all that came back and when the connection was closed.
func exchange(t *testing.T, h http.Handler, readTimeout, pause time.Duration, parts ...string) (got string, took time.Duration) {
	t.Helper()
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h, ReadTimeout: readTimeout, ReadHeaderTimeout: time.Hour}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	client, server := net.Pipe()
	l.conns <- server
	start := time.Now()
	var sender sync.WaitGroup
	sender.Go(func() {
		for i, part := range parts {
			if i > 0 {
				time.Sleep(pause)
			}
			if _, err := io.WriteString(client, part); err != nil {
				return
			}
		}
	})
	all, _ := io.ReadAll(client)
	took = time.Since(start)
	_ = client.Close()
	sender.Wait()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-served
	return string(all), took
}

func bodyGateway(t *testing.T) *gateway.Gateway {
	t.Helper()
	read := func(w http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			_, _ = fmt.Fprintf(w, "%d bytes", len(b))
		}
		return err
	}
	stream := failing("stream", "/stream", platform.Authenticated(), read)
	stream.Stream = true
	cfg := config()
	cfg.Timeout = 10 * time.Second
	return newGateway(t, cfg,
		failing("open", "/open", platform.Public(), read), failing("closed", "/closed", platform.Authenticated(), read), stream)
}

// failing is a route whose handler's error is sent as a problem.
func failing(operation, path string, access platform.Access, h func(http.ResponseWriter, *http.Request) error) platform.Route {
	return route(operation, http.MethodPost, path, access, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			platform.WriteProblem(w, r, nil, err)
		}
	})
}

// Who announces a body and does not send it holds the connection for as long
// as an operation may take, whatever the answer.
func TestBodyTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		headers string
		want    string
		took    time.Duration
	}{
		"read":                    {"/open", "", "408 Request Timeout", 10 * time.Second},
		"unauthenticated":         {"/closed", "", "401 Unauthorized", 10 * time.Second},
		"stream, unauthenticated": {"/stream", "", "401 Unauthorized", 10 * time.Second},
		"unknown":                 {"/nowhere", "", "404 Not Found", 10 * time.Second},
		"stream":                  {"/stream", alice + "\r\n", "408 Request Timeout", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, took := exchange(t, bodyGateway(t), 0, time.Hour,
					"POST "+c.path+" HTTP/1.1\r\nHost: x\r\n"+c.headers+"Content-Length: 100\r\n\r\n{")
				if !strings.Contains(got, c.want) || took != c.took {
					t.Errorf("after %v: %s", took, got)
				}
				if c.path == "/open" && !strings.Contains(got, `"code":"body_timeout"`) {
					t.Errorf("not a problem: %s", got)
				}
			})
		})
	}
}

// A long body that comes is taken by a stream.
func TestBodyInTime(t *testing.T) {
	head := func(path string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + alice + "\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
	}
	for name, c := range map[string]struct {
		path        string
		readTimeout time.Duration
		pause       time.Duration
		want        string
	}{
		"at once":          {"/open", 0, 0, "4 bytes"},
		"in time":          {"/open", 0, 2 * time.Second, "4 bytes"},
		"too slow":         {"/open", 0, 4 * time.Second, "408"},
		"a slow stream":    {"/stream", 0, 9 * time.Second, "4 bytes"},
		"the server's own": {"/open", 6 * time.Second, 2 * time.Second, "408"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, took := exchange(t, bodyGateway(t), c.readTimeout, c.pause, head(c.path), "a", "b", "c", "d")
				if !strings.Contains(got, c.want) {
					t.Errorf("after %v: %s", took, got)
				}
			})
		})
	}
}

// deadlines counts the deadlines that are set on its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	n int
}

func (d *deadlines) SetReadDeadline(time.Time) error { d.n++; return nil }

// A proxy may read on after the handler has returned: the connection is then
// another request's.
func TestBodyReadLate(t *testing.T) {
	var kept io.Reader
	stream := route("stream", "POST", "/stream", platform.Public(), func(_ http.ResponseWriter, r *http.Request) {
		kept = r.Body
		_, _ = r.Body.Read(make([]byte, 1))
	})
	stream.Stream = true
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	newGateway(t, config(), stream).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/stream", strings.NewReader("body")))
	if w.n != 3 { // for all, for a stream, for its first part
		t.Errorf("%d deadlines", w.n)
	}
	if _, _ = kept.Read(make([]byte, 1)); w.n != 3 {
		t.Errorf("%d deadlines after the end", w.n)
	}
}
