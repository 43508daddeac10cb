package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// raw sends bytes to a server on h, over TCP, and returns the answer and what
// follows it until the connection is closed.
func raw(t *testing.T, h http.Handler, request string) (*http.Response, string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

// seeing is an upstream that keeps the header and the trailer of what it gets.
func seeing(seen *http.Header) gateway.Upstream {
	u := remote("http://a.test")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		*seen = r.Header.Clone()
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		maps.Copy(*seen, r.Trailer)
		return answer(r, http.StatusOK), nil
	})
	return u
}

// On an upgraded connection the client speaks to the upstream by itself: h2c
// would open each of its paths, with any header.
func TestUpgradeIsForWebSocketsOnStreams(t *testing.T) {
	for name, c := range map[string]struct {
		line, fields string
		passes       bool
	}{
		"h2c":                    {"GET /v1/open", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ", false},
		"h2c on a stream":        {"GET /v1/stream", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ", false},
		"WebSocket and h2c":      {"GET /v1/stream", "Upgrade: websocket\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABkAAQ", true},
		"TLS":                    {"GET /v1/stream", "Upgrade: TLS/1.0\r\nConnection: Upgrade", false},
		"WebSocket on no stream": {"GET /v1/open", "Upgrade: websocket\r\nConnection: Upgrade", false},
		"one of two":             {"GET /v1/stream", "Upgrade: websocket, h2c\r\nConnection: Upgrade", false},
		"two fields":             {"GET /v1/stream", "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade", false},
		"with a body":            {"GET /v1/stream", "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1", false},
		"no Connection":          {"GET /v1/stream", "Upgrade: websocket", false},
		"WebSocket":              {"GET /v1/stream", "upgrade: WebSocket\r\nconnection: keep-alive, upgrade", true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen http.Header
			resp, _ := raw(t, remoteGateway(t, seeing(&seen)), c.line+" HTTP/1.1\r\nHost: x\r\n"+c.fields+"\r\n\r\nx")
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("got %d", resp.StatusCode)
			}
			if passes := seen.Get("Upgrade") != ""; passes != c.passes || seen["Http2-Settings"] != nil || (seen["Connection"] != nil) != passes {
				t.Errorf("the upstream saw %v", seen)
			}
		})
	}
}

// An upstream that takes over a connection without being asked gets none.
func TestUpgradeWithoutRequest(t *testing.T) {
	for name, fields := range map[string]string{"h2c": "Upgrade: h2c\r\nConnection: Upgrade\r\n", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			u := remote("http://" + answering(t, "HTTP/1.1 101 Switching Protocols\r\n"+fields+"\r\n"))
			resp, body := raw(t, remoteGateway(t, u), "GET /v1/open HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
			if resp.StatusCode != http.StatusBadGateway {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
		})
	}
}

// answering is a server that sends the same bytes to each connection once it
// has read a request's header.
func answering(t *testing.T, bytes string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, bytes)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// Some servers make "X_Forwarded_For" and "X-Forwarded-For" one variable.
func TestTwinsOfTrustedFieldsAreRemoved(t *testing.T) {
	var seen http.Header
	u := seeing(&seen)
	resp, body := raw(t, remoteGateway(t, u), strings.Join([]string{
		"GET /v1/remote/7 HTTP/1.1", "Host: x", alice,
		"x_forwarded_for: 6.6.6.6", "X_FORWARDED_FOR: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", "X.Forwarded.For: 6.6.6.6",
		"x-forwarded-for: 6.6.6.6", "X-FORWARDED-FOR: 7.7.7.7", "Forwarded: for=6.6.6.6", "X_Real_IP: 6.6.6.6",
		"platform_assertion: forged", "Platform-Assertion: forged", "PLATFORM-ASSERTION: forged",
		"X_Request_Id: forged", "Content_Length: 7", "Transfer_Encoding: chunked", "X-Mine: kept",
		"Connection: X-Forwarded-For, Platform-Assertion, X-Request-Id, X-Hop", "X-Hop: 1", "", "",
	}, "\r\n"))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", resp.StatusCode, body)
	}
	for name, values := range seen {
		if all := strings.Join(values, "|"); strings.ContainsAny(name, "_.") || name == "Forwarded" || name == "X-Hop" ||
			strings.Contains(all, "6.6.6.6") || strings.Contains(all, "forged") {
			t.Errorf("the upstream saw %s: %s", name, all)
		}
	}
	if seen.Get("X-Mine") != "kept" || len(seen["Platform-Assertion"]) != 1 || seen.Get("X-Forwarded-For") != "127.0.0.1" || seen.Get("X-Request-Id") == "" {
		t.Errorf("the upstream saw %v", seen)
	}
}

