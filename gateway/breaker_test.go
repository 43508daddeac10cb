package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// Callers whose bodies break off, are too large or do not come cannot take an
// upstream from others.
func TestBreakerIgnoresBadBodies(t *testing.T) {
	for name, body := range map[string]func() io.Reader{
		"breaks off": func() io.Reader {
			return io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF))
		},
		"too large": func() io.Reader { return strings.NewReader(strings.Repeat("x", 11)) },
		"does not come": func() io.Reader {
			r, _ := io.Pipe()
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := remote("http://a.test")
				u.BreakAfter, u.Timeout = 3, time.Second
				u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
					if r.Body == nil {
						return answer(r, 200), nil
					}
					read := make(chan error, 1)
					go func() {
						_, err := io.Copy(io.Discard, r.Body)
						read <- err
					}()
					defer func() { _ = r.Body.Close() }()
					synctest.Wait()
					select {
					case err := <-read:
						return nil, err
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				})
				g := remoteGateway(t, u)
				for range 5 {
					r := httptest.NewRequest(http.MethodPost, "/v1/open", body())
					r.ContentLength = -1
					w := httptest.NewRecorder()
					if g.ServeHTTP(w, r); w.Code < 400 {
						t.Errorf("a bad body: %d", w.Code)
					}
					if c, ok := r.Body.(io.Closer); ok {
						_ = c.Close()
					}
				}
				if w := call(g, "GET", "/v1/open"); w.Code != 200 {
					t.Errorf("another caller after bad bodies: %d %s", w.Code, w.Body)
				}
			})
		})
	}
}
