package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

func TestRequestID(t *testing.T) {
	h := gateway.RequestID(func(prefix string) string { return prefix + "_new" })(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, platform.RequestIDFrom(r.Context()))
		}))
	for sent, want := range map[string]string{
		"": "req_new", "abc-DEF_1.2:3": "abc-DEF_1.2:3", "with space": "req_new", "a\x00": "req_new", `"`: "req_new",
		strings.Repeat("a", 128): strings.Repeat("a", 128), strings.Repeat("a", 129): "req_new",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", sent)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Body.String() != want || w.Header().Get("X-Request-Id") != want {
			t.Errorf("%q: got %q and %q, want %q", sent, w.Body, w.Header().Get("X-Request-Id"), want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(platform.WithRequestID(r.Context(), "host"))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Body.String() != "host" {
		t.Errorf("the host's id became %q", w.Body)
	}
}

// aborts reports whether a panic is to end the connection.
func aborts(v any) bool {
	err, ok := v.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

func TestRecover(t *testing.T) {
	log := &logs{}
	g := gateway.Recover(log.logger())
	serve := func(h http.HandlerFunc) (w *httptest.ResponseRecorder, panicked any) {
		w = httptest.NewRecorder()
		defer func() { panicked = recover() }()
		g(h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w, nil
	}
	w, v := serve(func(http.ResponseWriter, *http.Request) { panic("boom") })
	wantProblem(t, w, 500, "internal")
	if v != nil || !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "middleware_test.go") {
		t.Errorf("panicked %v; log %s", v, log)
	}
	// Half an answer must not look like a whole one.
	if _, v = serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("boom") }); !aborts(v) {
		t.Errorf("after the answer began: %v", v)
	}
	before := log.String()
	if _, v = serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }); !aborts(v) || log.String() != before {
		t.Errorf("ErrAbortHandler: %v", v)
	}
}

func TestAccessLog(t *testing.T) {
	log := &logs{}
	clk := newClock()
	cfg := config()
	cfg.Logger, cfg.Now = log.logger(), clk.Now
	g := newGateway(t, cfg,
		route("things.get", "GET", "/v1/things/{id}", platform.Authenticated(), func(w http.ResponseWriter, _ *http.Request) {
			clk.Advance(time.Second)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "12345")
		}),
		route("panics", "GET", "/v1/panics", platform.Public(), func(http.ResponseWriter, *http.Request) { panic("x") }))
	line := func() map[string]any {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		var m map[string]any
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	call(g, "GET", "/v1/things/secret-id?q=secret-query", alice, "X-Request-Id: r1")
	got := line()
	for k, v := range map[string]any{
		"msg": "request", "method": "GET", "route": "/v1/things/{id}", "operation": "things.get", "status": 418.0, "bytes": 5.0,
		"duration": 1e9, "tenant": "org_a", "principal": "alice", "request_id": "r1",
	} {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if s := log.String(); strings.Contains(s, "secret") || strings.Contains(s, "org_a.alice") {
		t.Errorf("the log tells too much: %s", s)
	}
	call(g, "GET", "/nothing")
	if got = line(); got["status"] != 404.0 || got["route"] != "" {
		t.Errorf("unknown path: %v", got)
	}
	call(g, "GET", "/v1/panics")
	if got = line(); got["msg"] != "request" && !strings.Contains(log.String(), `"operation":"panics","status":500`) {
		t.Errorf("panic: %s", log)
	}
	if n := strings.Count(log.String(), `"msg":"request"`); n != 3 {
		t.Errorf("%d lines for 3 requests", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := gateway.AccessLog(log.logger(), nil)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	if got = line(); got["status"] != 499.0 {
		t.Errorf("a caller who left: %v", got)
	}
}

func TestSecurityHeaders(t *testing.T) {
	h := gateway.SecurityHeaders()(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Cache-Control", "private")
		w.Header().Set("Referrer-Policy", "origin")
	}))
	for range 2 { // what one handler changes is not there for the next
		w := call(h, "GET", "/")
		if got := w.Header()["Cache-Control"]; len(got) != 2 || got[0] != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "origin",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

func TestCORS(t *testing.T) {
	serve := func(cfg gateway.CORS, method string, headers ...string) http.Header {
		h := gateway.AllowOrigins(cfg)(say("ok"))
		return call(h, method, "/", headers...).Header()
	}
	listed := gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}
	const ours, theirs = "Origin: https://app.example.com", "Origin: https://app.example.com.evil.test"

	h := serve(listed, "GET", ours)
	if h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Access-Control-Allow-Credentials") != "true" ||
		h.Get("Vary") != "Origin" || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("a listed origin: %v", h)
	}
	for _, origin := range []string{theirs, "Origin: null", "Origin: http://app.example.com"} {
		h = serve(listed, "GET", origin)
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("%s: %v", origin, h)
		}
	}
	h = serve(listed, "OPTIONS", ours, "Access-Control-Request-Method: PUT")
	if !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") || h.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: %v", h)
	}
	h = serve(gateway.CORS{Origins: []string{"*"}}, "GET", theirs)
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("every origin: %v", h)
	}

	cfg := config()
	plain := newGateway(t, cfg, thingRoutes()...)
	if h := call(plain, "GET", "/v1/news", ours).Header(); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("off by default: %v", h)
	}
	cfg.CORS = &listed
	g := newGateway(t, cfg, thingRoutes()...)
	w := call(g, "OPTIONS", "/v1/things/1", ours, "Access-Control-Request-Method: GET") // without a credential
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("preflight through the gateway: %d %v", w.Code, w.Header())
	}
	w = call(g, "GET", "/v1/things/1", ours)
	wantProblem(t, w, 401, "unauthenticated")
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Error("pages cannot read the problem")
	}
}

