package gateway

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strings"
)

// isolated gives a handler a header of its own. When the answer begins, its
// values replace those of the outer layers one name at a time, so that an
// answer that is kept or comes from elsewhere neither doubles nor holds what
// belongs to this request, such as its id.
type isolated struct {
	http.ResponseWriter
	header http.Header
	begun  bool
	// onBegin sees the status first and may send something else; it reports
	// whether the answer goes on. Nil lets all go on.
	onBegin func(status int) bool
	muted   bool
}

func (w *isolated) Header() http.Header { return w.header }

func (w *isolated) WriteHeader(status int) {
	if w.begun {
		return
	}
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		w.informational(status)
		return
	}
	w.begun = true
	if w.onBegin != nil && !w.onBegin(status) {
		w.muted = true
		return
	}
	outer := w.ResponseWriter.Header()
	for name, values := range w.header {
		switch {
		case strings.HasPrefix(name, http.TrailerPrefix):
		case name == "Vary": // what the outer layers look at counts as well
			outer[name] = append(slices.Clip(outer[name]), values...)
		default:
			outer[name] = values
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// informational sends a 1xx with its own header only, and puts the outer one
// back for the answer proper.
func (w *isolated) informational(status int) {
	outer := w.ResponseWriter.Header()
	kept := outer.Clone()
	clear(outer)
	for name, values := range w.header {
		outer[name] = values
	}
	w.ResponseWriter.WriteHeader(status)
	clear(outer)
	for name, values := range kept {
		outer[name] = values
	}
}

func (w *isolated) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.muted {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

func (w *isolated) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.muted {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *isolated) Flush() { _ = w.FlushError() }

// Hijack hands the connection over, as for a WebSocket; nothing is sent here
// then.
func (w *isolated) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.begun, w.muted = true, true
	}
	return conn, rw, err
}

func (w *isolated) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// end sends the header of an answer without a body, and passes trailers on.
func (w *isolated) end() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.muted {
		return
	}
	outer := w.ResponseWriter.Header()
	for name, values := range w.header {
		if _, sent := outer[name]; !sent || strings.HasPrefix(name, http.TrailerPrefix) {
			outer[name] = values
		}
	}
}
