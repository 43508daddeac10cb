package gateway_test

import (
	"crypto/ed25519"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// things is a service in another process with an operation that reads and two
// that change. It keeps the last assertion of each.
type things struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	seen map[string]string // by operation
}

func thingsRoutes() []platform.Route {
	return []platform.Route{
		{Operation: "things.get", Method: "GET", Path: "/v1/things/{id}", Access: platform.Require("things.read")},
		{Operation: "things.delete", Method: "DELETE", Path: "/v1/things/{id}", Access: platform.Require("things.write")},
		{Operation: "things.replace", Method: "PUT", Path: "/v1/things/{id}", Access: platform.Require("things.write")},
	}
}

// newThings verifies what it gets with the keys that trusted returns at present.
func newThings(now func() time.Time, trusted func() []ed25519.PublicKey) *things {
	s := &things{mux: http.NewServeMux(), seen: make(map[string]string)}
	for _, r := range thingsRoutes() {
		s.mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) {
			s.mu.Lock()
			s.seen[r.Operation] = req.Header.Get("Platform-Assertion")
			s.mu.Unlock()
			gateway.VerifyAssertion(gateway.VerifyAssertionConfig{
				Keys: trusted(), Audience: "things", Operation: r.Operation, Now: now,
			})(http.HandlerFunc(who)).ServeHTTP(w, req)
		})
	}
	return s
}

// RoundTrip makes the service a transport.
func (s *things) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body) // parses the path again
	if err != nil {
		return nil, err
	}
	in.Header = r.Header
	s.mux.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (s *things) last(operation string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[operation]
}

func thingsGateway(t *testing.T, key ed25519.PrivateKey, s http.RoundTripper, change func(*gateway.Config)) *gateway.Gateway {
	t.Helper()
	cfg := config()
	cfg.AssertionKey = key
	cfg.RateLimit = gateway.NoLimit
	cfg.Upstreams = []gateway.Upstream{{
		Name: "things", URLs: []string{"http://a.test", "http://b.test"}, Routes: thingsRoutes(), Transport: s, BreakAfter: 2,
	}}
	change(&cfg)
	return newGateway(t, cfg)
}

// What a caller's assertion for one operation is, replayed at the service, is
// good for that operation only, and where it changes something for that path.
func TestAssertionBindsOperationAndPath(t *testing.T) {
	public, private := keys()
	clk := newClock()
	s := newThings(clk.Now, func() []ed25519.PublicKey { return []ed25519.PublicKey{public} })
	g := thingsGateway(t, private, s, func(cfg *gateway.Config) { cfg.Now = clk.Now })
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		if w := call(g, method, "/v1/things/1", alice); w.Code != 200 {
			t.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	tokens := make(map[string]string)
	for _, r := range thingsRoutes() {
		tokens[r.Operation] = s.last(r.Operation)
	}
	for _, c := range []struct {
		assertion, method, path string
		status                  int
	}{
		{"things.get", "GET", "/v1/things/1", 200},
		{"things.get", "HEAD", "/v1/things/1", 200},
		{"things.get", "GET", "/v1/things/2", 200}, // it could be read on its way as well
		{"things.get", "DELETE", "/v1/things/1", 401},
		{"things.get", "PUT", "/v1/things/1", 401},
		{"things.delete", "DELETE", "/v1/things/1", 200},
		{"things.delete", "DELETE", "/v1/things/2", 401},
		{"things.delete", "DELETE", "/v1/things/%31", 401},
		{"things.delete", "PUT", "/v1/things/1", 401},
		{"things.delete", "GET", "/v1/things/1", 401},
		{"things.replace", "DELETE", "/v1/things/1", 401},
	} {
		w := call(s.mux, c.method, c.path, "Platform-Assertion: "+tokens[c.assertion])
		if w.Code != c.status {
			t.Errorf("the assertion for %s at %s %s: %d %s", c.assertion, c.method, c.path, w.Code, w.Body)
		}
	}
	clk.Advance(11 * time.Second)
	if w := call(s.mux, "DELETE", "/v1/things/1", "Platform-Assertion: "+tokens["things.delete"]); w.Code != 401 {
		t.Errorf("11 s later: %d", w.Code)
	}
}

// However a path is written, gateway and service see the same one.
func TestAssertionTakesEveryPath(t *testing.T) {
	public, private := keys()
	h := gateway.VerifyAssertion(gateway.VerifyAssertionConfig{
		Keys: []ed25519.PublicKey{public}, Audience: "things", Operation: "things.delete", BasePath: "/inner",
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.EscapedPath()) }))
	service := httptest.NewServer(h)
	defer service.Close()
	g := thingsGateway(t, private, nil, func(cfg *gateway.Config) {
		cfg.Upstreams[0].URLs = []string{service.URL + "/inner"}
		cfg.BasePath = "/api"
	})
	front := httptest.NewServer(http.StripPrefix("/api", g))
	defer front.Close()
	for _, id := range []string{"1", "a%2Fb", "%41", "a%20b", "%C3%BC", "a;b=c", "a+b", "a@b:c", "%25", "a,b", "(a)", "a'b", "%7Ea", "~a", "a%3Fb", "!$&*=", "a%5Cb", "%5B1%5D"} {
		req, err := http.NewRequestWithContext(t.Context(), "DELETE", front.URL+"/api/v1/things/"+id+"?q=%20", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer org_a.alice")
		resp, err := front.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", id, resp.StatusCode, body)
		}
	}
}

