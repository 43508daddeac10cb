package gateway

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

//go:embed usage.json
var usageOpenAPI []byte

const (
	opUsage   = "usage.get"
	usagePath = "/v1/usage"
	// usageTimeout bounds the wait for one part of the answer.
	usageTimeout = 3 * time.Second
	// usageMost bounds the answer of an upstream, in bytes.
	usageMost = 64 << 10
)

// UsageModule is a module that counts what tenants use.
type UsageModule interface {
	platform.Module
	platform.UsageReporter
}

// UsageRoute returns the operation usage.get, GET /v1/usage, of a service in a
// process of its own: a gateway asks it for what a tenant has used there, and
// puts that together with what it knows itself. It goes behind
// [VerifyAssertion] with its Operation. A nil logger is silence.
func UsageRoute(log *slog.Logger, modules ...UsageModule) platform.Route {
	h := &usageHandler{log: problem.Sampled(log)}
	for _, m := range modules {
		h.parts = append(h.parts, usagePart{m.Name(), reported(m)})
	}
	return usageRoute(h)
}

func usageRoute(h *usageHandler) platform.Route {
	return platform.Route{
		Operation: opUsage, Method: http.MethodGet, Path: usagePath, Access: platform.Authenticated(), Handler: h,
	}
}

// usageWire is how much of one limit is used.
type usageWire struct {
	Name     string     `json:"name"`
	Used     int64      `json:"used"`
	Limit    *int64     `json:"limit"` // null is none
	ResetsAt *time.Time `json:"resets_at,omitempty"`
}

type usageAnswer struct {
	Data        []usageWire `json:"data"`
	Unavailable []string    `json:"unavailable"`
}

func wireUsage(u platform.Usage) usageWire {
	w := usageWire{Name: u.Name, Used: u.Used}
	if u.Limit >= 0 {
		w.Limit = &u.Limit
	}
	if !u.Resets.IsZero() {
		at := u.Resets.UTC()
		w.ResetsAt = &at
	}
	return w
}

// usagePart is where a part of the answer comes from. What ask returns beside
// an error is left out.
type usagePart struct {
	name string
	ask  func(context.Context, platform.Principal) (usageAnswer, error)
}

func reported(r platform.UsageReporter) func(context.Context, platform.Principal) (usageAnswer, error) {
	return func(ctx context.Context, p platform.Principal) (usageAnswer, error) {
		used, err := r.Usage(ctx, p.Tenant)
		var a usageAnswer
		for _, u := range used {
			a.Data = append(a.Data, wireUsage(u))
		}
		return a, err
	}
}

type usageHandler struct {
	parts []usagePart
	log   *slog.Logger
}

func (h *usageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := platform.PrincipalFrom(r.Context())
	if err == nil {
		err = platform.CheckAccess(r.Context(), opUsage)
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(h.collect(r.Context(), p))
	}
	if err != nil {
		platform.WriteProblem(w, r, h.log, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

// collect asks all parts at once. One that fails or is late is named.
func (h *usageHandler) collect(ctx context.Context, p platform.Principal) usageAnswer {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	answers, errs := make([]usageAnswer, len(h.parts)), make([]error, len(h.parts))
	var asked sync.WaitGroup
	for i, part := range h.parts {
		asked.Go(func() { answers[i], errs[i] = part.ask(ctx, p) })
	}
	asked.Wait()
	all := usageAnswer{Data: []usageWire{}, Unavailable: []string{}}
	for i, a := range answers {
		if errs[i] != nil {
			if h.log != nil {
				h.log.WarnContext(ctx, "what a tenant has used is not known", slog.String("part", h.parts[i].name), slog.Any("error", errs[i]))
			}
			all.Unavailable = append(all.Unavailable, h.parts[i].name)
			continue
		}
		all.Data = append(all.Data, a.Data...)
		all.Unavailable = append(all.Unavailable, a.Unavailable...)
	}
	// Of a limit that two count, such as streams, the one who saw more tells.
	slices.SortFunc(all.Data, func(a, b usageWire) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(b.Used, a.Used))
	})
	all.Data = slices.CompactFunc(all.Data, func(a, b usageWire) bool { return a.Name == b.Name })
	slices.Sort(all.Unavailable)
	all.Unavailable = slices.Compact(all.Unavailable)
	return all
}

// usage is the source of the gateway's own operation usage.get.
func (g *Gateway) usage(routers []platform.Router) *source {
	h := &usageHandler{log: g.cfg.Logger, parts: []usagePart{{"gateway", g.ownUsage}}}
	for _, r := range routers {
		if u, ok := r.(platform.UsageReporter); ok {
			h.parts = append(h.parts, usagePart{r.Name(), reported(u)})
		}
	}
	for _, p := range g.proxies {
		if p.upstream.Usage {
			h.parts = append(h.parts, usagePart{p.upstream.Name, p.usage})
		}
	}
	return &source{name: gatewayName, routes: []platform.Route{usageRoute(h)}, openAPI: usageOpenAPI}
}

// ownUsage is what this process counts.
func (g *Gateway) ownUsage(ctx context.Context, p platform.Principal) (usageAnswer, error) {
	b, err := g.plans.bounds(ctx, p)
	if err != nil {
		return usageAnswer{}, err
	}
	a := usageAnswer{Data: []usageWire{wireUsage(platform.Usage{
		Name: limitStreams, Used: g.live.used(b.share), Limit: b.streams,
	})}}
	if g.requests != nil && b.requests >= 0 {
		used, resets := g.requests.used(b.share)
		a.Data = append(a.Data, wireUsage(platform.Usage{Name: limitRequests, Used: used, Limit: b.requests, Resets: resets}))
	}
	return a, nil
}

// usage asks the upstream for what the tenant has used there.
func (p *proxy) usage(ctx context.Context, who platform.Principal) (usageAnswer, error) {
	token, err := p.signer.sign(who, opUsage, "")
	if err != nil {
		return usageAnswer{}, err
	}
	ctx = context.WithValue(ctx, exchangeKey{}, &exchange{})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, usagePath, nil)
	if err != nil {
		return usageAnswer{}, fmt.Errorf("gateway: %w", err)
	}
	r.Header[assertionHeader] = []string{token}
	r.Header[headerRequestID] = []string{platform.RequestIDFrom(ctx)}
	resp, err := p.balance.RoundTrip(r)
	if err != nil {
		return usageAnswer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return usageAnswer{}, fmt.Errorf("gateway: %s answered %d to %s", p.upstream.Name, resp.StatusCode, opUsage)
	}
	var a usageAnswer
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, usageMost)).Decode(&a); err != nil {
		return usageAnswer{}, fmt.Errorf("gateway: the usage of %s: %w", p.upstream.Name, err)
	}
	return a, nil
}
