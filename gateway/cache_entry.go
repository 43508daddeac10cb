package gateway

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// stored is an answer of status 200 that is kept.
type stored struct {
	at       time.Time     // when it was made or last confirmed
	fresh    time.Duration // how long after that it needs no confirmation
	vary     []field       // what the request had in the fields that Vary names
	header   http.Header
	body     []byte
	etag     string // of header
	complete bool
}

type field struct{ name, value string }

// entryFormat changes with the encoding, so that what an older version wrote
// is a miss.
const entryFormat = 1

var errEntry = errors.New("gateway: an entry of the cache cannot be read")

func (s *stored) encode() []byte {
	b := make([]byte, 0, 512+len(s.body))
	b = append(b, entryFormat)
	b = binary.AppendVarint(b, s.at.UnixMilli())
	b = binary.AppendUvarint(b, uint64(s.fresh.Milliseconds()))
	b = binary.AppendUvarint(b, uint64(len(s.vary)))
	for _, f := range s.vary {
		b = appendString(appendString(b, f.name), f.value)
	}
	n := 0
	for _, values := range s.header {
		n += len(values)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for name, values := range s.header {
		for _, v := range values {
			b = appendString(appendString(b, name), v)
		}
	}
	return append(b, s.body...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeEntry reads what encode wrote. The body shares b's memory.
func decodeEntry(b []byte) (*stored, error) {
	d := decoder{rest: b}
	if len(b) == 0 || b[0] != entryFormat {
		return nil, errEntry
	}
	d.rest = b[1:]
	s := &stored{complete: true}
	s.at = time.UnixMilli(d.int())
	s.fresh = time.Duration(d.uint()) * time.Millisecond
	for range d.uint() {
		if d.failed {
			break
		}
		s.vary = append(s.vary, field{d.string(), d.string()})
	}
	n := d.uint()
	s.header = make(http.Header, min(n, 32))
	for range n {
		if d.failed {
			break
		}
		name := d.string()
		s.header[name] = append(s.header[name], d.string())
	}
	if d.failed {
		return nil, errEntry
	}
	s.body, s.etag = d.rest, s.header.Get("Etag")
	return s, nil
}

type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// selects reports whether the entry is for a request with this header.
func (s *stored) selects(h http.Header) bool {
	for _, f := range s.vary {
		if requestField(h, f.name) != f.value {
			return false
		}
	}
	return true
}

func (s *stored) age(now time.Time) time.Duration { return max(now.Sub(s.at), 0) }

// refresh takes over the header of a 304 (RFC 9111, section 4.3.4).
func (s *stored) refresh(h http.Header, now time.Time) {
	s.at = now
	for name, values := range h {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range":
		default:
			s.header[name] = values
		}
	}
	if _, ok := h["Date"]; !ok {
		s.header["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
}

// serve answers with the entry: 304 where the caller has it already.
func (s *stored) serve(w http.ResponseWriter, r *http.Request, now time.Time) {
	status := http.StatusOK
	if etagMatches(r.Header["If-None-Match"], s.etag) {
		status = http.StatusNotModified
	}
	h := w.Header()
	for name, values := range s.header {
		switch {
		case name == "Vary":
			h[name] = append(h[name][:len(h[name]):len(h[name])], values...)
		case status == http.StatusNotModified && strings.HasPrefix(name, "Content-") && name != "Content-Location":
		default:
			h[name] = values
		}
	}
	h["Age"] = []string{strconv.FormatInt(int64(s.age(now)/time.Second), 10)}
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	h["Content-Length"] = []string{strconv.Itoa(len(s.body))}
	w.WriteHeader(status)
	_, _ = w.Write(s.body) //nolint:gosec // the handler's answer as it was; the caller is gone if this fails
}

// requestField is the value of a field as Vary compares it.
func requestField(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return strings.Join(h[name], "\n")
}