// A service that does not believe the gateway is the gateway's failure: the
// caller, whose credential is good, sees no 401, and the log says why.
func TestRefusedAssertionIsTheGatewaysFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, private := keys()
		other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize))).Public().(ed25519.PublicKey)
		s := newThings(time.Now, func() []ed25519.PublicKey { return []ed25519.PublicKey{other} })
		var log logs
		g := thingsGateway(t, private, s, func(cfg *gateway.Config) { cfg.Logger = log.logger() })
		w := call(g, "DELETE", "/v1/things/1", alice)
		wantProblem(t, w, 502, "bad_gateway")
		if w.Header().Get("Platform-Assertion-Refused") != "" || w.Header().Get("WWW-Authenticate") != "" || strings.Contains(w.Body.String(), "unknown_key") {
			t.Errorf("the caller is told %v %s", w.Header(), w.Body)
		}
		if text := log.String(); !strings.Contains(text, `"level":"ERROR"`) || !strings.Contains(text, "things at") || !strings.Contains(text, "unknown_key") {
			t.Errorf("logged: %s", text)
		}
	})
}

// The 401 that a service gives the caller itself goes on as it is.
func TestOwnUnauthorizedGoesOn(t *testing.T) {
	_, private := keys()
	g := thingsGateway(t, private, tripper(func(r *http.Request) (*http.Response, error) { return answer(r, 401), nil }), func(*gateway.Config) {})
	if w := call(g, "GET", "/v1/things/1", alice); w.Code != 401 || w.Body.String() != "upstream" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// A replica that has the wrong keys is left out like one that does not answer.
// One that refuses single requests is not.
func TestReplicaThatDistrustsIsLeftOut(t *testing.T) {
	for reason, wants := range map[string]int{"unknown_key": 2, "bad_signature": 2, "not_valid_now": 2, "other_path": 10, "other_operation": 10} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, private := keys()
				asked := 0
				g := thingsGateway(t, private, tripper(func(r *http.Request) (*http.Response, error) {
					resp := answer(r, 200)
					if r.URL.Host == "b.test" {
						asked++
						resp.StatusCode = 401
						resp.Header.Set("Platform-Assertion-Refused", reason)
					}
					return resp, nil
				}), func(*gateway.Config) {})
				failed := 0
				for range 20 {
					if w := call(g, "GET", "/v1/things/1", alice); w.Code == 502 {
						failed++
					}
				}
				if asked != wants || failed != wants {
					t.Errorf("asked %d times, %d requests failed, want %d", asked, failed, wants)
				}
			})
		})
	}
}

// A key is replaced under load without a refused request: the service trusts
// the new one too, then the gateway signs with it, then the old one goes.
func TestKeyRotationRefusesNothing(t *testing.T) {
	public, private := keys()
	next := ed25519.NewKeyFromSeed([]byte(strings.Repeat("n", ed25519.SeedSize)))
	nextPublic := next.Public().(ed25519.PublicKey)
	var trusted atomic.Pointer[[]ed25519.PublicKey]
	trusted.Store(&[]ed25519.PublicKey{public})
	s := newThings(time.Now, func() []ed25519.PublicKey { return *trusted.Load() })
	unlimited := func(*gateway.Config) {}
	var current atomic.Pointer[gateway.Gateway]
	current.Store(thingsGateway(t, private, s, unlimited))
	second := thingsGateway(t, next, s, unlimited)

	var answered [4]chan struct{} // of each caller
	ending := make(chan struct{})
	var callers sync.WaitGroup
	for i := range answered {
		answered[i] = make(chan struct{})
		callers.Go(func() {
			for n := 0; ; n++ {
				method := []string{"GET", "DELETE", "PUT"}[(n+i)%3]
				if w := call(current.Load(), method, "/v1/things/1", alice); w.Code != 200 {
					t.Errorf("%s: %d %s", method, w.Code, w.Body)
				}
				select {
				case answered[i] <- struct{}{}:
				case <-ending:
					return
				}
			}
		})
	}
	more := func() {
		for range 25 {
			for _, one := range answered {
				<-one
			}
		}
	}
	more()
	trusted.Store(&[]ed25519.PublicKey{public, nextPublic})
	more()
	current.Store(second)
	more()
	// Each caller has gone on since, so the first gateway has nothing under way.
	trusted.Store(&[]ed25519.PublicKey{nextPublic})
	more()
	close(ending)
	callers.Wait()
	old := thingsGateway(t, private, s, unlimited)
	wantProblem(t, call(old, "GET", "/v1/things/1", alice), 502, "bad_gateway")
}
