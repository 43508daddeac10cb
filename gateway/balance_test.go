package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/gateway"
)

var (
	errDial  = &net.OpError{Op: "dial", Err: errors.New("refused")}
	errReset = &net.OpError{Op: "read", Err: errors.New("reset by peer")}
	errSlow  = context.DeadlineExceeded
)

// twoTargets is a gateway before a.test and b.test, of which the second to be
// asked answers and the first does what fail says.
func twoTargets(t *testing.T, fail func(*http.Request) error) (g *gateway.Gateway, tries *[]string) {
	t.Helper()
	tries = new([]string)
	u := remote("http://a.test", "http://b.test/inner")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		*tries = append(*tries, r.URL.String())
		if len(*tries) == 1 {
			return nil, fail(r)
		}
		resp := answer(r, http.StatusOK)
		if r.Body != nil {
			resp.Body = r.Body
		}
		resp.Header.Set("Location", r.URL.String())
		return resp, nil
	})
	return remoteGateway(t, u), tries
}

func TestAnotherTarget(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		fail   func(*http.Request) error
		status int
		code   string
	}{
		"GET, not connected":  {"GET", func(*http.Request) error { return errDial }, 200, ""},
		"POST, not connected": {"POST", func(*http.Request) error { return errDial }, 200, ""},
		"GET, broken":         {"GET", func(*http.Request) error { return errReset }, 200, ""},
		"HEAD, broken":        {"HEAD", func(*http.Request) error { return errReset }, 200, ""},
		"POST, broken":        {"POST", func(*http.Request) error { return errReset }, 502, "bad_gateway"},
		"POST, body begun": {"POST", func(r *http.Request) error {
			_, _ = r.Body.Read(make([]byte, 1))
			return errDial
		}, 502, "bad_gateway"},
		"POST, body closed": {"POST", func(r *http.Request) error { // as a Transport does
			_ = r.Body.Close()
			return errDial
		}, 200, ""},
		"GET, slow": {"GET", func(*http.Request) error { return errSlow }, 504, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			g, tries := twoTargets(t, c.fail)
			var body io.Reader
			if c.method == "POST" {
				body = strings.NewReader("the body")
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/open?q=1", body))
			if c.code != "" {
				wantProblem(t, w, c.status, c.code)
				if len(*tries) != 1 {
					t.Errorf("sent to %v", *tries)
				}
				return
			}
			if w.Code != c.status || len(*tries) != 2 || (*tries)[0] == (*tries)[1] {
				t.Fatalf("got %d %s from %v", w.Code, w.Body, *tries)
			}
			if c.method == "POST" && w.Body.String() != "the body" {
				t.Errorf("the second target got %q", w.Body)
			}
			// Each target has its own base.
			for _, at := range *tries {
				if at != "http://a.test/v1/open?q=1" && at != "http://b.test/inner/v1/open?q=1" {
					t.Errorf("sent to %s", at)
				}
			}
			if l := w.Header().Get("Location"); l != "/api/v1/open?q=1" {
				t.Errorf("the location on the second target became %q", l)
			}
		})
	}
}

// A caller who left is sent nowhere else.
func TestAnotherTargetCallerGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g, tries := twoTargets(t, func(*http.Request) error { cancel(); return errDial })
	defer func() {
		if v := recover(); !aborts(v) || len(*tries) != 1 {
			t.Errorf("%v, sent to %v", v, *tries)
		}
	}()
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/open", nil).WithContext(ctx))
}

// The targets take turns; one that fails is left out and tried again later,
// and its callers notice nothing.
func TestTargetsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts, down := map[string]int{}, true
		u := remote("http://a.test", "http://b.test", "http://c.test")
		u.BreakAfter, u.BreakFor = 2, 10*time.Second
		u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			hosts[r.URL.Host]++
			if down && r.URL.Host == "b.test" {
				return nil, errDial
			}
			return answer(r, 200), nil
		})
		g := remoteGateway(t, u)
		get := func(n int) {
			t.Helper()
			for range n {
				if w := call(g, "GET", "/v1/open"); w.Code != 200 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			}
		}
		get(12)
		if hosts["b.test"] != 2 || hosts["a.test"]+hosts["c.test"] != 12 {
			t.Errorf("with one down: %v", hosts)
		}
		time.Sleep(10*time.Second + 1)
		get(12)
		if hosts["b.test"] != 3 {
			t.Errorf("tried again: %v", hosts)
		}
		down = false
		time.Sleep(10*time.Second + 1)
		clear(hosts)
		get(12)
		if hosts["a.test"] != 4 || hosts["b.test"] != 4 || hosts["c.test"] != 4 {
			t.Errorf("back again: %v", hosts)
		}
	})
}

// A transport that panics says nothing about the target and does not keep the
// one request by which a breaker tries again.
func TestTransportPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var next func(*http.Request) (*http.Response, error)
		u := remote("http://a.test")
		u.BreakAfter, u.BreakFor = 1, time.Second
		u.Transport = tripper(func(r *http.Request) (*http.Response, error) { return next(r) })
		g := remoteGateway(t, u)
		next = func(*http.Request) (*http.Response, error) { return nil, errDial }
		wantProblem(t, call(g, "GET", "/v1/open"), 502, "bad_gateway")
		time.Sleep(time.Second + 1)
		next = func(*http.Request) (*http.Response, error) { panic("transport") }
		wantProblem(t, call(g, "GET", "/v1/open"), 500, "internal")
		next = func(r *http.Request) (*http.Response, error) { return answer(r, 200), nil }
		if w := call(g, "GET", "/v1/open"); w.Code != 200 {
			t.Errorf("after the panic: %d %s", w.Code, w.Body)
		}
	})
}

// Over a real network a body goes whole to the target that is there.
func TestAnotherTargetOverNetwork(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer s.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	front := httptest.NewServer(remoteGateway(t, remote(gone.URL, s.URL)))
	defer front.Close()
	for range 4 { // both orders
		resp, err := front.Client().Post(front.URL+"/v1/open", "text/plain", strings.NewReader("0123456789"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(got) != "0123456789" {
			t.Errorf("got %d %q, %v", resp.StatusCode, got, err)
		}
	}
}