// A trailer is merged into the header by some servers.
func TestTrustedFieldsInTrailers(t *testing.T) {
	var seen http.Header
	resp, body := raw(t, remoteGateway(t, seeing(&seen)), "POST /v1/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: Platform-Assertion, X_Forwarded_For, X-Sum\r\n\r\n1\r\nx\r\n0\r\nPlatform-Assertion: forged\r\nX_Forwarded_For: 6.6.6.6\r\nX-Sum: 7\r\n\r\n")
	if resp.StatusCode != http.StatusOK || seen["Platform-Assertion"] != nil || seen["X_forwarded_for"] != nil {
		t.Errorf("got %d %s, the upstream saw %v", resp.StatusCode, body, seen)
	}
}

// A status that net/http cannot send is the upstream's fault, not a panic.
func TestStatusThatIsNone(t *testing.T) {
	for _, status := range []string{"099", "000", "600", "999"} {
		log := &logs{}
		cfg := config()
		_, cfg.AssertionKey = keys()
		cfg.Logger = log.logger()
		cfg.Upstreams = []gateway.Upstream{remote("http://" + answering(t, "HTTP/1.1 "+status+" What\r\nContent-Length: 2\r\n\r\nhi"))}
		resp, body := raw(t, newGateway(t, cfg), "GET /v1/open HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, `"bad_gateway"`) || strings.Contains(log.String(), "panic") {
			t.Errorf("%s: %d %s %s", status, resp.StatusCode, body, log)
		}
	}
}

// What a parser behind the gateway could read in another way is refused.
func TestAmbiguousTargets(t *testing.T) {
	here := route("here", "GET", "/v1/here/{rest...}", platform.Public(), func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s?%s", r.PathValue("rest"), r.URL.RawQuery)
	})
	cfg := config()
	_, cfg.AssertionKey = keys()
	u := remote("http://a.test")
	u.Routes[0].Access = platform.Public()
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		resp := answer(r, http.StatusOK)
		resp.Body = io.NopCloser(strings.NewReader(r.URL.RequestURI()))
		return resp, nil
	})
	cfg.Upstreams = []gateway.Upstream{u}
	g := newGateway(t, cfg, here)
	for target, want := range map[string]string{
		"/v1/here/a/..;/x":          "ambiguous_path",
		"/v1/here/a/..;v=1/x":       "ambiguous_path",
		"/v1/here/a/.;/x":           "ambiguous_path",
		`/v1/here/a/..\x`:           "ambiguous_path",
		"/v1/here/a/..%5Cx":         "ambiguous_path",
		"/v1/here/a%5c..%5cx":       "ambiguous_path",
		"/v1/here/a/%2e%2e%3b/x":    "ambiguous_path",
		"/v1/remote/a%5Cx":          "/v1/remote/a%5Cx",
		"/v1/here/a;v=1/b..;x":      "a;v=1/b..;x?",
		"/v1/here/a%5Cx":            `a\x?`,
		"/v1/remote/a;v=1":          "/v1/remote/a;v=1",
		"/v1/remote/a?q=1;x=2":      "malformed_query",
		"/v1/here/a?q=1;x=2":        "malformed_query",
		"/v1/remote/a?q=%zz":        "malformed_query",
		"/v1/remote/a?q=%2":         "malformed_query",
		"/v1/remote/a?q=%":          "malformed_query",
		"/v1/remote/a?q=1%3B&a+%C3": "/v1/remote/a?q=1%3B&a+%C3",
		"/v1/here/a?q=%e2&&=":       "a?q=%e2&&=",
	} {
		resp, body := raw(t, g, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
		refused := want == "ambiguous_path" || want == "malformed_query"
		if refused && (resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, want)) || !refused && body != want {
			t.Errorf("%s: %d %s, want %s", target, resp.StatusCode, body, want)
		}
	}
}

