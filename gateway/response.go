package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/acme/platform"
)

// response watches what is sent, and carries what the layers within learn
// about the request outwards to the access log.
//
// There is one for each request and no pool of them: a handler that kept one
// beyond its request would then write into the answer of another caller.
type response struct {
	http.ResponseWriter
	status   int // 0 until the header is sent
	bytes    int64
	base     string // goes before a Location within the gateway
	endpoint *endpoint
	tenant   platform.TenantID // of the principal, and its subject
	subject  string
}

// watch returns w where it is a response already, or one around it.
func watch(w http.ResponseWriter) *response {
	if rw, ok := w.(*response); ok {
		return rw
	}
	return &response{ResponseWriter: w}
}

// watcher finds the response among the writers that w wraps; nil is none.
func watcher(w http.ResponseWriter) *response {
	for {
		switch u := w.(type) {
		case *response:
			return u
		case interface{ Unwrap() http.ResponseWriter }:
			w = u.Unwrap()
		default:
			return nil
		}
	}
}

// innermost returns the server's own writer, which MaxBytesReader tells to
// close the connection.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status = status
		w.rebase()
	}
	w.ResponseWriter.WriteHeader(status)
}

// rebase puts the gateway's own base path before a Location that is relative
// to its root: handlers do not know where they are mounted.
func (w *response) rebase() {
	if w.base == "" {
		return
	}
	if l := w.Header().Get("Location"); len(l) > 0 && l[0] == '/' && (len(l) == 1 || l[1] != '/') {
		w.Header().Set("Location", w.base+l)
	}
}

func (w *response) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
		w.rebase()
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets the server copy from a file by itself.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

// FlushError serves http.ResponseController, Flush handlers that ask for a
// plain http.Flusher.
func (w *response) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *response) Flush() { _ = w.FlushError() }

// Hijack notes that the answer is out of our hands.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
