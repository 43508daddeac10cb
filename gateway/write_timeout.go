package gateway

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"
)

// WriteTimeout cuts off a client that does not read: each 64 KiB of an answer
// must be taken within d, and so must each event of a stream, however long the
// stream lasts. Without it a client that asks for much and reads nothing keeps
// the answer in memory, and the goroutine that writes it, for ever. It is for
// answers of this process and of upstreams alike, and for connections that are
// taken over. The write that is late fails, the request's context ends, and the
// connection is closed. A server with a WriteTimeout of its own keeps that. It
// panics where d is not positive.
func WriteTimeout(d time.Duration) func(http.Handler) http.Handler {
	if d <= 0 {
		panic("gateway: WriteTimeout needs a positive duration")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && s.WriteTimeout > 0 {
				next.ServeHTTP(w, r)
				return
			}
			tw := &timedWriter{ResponseWriter: w, within: d, lift: r.ProtoMajor >= 2}
			next.ServeHTTP(tw, r)
			tw.end()
		})
	}
}

// writePart is how much is written within one deadline. It is more than what
// writers on the way hold back, and little beside what a connection may hold.
const writePart = 64 << 10

// timedWriter is a writer whose connection has a deadline while something is
// written. The deadline follows the clock of the machine, as connections do.
type timedWriter struct {
	http.ResponseWriter
	within time.Duration
	// lift is set where a deadline that passes while nothing is written ends
	// the answer, as it does for a stream of HTTP/2.
	lift bool
	off  bool      // no connection, or not ours any more
	set  time.Time // when the deadline was set; zero is not at all
}

// extend gives what is written next its time. Most of the time that it had is as
// good, so that small writes do not each move the deadline.
func (w *timedWriter) extend() {
	if w.off {
		return
	}
	now := time.Now()
	if !w.set.IsZero() && now.Sub(w.set) < w.within/16 {
		return
	}
	w.set = now
	w.off = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(w.within)) != nil
}

func (w *timedWriter) written() {
	if w.lift && !w.off {
		w.off = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{}) != nil
		w.set = time.Time{}
	}
}

// end gives the server time to send what is left. The server lifts the deadline
// before the connection is another request's.
func (w *timedWriter) end() { w.extend() }

func (w *timedWriter) WriteHeader(status int) {
	w.extend() // an informational one is sent at once
	w.ResponseWriter.WriteHeader(status)
	w.written()
}

func (w *timedWriter) Write(b []byte) (n int, err error) {
	for {
		part := b[n:min(len(b), n+writePart)]
		w.extend()
		m, err := w.ResponseWriter.Write(part)
		w.written()
		if n += m; err != nil || n >= len(b) {
			return n, err
		}
	}
}

// FlushError serves http.ResponseController, Flush handlers that ask for a
// plain http.Flusher.
func (w *timedWriter) FlushError() error {
	w.extend()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.written()
	return err
}

func (w *timedWriter) Flush() { _ = w.FlushError() }

// Hijack hands the connection over; its writes keep their deadline.
func (w *timedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.off = true
	return &timedConn{Conn: conn, within: w.within}, rw, nil
}

// Unwrap serves http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// timedConn is a connection of which each part must be written within a time.
type timedConn struct {
	net.Conn
	within time.Duration
}

func (c *timedConn) Write(b []byte) (n int, err error) {
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.within)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(b[n:min(len(b), n+writePart)])
		if n += m; err != nil || n >= len(b) {
			return n, err
		}
	}
}

// CloseWrite tells the other side that nothing follows, as a proxy does at the
// end of one direction.
func (c *timedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
