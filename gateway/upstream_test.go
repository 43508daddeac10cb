package gateway_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// keys are a fixed pair.
func keys() (ed25519.PublicKey, ed25519.PrivateKey) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	return key.Public().(ed25519.PublicKey), key
}

// remote is an upstream at url with a public and a private route.
func remote(urls ...string) gateway.Upstream {
	stream := route("remote.stream", "GET", "/v1/stream", platform.Public(), nil)
	stream.Handler, stream.Stream = nil, true
	u := gateway.Upstream{Name: "remote", URLs: urls, Routes: []platform.Route{
		{Operation: "remote.get", Method: "GET", Path: "/v1/remote/{rest...}", Access: platform.Require("remote.read")},
		{Operation: "remote.open", Method: "GET", Path: "/v1/open", Access: platform.Public()},
		{Operation: "remote.create", Method: "POST", Path: "/v1/open", Access: platform.Public(), MaxBody: 10},
		stream,
	}}
	return u
}

func remoteGateway(t *testing.T, u gateway.Upstream) *gateway.Gateway {
	t.Helper()
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.BasePath = "/api"
	cfg.Upstreams = []gateway.Upstream{u}
	return newGateway(t, cfg)
}

func TestUpstream(t *testing.T) {
	public, _ := keys()
	var seen *http.Request
	verified := gateway.VerifyAssertion(gateway.VerifyAssertionConfig{
		Keys: []ed25519.PublicKey{public}, Audience: "remote", Operation: "remote.get", BasePath: "/inner",
	})
	mux := http.NewServeMux()
	mux.Handle("GET /inner/v1/remote/{id}", verified(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		who(w, r)
	})))
	mux.HandleFunc("GET /inner/v1/open", func(w http.ResponseWriter, r *http.Request) {
		seen = r
		h := w.Header()
		h.Set("Server", "secret/1.0")
		h.Set("X-Request-Id", "theirs")
		h.Set("Cache-Control", "public")
		h.Set("Location", "http://"+r.Host+"/inner/v1/things?x=1")
		w.WriteHeader(http.StatusAccepted)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	u := remote(s.URL + "/inner")
	u.Request = gateway.HeaderRules{Remove: []string{"X-Drop"}, Set: map[string]string{"X-Add": "1", "Platform-Assertion": "forged"}}
	u.Response = gateway.HeaderRules{Set: map[string]string{"X-Via": "us"}}
	g := remoteGateway(t, u)

	w := call(g, "GET", "/v1/remote/7?q=1", alice, "X-API-Key: org_a.alice", "Cookie: a=b", "X-Forwarded-For: 6.6.6.6",
		"Platform-Assertion: forged", "X-Drop: 1", "X-Request-Id: r1", "Connection: X-Hop", "X-Hop: 1")
	if w.Code != 200 || w.Body.String() != "user:alice@org_a 7" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if seen.URL.RawQuery != "q=1" || seen.Header.Get("X-Request-Id") != "r1" || seen.Header.Get("X-Add") != "1" ||
		seen.Header.Get("X-Forwarded-For") != "192.0.2.1" || seen.Header.Get("X-Forwarded-Host") != "example.com" {
		t.Errorf("the upstream saw %v %v", seen.URL, seen.Header)
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "X-Drop", "X-Hop"} {
		if v := seen.Header.Get(name); v != "" {
			t.Errorf("the upstream saw %s: %s", name, v)
		}
	}
	wantProblem(t, call(g, "GET", "/v1/remote/7"), 401, "unauthenticated")
	wantProblem(t, call(g, "GET", "/v1/remote/7", guest), 403, "forbidden")

	w = call(g, "GET", "/v1/open", "Platform-Assertion: forged", "X-Request-Id: r2")
	if got := seen.Header.Values("Platform-Assertion"); got != nil {
		t.Errorf("a client's assertion went through: %q", got)
	}
	for name, want := range map[string]string{
		"X-Request-Id": "r2", "Server": "", "Cache-Control": "public", "Location": "/api/v1/things?x=1", "X-Via": "us",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Values(name); strings.Join(got, "|") != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// tripper answers in place of a network.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), Request: r,
		Body: io.NopCloser(strings.NewReader("upstream")),
	}
}

func TestUpstreamFails(t *testing.T) {
	refused := errors.New("connection refused by secret-host:1234")
	for name, c := range map[string]struct {
		trip   tripper
		status int
		code   string
	}{
		"refused":  {func(*http.Request) (*http.Response, error) { return nil, refused }, 502, "bad_gateway"},
		"too slow": {func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, 504, "timeout"},
		"no header in time": {func(*http.Request) (*http.Response, error) {
			return nil, context.DeadlineExceeded // what a Transport's timeout is like
		}, 504, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := remote("http://secret-host:1234")
				u.Transport, u.Timeout = c.trip, time.Second
				w := call(remoteGateway(t, u), "GET", "/v1/open")
				wantProblem(t, w, c.status, c.code)
				if strings.Contains(w.Body.String(), "secret-host") {
					t.Errorf("leaks: %s", w.Body)
				}
			})
		})
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, status, down := 0, 503, false
		u := remote("http://a.test")
		u.BreakAfter, u.BreakFor = 3, 10*time.Second
		u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			if calls++; down {
				return nil, errDial
			}
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			return answer(r, status), nil
		})
		g := remoteGateway(t, u)
		get := func(status, n int) *httptest.ResponseRecorder {
			t.Helper()
			w := call(g, "GET", "/v1/open")
			if w.Code != status || calls != n {
				t.Errorf("got %d after %d calls, want %d after %d", w.Code, calls, status, n)
			}
			return w
		}
		// Callers who leave open nothing.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			func() {
				defer func() {
					if v := recover(); !aborts(v) {
						t.Errorf("a caller who left: %v", v)
					}
				}()
				g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/open", nil).WithContext(gone))
			}()
		}
		calls = 0
		down = true
		get(502, 1)
		get(502, 2)
		down = false // an answer, if a bad one: the row of failures ends
		get(503, 3)
		down = true
		get(502, 4)
		get(502, 5)
		get(502, 6)
		// Open. As nobody else is there, it is tried all the same.
		down = true
		w := get(503, 7)
		wantProblem(t, w, 503, "upstream_unavailable")
		if w.Header().Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
		time.Sleep(10*time.Second + 1)
		get(502, 8) // one tries, and fails
		time.Sleep(10*time.Second + 1)
		down = false
		status = 200
		get(200, 9)
		get(200, 10) // closed
	})
}