func TestClientAddress(t *testing.T) {
	client := gateway.ClientAddress(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"))
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", []string{"1.1.1.1"}, "192.0.2.1"}, // not a proxy of ours
		{"10.0.0.1:99", nil, "10.0.0.1"},
		{"10.0.0.1:99", []string{"1.1.1.1"}, "1.1.1.1"},
		{"10.0.0.1:99", []string{"6.6.6.6, 1.1.1.1"}, "1.1.1.1"}, // the client wrote 6.6.6.6
		{"10.0.0.1:99", []string{"6.6.6.6, 1.1.1.1, 10.0.0.2"}, "1.1.1.1"},
		{"10.0.0.1:99", []string{"6.6.6.6", "1.1.1.1", "10.0.0.2,10.0.0.3"}, "1.1.1.1"},
		{"10.0.0.1:99", []string{"1.1.1.1, nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:99", []string{"10.0.0.9"}, "10.0.0.9"},
		{"[fd00::1]:99", []string{"2001:db8::7"}, "2001:db8::7"},
		{"[::ffff:10.0.0.1]:99", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"@", []string{"1.1.1.1"}, "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.remote, c.forwarded
		if got := client(r).String(); got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = fmt.Fprint(w, n)
	}
	limited := route("limited", "POST", "/limited", platform.Public(), read)
	small := route("small", "POST", "/small", platform.Public(), read)
	small.MaxBody = 10
	free := route("free", "POST", "/free", platform.Public(), read)
	free.MaxBody = -1
	cfg := config()
	cfg.MaxBody = 100
	g := newGateway(t, cfg, limited, small, free)
	for _, c := range []struct {
		path   string
		size   int
		status int
	}{
		{"/limited", 100, 200}, {"/limited", 101, 413}, {"/small", 10, 200}, {"/small", 11, 413}, {"/free", 5000, 200},
	} {
		for _, length := range []int64{int64(c.size), -1} { // declared, and chunked
			r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(strings.Repeat("x", c.size)))
			r.ContentLength = length
			w := httptest.NewRecorder()
			if g.ServeHTTP(w, r); w.Code != c.status {
				t.Errorf("%s with %d bytes (length %d): %d", c.path, c.size, length, w.Code)
			}
			if c.status == 413 && length > 0 {
				wantProblem(t, w, 413, "body_too_large")
			}
		}
	}
}

// counted counts what a client sends.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A body of 50 MB is refused before it is read, and the server lives on.
func TestHugeBody(t *testing.T) {
	const size = 50 << 20
	s := httptest.NewServer(newGateway(t, config(), route("a", "POST", "/a", platform.Public(), say("read"))))
	defer s.Close()
	for _, expect := range []string{"", "100-continue"} {
		transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
		body := &counted{Reader: io.LimitReader(zeros{}, size)}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/a", body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = size
		if expect != "" {
			r.Header.Set("Expect", expect)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(text), "body_too_large") || !resp.Close {
			t.Errorf("%q: %d %s %v", expect, resp.StatusCode, text, err)
		}
		transport.CloseIdleConnections()
		if expect != "" && body.n > 0 {
			t.Errorf("%d bytes were sent although the server did not ask for them", body.n)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	s := httptest.NewServer(newGateway(t, config(), route("a", "POST", "/a", platform.Public(), func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})))
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/a", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, _ := io.ReadAll(resp.Body); string(b) != "hello" {
		t.Errorf("got %d %q", resp.StatusCode, b)
	}
}

// A stream reaches the caller bit by bit, has no deadline, and ends when the
// caller leaves.
func TestStream(t *testing.T) {
	left := make(chan struct{})
	stream := route("stream", "GET", "/stream", platform.Authenticated(), func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Context().Deadline(); ok {
			t.Error("a stream has a deadline")
		}
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Error("no http.Flusher")
		}
		_, _ = io.WriteString(w, "one\n")
		flusher.Flush()
		<-r.Context().Done()
		close(left)
	})
	stream.Stream, stream.Cacheable = true, true
	log := &logs{}
	cfg := config()
	cfg.Logger = log.logger()
	s := httptest.NewServer(newGateway(t, cfg, stream))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer org_a.alice")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "one\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	cancel()
	<-left
}

