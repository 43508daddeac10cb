package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/user"
)

// settings are what the host knows before the platform is there.
type settings struct {
	data, url string
	log       *slog.Logger
	people    *accounts // the host's own, for the one host that has some
}

// The four hosts below differ in their router. Each mounts the platform under
// /api beside a route and a middleware of its own.

// inServeMux is the standard library's router, with the accounts of package user.
func inServeMux(ctx context.Context, s settings) (http.Handler, *standard.Platform, error) {
	api, err := standard.Open(ctx, withUsers(s))
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	mux.Handle("/api/", http.StripPrefix("/api", api))
	return stamp(mux), api, nil
}

// inChi is chi, with the accounts of package user.
func inChi(ctx context.Context, s settings) (http.Handler, *standard.Platform, error) {
	api, err := standard.Open(ctx, withUsers(s))
	if err != nil {
		return nil, nil, err
	}
	r := chi.NewRouter()
	r.Use(stamp)
	r.Get("/", home)
	r.Mount("/api", http.StripPrefix("/api", api))
	return r, api, nil
}

// inGin is gin, with the accounts of package user.
func inGin(ctx context.Context, s settings) (http.Handler, *standard.Platform, error) {
	api, err := standard.Open(ctx, withUsers(s))
	if err != nil {
		return nil, nil, err
	}
	r := gin.New()
	r.GET("/", gin.WrapF(home))
	r.Any("/api/*path", gin.WrapH(http.StripPrefix("/api", api)))
	return stamp(r), api, nil
}

// inEcho is echo, with the host's own accounts.
func inEcho(ctx context.Context, s settings) (http.Handler, *standard.Platform, error) {
	api, err := standard.Open(ctx, withOwnAccounts(s))
	if err != nil {
		return nil, nil, err
	}
	e := echo.New()
	e.Use(echo.WrapMiddleware(stamp))
	e.GET("/", echo.WrapHandler(http.HandlerFunc(home)))
	e.Any("/api/*", echo.WrapHandler(http.StripPrefix("/api", api)))
	return e, api, nil
}

// withUsers is the platform with the accounts of package user.
func withUsers(s settings) standard.Config {
	return standard.Config{
		Data: s.data, PublicURL: s.url + "/api", Logger: s.log,
		Gateway: gateway.Config{BasePath: "/api", Title: "The host's API"},
		// The host's own permission: members may greet, viewers may not.
		Users:   user.Config{Roles: map[string][]string{"member": {"host.greetings.write"}, "admin": {"host.*"}}},
		Modules: ownModules,
	}
}

// withOwnAccounts is the platform with the host's people.
func withOwnAccounts(s settings) standard.Config {
	return standard.Config{
		Data: s.data, PublicURL: s.url + "/api", Logger: s.log, Accounts: s.people,
		Gateway: gateway.Config{BasePath: "/api", Title: "The host's API"},
		Modules: ownModules,
	}
}

// ownModules are the host's modules, over the platform's stores.
func ownModules(p standard.Parts) ([]platform.Module, error) {
	return []platform.Module{&greetings{db: p.DB, log: p.Logger, now: p.Now}}, nil
}

// home is a route of the host that the platform knows nothing of.
func home(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "This is the host. The platform is under /api, its description at /api/docs.")
}

// stamp is the host's middleware, around its own routes and the platform's.
func stamp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "host")
		next.ServeHTTP(w, r)
	})
}
