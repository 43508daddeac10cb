package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// discard is a writer without cost.
type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// void takes log lines, which are made as for a file.
type void struct{}

func (*void) Write(b []byte) (int, error) { return len(b), nil }

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func measure(b *testing.B, h http.Handler) {
	b.Helper()
	measureMethod(b, http.MethodGet, h)
}

func measureMethod(b *testing.B, method string, h http.Handler) {
	b.Helper()
	r := httptest.NewRequest(method, "/v1/things/1", nil)
	r.Header.Set("Authorization", "Bearer org_a.alice")
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// What the gateway costs beyond the mux that any server has. The verifier and
// the authorizer are those of the test: a few comparisons.
func BenchmarkRequest(b *testing.B) {
	newBench := func(log *slog.Logger, rate gateway.Rate) http.Handler {
		return newGateway(b, gateway.Config{
			Authenticators: gateway.Credentials(users{}), Authorizer: users{}, Cache: memory.NewCache(64 << 20), Logger: log, RateLimit: rate,
			Limits: plans(platform.Limits{RequestsPerMinute: 1 << 40}),
		}, route("things.get", "GET", "/v1/things/{id}", platform.Require("things.read"), noContent))
	}
	endless := gateway.Rate{Requests: 1 << 60, Period: time.Hour}
	b.Run("mux", func(b *testing.B) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/things/{id}", noContent)
		measure(b, mux)
	})
	b.Run("gateway", func(b *testing.B) { measure(b, newBench(nil, endless)) })
	b.Run("no limit", func(b *testing.B) { measure(b, newBench(nil, gateway.NoLimit)) })
	b.Run("access log", func(b *testing.B) {
		measure(b, newBench(slog.New(slog.NewJSONHandler(new(void), nil)), endless))
	})
}

func BenchmarkCacheHit(b *testing.B) {
	body := make([]byte, 1<<10)
	r := route("things.get", "GET", "/v1/things/{id}", platform.Require("things.read"),
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "private, max-age=3600")
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", `"1"`)
			_, _ = w.Write(body)
		})
	r.Cacheable = true
	cfg := config()
	cfg.RateLimit = gateway.Rate{Requests: 1 << 60, Period: time.Hour}
	cfg.Limits = plans(platform.Limits{RequestsPerMinute: 1 << 40})
	measure(b, newGateway(b, cfg, r))
}

// What forwarding costs without the network: choosing a replica, the signed
// assertion, and the headers.
func BenchmarkUpstream(b *testing.B) {
	u := remote("http://a.test", "http://b.test")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNoContent, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
	})
	u.Routes[0].Path = "/v1/things/{id}"
	cfg := config()
	cfg.RateLimit = gateway.Rate{Requests: 1 << 60, Period: time.Hour}
	cfg.Limits = plans(platform.Limits{RequestsPerMinute: 1 << 40})
	_, cfg.AssertionKey = keys()
	cfg.Upstreams = []gateway.Upstream{u}
	b.Run("read", func(b *testing.B) { measure(b, newGateway(b, cfg)) })
	// Its assertion is for one path and is made for each request.
	u.Routes[0].Method = http.MethodPut
	cfg.Upstreams = []gateway.Upstream{u}
	b.Run("write", func(b *testing.B) { measureMethod(b, http.MethodPut, newGateway(b, cfg)) })
}
