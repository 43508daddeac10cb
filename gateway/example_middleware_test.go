package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// A host that has users, routes and a router of its own takes one middleware
// and nothing else of the platform.
func ExampleRateLimit() {
	limit := gateway.RateLimit(gateway.RateLimitConfig{
		Name:  "search",
		Rate:  gateway.Rate{Requests: 2, Period: time.Minute},
		Cache: memory.NewCache(1 << 20),
	})
	mux := http.NewServeMux()
	mux.Handle("GET /search", limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "found")
	})))

	for range 3 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/search", nil))
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"), w.Header().Get("Content-Type"))
	}
	// Output:
	// 200 "search";q=2;w=60 text/plain; charset=utf-8
	// 200 "search";q=2;w=60 text/plain; charset=utf-8
	// 429 "search";q=2;w=60 application/problem+json
}
