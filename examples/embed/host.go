package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// host is a service as it might have been before the platform came: it has a
// logger and routes. Of the platform it takes users and records.
type host struct {
	log      *slog.Logger
	platform *platform.Platform
	gateway  *gateway.Gateway
}

func newHost(ctx context.Context, issuer, file string, log *slog.Logger) (*host, error) {
	db, err := sqlite.New(file)
	if err != nil {
		return nil, err
	}
	cache := memory.NewCache(16 << 20)
	users, err := user.New(user.Config{
		DB: db, Issuer: issuer + "/api", Logger: log,
		// Its own: what the gateway keeps must not push out failed logins.
		Cache: memory.NewCache(16 << 20),
		// The host's own permission: members may greet, viewers may not.
		Roles: map[string][]string{"member": {"host.greetings.write"}, "admin": {"host.*"}},
	})
	if err != nil {
		return nil, err
	}
	documents, err := sqldocs.New(sqldocs.Config{DB: db})
	if err != nil {
		return nil, err
	}
	records, err := data.New(data.Config{Documents: documents, Logger: log, Limits: users.Limits(nil)})
	if err != nil {
		return nil, err
	}
	// What the services emit, a relay moves from the outbox to the stream.
	events, err := sqlevents.New(sqlevents.Config{DB: db, Logger: log, Exclusive: true})
	if err != nil {
		return nil, err
	}
	relay, err := outbox.New(outbox.Config{DB: db, Events: events, Logger: log})
	if err != nil {
		return nil, err
	}
	greet := &greetings{db: db, now: time.Now}
	gw, err := gateway.New(gateway.Config{
		Verifier: users, Authorizer: users, Cache: cache, Logger: log, BasePath: "/api", Title: "The host's API",
	}, users, records, greet)
	if err != nil {
		return nil, err
	}
	p, err := platform.New(platform.Config{Logger: log}, db, documents, events, relay, users, records, greet, gw)
	if err != nil {
		return nil, err
	}
	return &host{log: log, platform: p, gateway: gw}, nil
}

// serveMux mounts everything in the standard router.
func (h *host) serveMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.home)
	mux.Handle("/api/", http.StripPrefix("/api", h.gateway))
	return h.stamp(mux)
}

// chi mounts everything in chi.
func (h *host) chi() http.Handler {
	r := chi.NewRouter()
	r.Use(h.stamp)
	r.Get("/", h.home)
	r.Mount("/api", http.StripPrefix("/api", h.gateway))
	return r
}

// home is a route of the host that the platform knows nothing of.
func (h *host) home(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "This is the host. The platform is under /api, its description at /api/docs.")
}

// stamp is the host's middleware, around its own routes and the platform's.
func (h *host) stamp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "host")
		next.ServeHTTP(w, r)
	})
}
