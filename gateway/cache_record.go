package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
)

// ask has the handler answer, sends that on, and keeps it where it may. What
// is there already is offered for confirmation.
func (c *responseCache) ask(w http.ResponseWriter, r *http.Request, tenant platform.TenantID, key string, have *stored) {
	req := r
	if have != nil && have.etag != "" {
		// The caller's own If-None-Match is answered here.
		req = r.Clone(r.Context())
		req.Header["If-None-Match"] = []string{have.etag}
	} else {
		have = nil
	}
	rec := &recorder{cache: c, request: r, have: have}
	rec.isolated = isolated{ResponseWriter: w, header: make(http.Header), onBegin: rec.begin}
	c.next.ServeHTTP(rec, req)
	if !rec.begun && r.Context().Err() != nil {
		return // the layer that set the deadline answers
	}
	rec.end()

	now := c.Now()
	switch {
	case rec.confirmed:
		age, was := have.age(now), have.fresh
		have.refresh(rec.header, now)
		// What is confirmed on each use need not be written on each use.
		if fresh, ok := c.keeps(r, have.header); ok && (fresh > 0 || was > 0 || age > revalidated/2) {
			have.fresh = fresh
			c.save(r.Context(), tenant, key, have)
		}
		have.serve(w, r, now)
	case rec.keep && rec.complete():
		c.save(r.Context(), tenant, key, &stored{
			at: rec.at, fresh: rec.fresh, vary: rec.vary, header: rec.kept, body: rec.body, etag: rec.kept.Get("Etag"),
		})
	}
}

// keeps reports whether an answer with this header may be kept, and for how
// long it is fresh.
func (c *responseCache) keeps(r *http.Request, h http.Header) (time.Duration, bool) {
	d := parseCacheControl(h)
	switch {
	case h["Cache-Control"] == nil, d.noStore, d.private && c.Public, h["Set-Cookie"] != nil:
		return 0, false
	}
	fresh := max(d.maxAge, 0)
	if c.Public && d.sharedMaxAge >= 0 {
		fresh = d.sharedMaxAge
	}
	if d.noCache {
		fresh = 0
	}
	_, ok := varyFields(r.Header, h)
	return fresh, ok && (fresh > 0 || h.Get("Etag") != "")
}

// varyFields returns what the request has in the fields that the answer's Vary
// names; false is a Vary of "*". Who asks is part of the key already.
func varyFields(request, answer http.Header) ([]field, bool) {
	var fields []field
	for _, line := range answer["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			switch name {
			case "*":
				return nil, false
			case "", "Authorization", "X-Api-Key":
			default:
				fields = append(fields, field{name, requestField(request, name)})
			}
		}
	}
	return fields, true
}

// recorder passes an answer on and copies what may be kept.
type recorder struct {
	isolated
	cache   *responseCache
	request *http.Request
	have    *stored

	confirmed bool // the handler said that have is still right
	keep      bool
	at        time.Time
	fresh     time.Duration
	vary      []field
	kept      http.Header
	body      []byte
	written   int64
}

// begin decides what becomes of the answer, before its header is sent.
func (rec *recorder) begin(status int) bool {
	if status == http.StatusNotModified && rec.have != nil {
		rec.confirmed = true
		return false
	}
	if status != http.StatusOK {
		return true
	}
	rec.at = rec.cache.Now()
	if rec.fresh, rec.keep = rec.cache.keeps(rec.request, rec.header); rec.keep {
		rec.vary, _ = varyFields(rec.request.Header, rec.header)
		if rec.header["Date"] == nil {
			rec.header["Date"] = []string{rec.at.UTC().Format(http.TimeFormat)}
		}
		rec.kept = rec.header.Clone()
		for _, name := range [...]string{"Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "Upgrade", "Age"} {
			delete(rec.kept, name)
		}
	}
	if rec.have != nil && etagMatches(rec.request.Header["If-None-Match"], rec.header.Get("Etag")) {
		// The handler was asked about the stored answer, not the caller's.
		for name := range rec.header {
			if strings.HasPrefix(name, "Content-") && name != "Content-Location" {
				delete(rec.header, name)
			}
		}
		outer := rec.ResponseWriter.Header()
		for name, values := range rec.header {
			outer[name] = values
		}
		rec.ResponseWriter.WriteHeader(http.StatusNotModified)
		return false
	}
	return true
}

func (rec *recorder) Write(b []byte) (int, error) {
	if !rec.begun {
		rec.WriteHeader(http.StatusOK)
	}
	rec.written += int64(len(b))
	if rec.keep {
		if len(rec.body)+len(b) > rec.cache.MaxEntry {
			rec.keep, rec.body = false, nil
		} else {
			rec.body = append(rec.body, b...)
		}
	}
	n, err := rec.isolated.Write(b)
	if err != nil {
		rec.keep = false
	}
	return n, err
}

// complete reports whether all of the body came that was announced.
func (rec *recorder) complete() bool {
	length := rec.kept.Get("Content-Length")
	return rec.request.Context().Err() == nil && (length == "" || length == strconv.FormatInt(rec.written, 10))
}
