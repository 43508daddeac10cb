package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// serveToGateway serves a service's operations to the gateway, which has checked
// credential, permission and limits. An operation that is not public is served
// only with the gateway's signature of who calls it: whoever reaches this port
// without it is nobody.
func (p *process) serveToGateway(service platform.Router) http.Handler {
	mux := http.NewServeMux()
	routes := service.Routes()
	if counted, ok := service.(gateway.UsageModule); ok {
		routes = append(slices.Clip(routes), gateway.UsageRoute(p.log, counted))
	}
	for _, r := range routes {
		h := open(r)
		if !r.Access.Public() {
			h = gateway.VerifyAssertion(gateway.VerifyAssertionConfig{
				Keys: p.assertionPublicKeys, Audience: service.Name(), Operation: r.Operation, Logger: p.log,
			})(r.Handler)
		}
		mux.Handle(r.Method+" "+r.Path, h)
	}
	health := &health{}
	p.add(health)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /readyz", health)
	return gateway.RequestID(nil)(gateway.Recover(p.log)(gateway.Client(p.trustedProxies...)(mux)))
}

// open serves a public operation, which needs no check of who calls.
func open(r platform.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Handler.ServeHTTP(w, req.WithContext(platform.WithAccess(req.Context(), r.Operation)))
	})
}

// health answers whether the process can serve, as the gateway does with its
// own /readyz.
type health struct {
	report func(context.Context) platform.Health
}

func (*health) Name() string { return "health" }

// ReportHealth is called before the process serves.
func (h *health) ReportHealth(report func(context.Context) platform.Health) { h.report = report }

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := h.report(r.Context())
	modules := make(map[string]string)
	for name, err := range found.Modules {
		modules[name] = "ok"
		if err != nil {
			modules[name] = "failed"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !found.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": found.Ready, "modules": modules})
}