func TestUpstreamBody(t *testing.T) {
	u := remote("http://a.test")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		resp := answer(r, 200)
		resp.Body = io.NopCloser(strings.NewReader(string(b)))
		return resp, nil
	})
	g := remoteGateway(t, u)
	for size, status := range map[int]int{10: 200, 11: 413} {
		r := httptest.NewRequest(http.MethodPost, "/v1/open", strings.NewReader(strings.Repeat("x", size)))
		r.ContentLength = -1
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != status {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		} else if status == 413 {
			wantProblem(t, w, 413, "body_too_large")
		}
	}
}

func TestUpstreamStream(t *testing.T) {
	next := make(chan string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Link", "</early>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.(http.Flusher).Flush()
		for line := range next {
			_, _ = io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}))
	defer s.Close()
	front := httptest.NewServer(remoteGateway(t, remote(s.URL)))
	defer front.Close()
	early := 0
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if early++; code != 103 || h.Get("Link") != "</early>" || h.Get("X-Frame-Options") != "" {
			t.Errorf("early: %d %v", code, h)
		}
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", front.URL+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if early != 1 || resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Link") != "" {
		t.Errorf("after early hints: %v", resp.Header)
	}
	lines := bufio.NewReader(resp.Body)
	for _, want := range []string{"data: 1\n", "data: 2\n"} {
		next <- want
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
	close(next)
	if _, err := io.ReadAll(lines); err != nil || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("at the end: %v, trailer %v", err, resp.Trailer)
	}
}

// A protocol that takes the connection over, such as WebSocket, goes through.
func TestUpstreamUpgrade(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	}))
	defer s.Close()
	log := &logs{}
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Logger, cfg.Upstreams = log.logger(), []gateway.Upstream{remote(s.URL)}
	front := httptest.NewServer(newGateway(t, cfg))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	resp, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("got %d", resp.StatusCode)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if b, err := io.ReadAll(conn); err != nil || string(b) != "echo hello\n" {
		t.Errorf("got %q, %v", b, err)
	}
	_ = conn.Close()
	front.Close()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), `"status":101`); {
		if time.Now().After(deadline) {
			t.Fatalf("the log says %s", log)
		}
		runtime.Gosched() // Close does not wait for hijacked connections
	}
}

func TestUpstreamRefused(t *testing.T) {
	u := remote("ftp://a.test", "http://user@a.test")
	u.Name, u.Routes[1].Handler, u.Timeout, u.BreakAfter = "Not A Name", say(""), -1, -1
	cfg := config()
	cfg.Upstreams = []gateway.Upstream{u}
	_, err := gateway.New(cfg)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{".Name must", ".URLs must", ".Timeout must", ".BreakAfter must", "no Handler: remote.open", "AssertionKey must be set, since the upstream must know who calls remote.get"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// mute is a service that fails to describe itself.
type mute struct{ module }

func (mute) OpenAPI() ([]byte, error) { return nil, errors.New("no description") }

// A service that moves to another process has the same operations as before.
func TestUpstreamOf(t *testing.T) {
	service := described{
		module{"things", []platform.Route{
			route("things.list", "GET", "/v1/things", platform.Require("things.read"), say("here")),
			route("things.open", "GET", "/v1/open", platform.Public(), say("here")),
		}},
		`{"openapi":"3.1.0","paths":{"/v1/things":{"get":{"operationId":"things.list","responses":{}}},
			"/v1/open":{"get":{"operationId":"things.open","responses":{}}}}}`,
	}
	here, err := gateway.New(config(), service)
	if err != nil {
		t.Fatal(err)
	}
	u, err := gateway.UpstreamOf(service, "http://a.test")
	if err != nil {
		t.Fatal(err)
	}
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) { return answer(r, 200), nil })
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Upstreams = []gateway.Upstream{u}
	there, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, before := documentOf(t, here)
	if _, after := documentOf(t, there); after != before {
		t.Errorf("the description was\n%s\nand became\n%s", before, after)
	}
	if w := call(there, "GET", "/v1/open"); w.Body.String() != "upstream" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	wantProblem(t, call(there, "GET", "/v1/things"), 401, "unauthenticated")
	if service.routes[0].Handler == nil {
		t.Error("the service lost its handler")
	}
	if _, err := gateway.UpstreamOf(mute{service.module}, "http://a.test"); err == nil {
		t.Error("no error where the description fails")
	}
}