func TestTimeout(t *testing.T) {
	late := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		if r.URL.Path == "/own" {
			w.WriteHeader(http.StatusTeapot)
		}
	}
	h := gateway.Timeout(time.Millisecond, nil)(http.HandlerFunc(late))
	wantProblem(t, call(h, "GET", "/"), 504, "timeout")
	if w := call(h, "GET", "/own"); w.Code != http.StatusTeapot {
		t.Errorf("the handler's own answer became %d", w.Code)
	}
}

func TestConstructorsPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"Authenticate":    func() { gateway.Authenticate(gateway.AuthenticateConfig{}) },
		"Authorize":       func() { gateway.Authorize(users{}, "", nil) },
		"RateLimit":       func() { gateway.RateLimit(gateway.RateLimitConfig{Name: "x"}) },
		"Timeout":         func() { gateway.Timeout(0, nil) },
		"BodyTimeout":     func() { gateway.BodyTimeout(0) },
		"Cache":           func() { gateway.Cache(gateway.CacheConfig{}) },
		"AllowOrigins":    func() { gateway.AllowOrigins(gateway.CORS{Origins: []string{"https://a.test/path"}}) },
		"VerifyAssertion": func() { gateway.VerifyAssertion(gateway.VerifyAssertionConfig{Audience: "x", Operation: "x"}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took a setting that cannot work", name)
				}
			}()
			f()
		}()
	}
}

func TestClient(t *testing.T) {
	var seen netip.Addr
	h := gateway.Client(netip.MustParsePrefix("10.0.0.0/8"))(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { seen = platform.ClientFrom(r.Context()) }))
	request := func(peer, forwarded string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		return r
	}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{"198.51.100.1:1", "203.0.113.9", "198.51.100.1"}, // no trusted proxy
	} {
		h.ServeHTTP(httptest.NewRecorder(), request(c.peer, c.forwarded))
		if seen.String() != c.want {
			t.Errorf("%s for %s: got %v, want %s", c.peer, c.forwarded, seen, c.want)
		}
	}
	// What the host has found out stays.
	r := request("10.0.0.1:1", "203.0.113.9")
	own := netip.MustParseAddr("192.0.2.1")
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(platform.WithClient(r.Context(), own)))
	if seen != own {
		t.Errorf("got %v, want the host's %v", seen, own)
	}
}