// A body whose chunks are wrong is the caller's fault, wherever it is read.
func TestMalformedChunk(t *testing.T) {
	read := failing("read", "/v1/read", platform.Public(), func(_ http.ResponseWriter, r *http.Request) error {
		_, err := io.ReadAll(r.Body)
		return err
	})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Upstreams = []gateway.Upstream{remote(s.URL)}
	g := newGateway(t, cfg, read)
	for path, chunk := range map[string]string{"/v1/read": "zz\r\n", "/v1/open": "zz\r\n", "/v1/open?2": "1\r\nxyz\r\n", "/v1/open?3": "ffffffffffffffffff\r\n"} {
		resp, body := raw(t, g, "POST "+path+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"malformed_body"`) || !resp.Close {
			t.Errorf("%s %q: %d %s", path, chunk, resp.StatusCode, body)
		}
	}
}

// A caller whose body stops half way is told so, also where an upstream waits
// for it.
func TestLateBodyOfUpstream(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"as all": 0, "shorter": 5 * time.Second, "longer": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := remote("http://a.test")
				u.Timeout = timeout
				u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
					read := make(chan error)
					go func() {
						_, err := io.Copy(io.Discard, r.Body)
						read <- err
					}()
					select {
					case err := <-read:
						return nil, err
					case <-r.Context().Done(): // as a Transport does
						go func() { <-read }()
						return nil, r.Context().Err()
					}
				})
				cfg := config()
				_, cfg.AssertionKey = keys()
				cfg.Timeout, cfg.Upstreams = 10*time.Second, []gateway.Upstream{u}
				got, _ := exchange(t, newGateway(t, cfg), 0, time.Hour, "POST /v1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
				if !strings.Contains(got, "408 Request Timeout") || !strings.Contains(got, `"code":"body_timeout"`) {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

// A service that sheds load, or fails, is there: only what never answers, or
// breaks off, is left out.
func TestBreakerCountsNoAnswer(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504} {
		calls := 0
		u := remote("http://a.test")
		u.BreakAfter = 3
		u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			calls++
			return answer(r, status), nil
		})
		g := remoteGateway(t, u)
		for range 50 {
			if w := call(g, "GET", "/v1/open"); w.Code != status || w.Body.String() != "upstream" {
				t.Fatalf("%d: got %d %s", status, w.Code, w.Body)
			}
		}
	}
}

// An answer that breaks off counts like one that does not come.
func TestBreakerCountsAnswersThatBreakOff(t *testing.T) {
	broken := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	u := remote("http://" + broken)
	u.BreakAfter, u.BreakFor = 3, time.Hour
	log := &logs{}
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Logger, cfg.Upstreams = log.logger(), []gateway.Upstream{u}
	s := httptest.NewServer(newGateway(t, cfg))
	defer s.Close()
	for i := range 3 {
		if open := strings.Contains(log.String(), `"to":"open"`); open {
			t.Errorf("open after %d", i)
		}
		resp, err := s.Client().Get(s.URL + "/v1/open")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Error("the answer is whole")
		}
	}
	if !strings.Contains(log.String(), `"to":"open"`) {
		t.Errorf("the log says %s", log)
	}
}

// What Connection names is for the one connection, in both directions. (An
// answer with "Connection: close" is the exception: net/http's client takes the
// whole field away before anybody sees it.)
func TestHopByHopFields(t *testing.T) {
	var seen http.Header
	resp, _ := raw(t, remoteGateway(t, seeing(&seen)), "GET /v1/open HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nConnection: x-other\r\nX-Hop: 1\r\nX-Other: 1\r\nX-Kept: 1\r\n\r\n")
	if resp.StatusCode != http.StatusOK || seen["X-Hop"] != nil || seen["X-Other"] != nil || seen["Connection"] != nil || seen["X-Kept"] == nil {
		t.Errorf("got %d, the upstream saw %v", resp.StatusCode, seen)
	}
	u := remote("http://" + answering(t, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nhi"))
	resp, body := raw(t, remoteGateway(t, u), "GET /v1/open HTTP/1.1\r\nHost: x\r\n\r\n")
	if body != "hi" || resp.Header["X-Hop"] != nil || resp.Header["X-Kept"] == nil {
		t.Errorf("got %v %s", resp.Header, body)
	}
}
