package platformtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
)

// Response is an answer of the gateway.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	tb      testing.TB
	request string
}

// Do sends a request without a credential through the gateway; see [Person.Do].
func (p *Platform) Do(method, path string, body any) *Response {
	p.tb.Helper()
	return p.Send(p.request(method, path, body))
}

// Send sends any request through the gateway. Its path is without
// gateway.Config.BasePath.
func (p *Platform) Send(r *http.Request) *Response {
	p.tb.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return &Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes(), tb: p.tb, request: r.Method + " " + r.URL.Path}
}

// request makes a request whose body is nil, text as it is, or a value in JSON.
func (p *Platform) request(method, path string, body any) *http.Request {
	p.tb.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	case []byte:
		reader = bytes.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			p.tb.Fatalf("platformtest: the body of %s %s: %v", method, path, err)
		}
		reader = bytes.NewReader(raw)
	}
	r := httptest.NewRequestWithContext(p.tb.Context(), method, path, reader)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// Want ends the test where the status is another, and says what the answer was.
func (r *Response) Want(status int) *Response {
	r.tb.Helper()
	if r.Status != status {
		r.tb.Fatalf("%s answered %d and not %d: %s", r.request, r.Status, status, bytes.TrimSpace(r.Body))
	}
	return r
}

// JSON decodes the answer into v.
func (r *Response) JSON(v any) {
	r.tb.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		r.tb.Fatalf("%s answered %d with no JSON of that form: %v: %s", r.request, r.Status, err, bytes.TrimSpace(r.Body))
	}
}

// Problem is the answer to a request that was refused. It ends the test where the
// answer is none.
func (r *Response) Problem() platform.Problem {
	r.tb.Helper()
	if media := r.Header.Get("Content-Type"); media != platform.ProblemContentType {
		r.tb.Fatalf("%s answered %d with %s, which is no problem: %s", r.request, r.Status, media, bytes.TrimSpace(r.Body))
	}
	var p platform.Problem
	r.JSON(&p)
	return p
}
