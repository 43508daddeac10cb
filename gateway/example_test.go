package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// A host with users and routes of its own puts the gateway before them.
func Example() {
	gw, err := gateway.New(gateway.Config{
		Authenticators: gateway.Credentials(users{}), // in a platform: *user.Service
		Authorizer:     users{},
		Cache:          memory.NewCache(64 << 20),
		BasePath:       "/api",
	}, module{name: "things", routes: []platform.Route{{
		Operation: "things.get", Method: http.MethodGet, Path: "/v1/things/{id}",
		Access: platform.Require("things.read"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "thing %s", r.PathValue("id"))
		}),
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", gw))

	for _, token := range []string{"org_a.alice", ""} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/things/7", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// 200 text/plain; charset=utf-8
	// 401 application/problem+json
}
