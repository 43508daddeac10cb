package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/query"
)

// Gateway serves the operations of routers and upstreams. It is made by [New]
// and safe for concurrent use.
type Gateway struct {
	cfg     Config
	handler http.Handler
	proxies []*proxy
	streams streams
	live    *streamCounter
	plans   plans
	// requests is nil where there is no limit.
	requests *shareCounter
	health   atomic.Pointer[func(context.Context) platform.Health]
	needs    []any
	// operations counts what it serves.
	operations int
}

var (
	_ http.Handler            = (*Gateway)(nil)
	_ platform.Module         = (*Gateway)(nil)
	_ platform.HealthReporter = (*Gateway)(nil)
	_ platform.Stopper        = (*Gateway)(nil)
)

// New returns a gateway for the routes of routers and of cfg.Upstreams, and
// for its own: /livez, /readyz, /openapi.json and /docs, and with Authenticators
// /v1/usage, which collects what routers that are [platform.UsageReporter] and
// upstreams with a [UsageRoute] say. The error names each
// bad setting and each route that is refused: one without access or operation,
// with a pattern that is not valid, or that meets another one's; and each
// description that does not fit its routes.
func New(cfg Config, routers ...platform.Router) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	who, err := newChain(cfg.Authenticators, cfg.trustedOrigins())
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, streams: streams{open: make(map[*eventBody]struct{})}, live: newStreamCounter(), plans: newPlans(cfg.Limits)}
	sources, err := g.sources(routers, knownClient)
	if err != nil {
		return nil, err
	}
	g.needs = append(needsOf(cfg.Authenticators), cfg.Authorizer, cfg.Cache)
	for _, r := range routers {
		g.needs = append(g.needs, r)
	}
	var routes []platform.Route
	for _, s := range sources {
		routes = append(routes, s.routes...)
		g.operations += len(s.routes)
	}
	err = errors.Join(cfg.needs(routes), checkRoutes(sources, who.names()))
	if err != nil {
		return nil, err
	}
	document, err := describe(cfg, sources)
	if err != nil {
		return nil, err
	}
	g.system(sources[0], document)

	rt := newRouter()
	layers := g.layers(knownClient, who)
	for _, s := range sources {
		for _, r := range s.routes {
			err = errors.Join(err, rt.add(&endpoint{
				Route: r, base: cfg.BasePath, handler: layers.around(r, s),
			}))
		}
	}
	if err != nil {
		return nil, err
	}
	rt.separate()
	g.handler = wrap(rt,
		WriteTimeout(cfg.WriteTimeout), requestContext(cfg.NewID, ClientAddress(cfg.TrustedProxies...), ClientScheme(cfg.TrustedProxies...)), Recover(cfg.Logger), AccessLog(cfg.AccessLog, cfg.Now), SecurityHeaders(), g.cors(),
		BodyTimeout(cfg.Timeout))
	return g, nil
}

func (g *Gateway) cors() func(http.Handler) http.Handler {
	if g.cfg.CORS == nil {
		return func(next http.Handler) http.Handler { return next }
	}
	return AllowOrigins(*g.cfg.CORS)
}

// gatewayName is the name of the module, and of the source of its own routes.
const gatewayName = "gateway"

// source is where routes come from: a router, an upstream, or the gateway.
type source struct {
	name    string
	routes  []platform.Route
	openAPI []byte // nil where it does not describe its routes
	// queries are the parameters of the query by operation, of those that are
	// described.
	queries map[string][]query.Param
	proxy   *proxy // nil where it is in this process
	system  bool
}

func (g *Gateway) sources(routers []platform.Router, client clientFunc) ([]*source, error) {
	sources := []*source{{name: gatewayName, routes: systemRoutes(), openAPI: systemOpenAPI, system: true}}
	for i, r := range routers {
		if r == nil {
			return nil, fmt.Errorf("gateway: router %d is nil", i)
		}
		s := &source{name: r.Name(), routes: r.Routes()}
		if d, ok := r.(platform.Describer); ok {
			var err error
			if s.openAPI, err = d.OpenAPI(); err != nil {
				return nil, fmt.Errorf("gateway: the description of %s: %w", s.name, err)
			}
		}
		sources = append(sources, s)
	}
	for _, u := range g.cfg.Upstreams {
		u = u.withDefaults(g.cfg.Timeout)
		p, err := newProxy(u, g.cfg, client, &g.streams)
		if err != nil {
			return nil, err
		}
		g.proxies = append(g.proxies, p)
		s := &source{name: u.Name, openAPI: u.OpenAPI, proxy: p}
		for _, r := range u.Routes {
			r.Handler = p
			s.routes = append(s.routes, r)
		}
		sources = append(sources, s)
	}
	if len(g.cfg.Authenticators) > 0 { // or nobody is there to ask
		sources = append(sources, g.usage(routers))
	}
	return sources, nil
}

// layers are the middlewares that routes share.
type layers struct {
	cfg                       Config
	who                       *chain
	limit, byClient, byTenant func(http.Handler) http.Handler
	credentials, live         func(http.Handler) http.Handler
}

func (g *Gateway) layers(client clientFunc, who *chain) layers {
	limit := func(name string, rate Rate, byClient bool) func(http.Handler) http.Handler {
		return RateLimit(RateLimitConfig{
			Name: name, Rate: rate, Cache: g.cfg.Cache, ByClient: byClient,
			Client: client, Logger: g.cfg.Logger, Now: g.cfg.Now,
		})
	}
	byTenant := func(next http.Handler) http.Handler { return next }
	if g.cfg.RateLimit != NoLimit {
		g.requests = newShareCounter(g.cfg.Cache, g.cfg.Now, g.cfg.Logger)
		byTenant = tenantRateLimit(g.plans, g.requests, g.cfg.Logger)
	}
	return layers{
		cfg:      g.cfg,
		who:      who,
		byTenant: byTenant,
		live:     limitLive(g.plans, g.live, g.cfg.Logger),
		limit:    limit("default", g.cfg.RateLimit, false),
		byClient: limit("sign-in", g.cfg.SignInRateLimit, true),
		credentials: CredentialLimit(CredentialLimitConfig{
			Rate: g.cfg.CredentialRateLimit, Authenticators: g.cfg.Authenticators, Client: client, Now: g.cfg.Now,
		}),
	}
}

// around puts a route's handler behind what the route asks for.
func (l layers) around(r platform.Route, s *source) http.Handler {
	var chain []func(http.Handler) http.Handler
	log := l.cfg.Logger
	maxBody, within := r.MaxBody, l.cfg.Timeout
	if maxBody == 0 {
		maxBody = l.cfg.MaxBody
	}
	chain = append(chain, BodyLimit(maxBody, log))
	who := l.who.of(r)
	if r.Access.Public() {
		chain = append(chain, anonymous)
	}
	switch {
	case s.system && isProbe(r): // a probe that is refused looks like an outage
	case !r.Access.Public():
		chain = append(chain, l.credentials, who.authenticate(log), l.limit, l.byTenant)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		chain = append(chain, l.limit)
	default:
		chain = append(chain, l.byClient)
	}
	if !r.Access.Public() {
		chain = append(chain, admit(r, l.cfg.Authorizer, l.cfg.Now, log))
	}
	if s.proxy != nil {
		within = s.proxy.upstream.Timeout
	}
	if r.Live && !r.Access.Public() {
		chain = append(chain, l.live, who.reverify(liveCheck, log))
	}
	var checked func(context.Context, *http.Request) context.Context
	if s.proxy == nil {
		checked = checkedFor(r.Operation)
	}
	if !r.Stream {
		chain = append(chain, timeout(within, log, checked))
	}
	// Until here every body had Config.Timeout, whoever sends it.
	if r.Stream || within != l.cfg.Timeout {
		chain = append(chain, bodyTimeout(within, r.Stream))
	}
	declared, described := s.queries[r.Operation]
	if described {
		chain = append(chain, declaredQuery(declared))
	}
	if r.Cacheable && l.cfg.Cache != nil {
		chain = append(chain, Cache(CacheConfig{
			Store: l.cfg.Cache, Public: r.Access.Public(), Query: names(declared), Logger: log, Now: l.cfg.Now,
		}))
	}
	if s.proxy != nil && !r.Access.Public() {
		chain = append(chain, s.proxy.withAssertion(r))
	}
	if s.proxy == nil && r.Stream {
		chain = append(chain, authorized(r.Operation))
	}
	return wrap(r.Handler, chain...)
}

// ServeHTTP serves one request. The path must be without Config.BasePath:
// the host strips it, as with [http.StripPrefix].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// Name returns "gateway".
func (g *Gateway) Name() string { return gatewayName }

// Needs implements [platform.Dependent]: a service that the gateway serves must be
// started with it.
func (g *Gateway) Needs() []any { return g.needs }

// ReportHealth gives the gateway what /readyz answers. A gateway that is not
// a module of a platform, and so has no report, is always ready.
func (g *Gateway) ReportHealth(health func(context.Context) platform.Health) {
	g.health.Store(&health)
}

// EndStreams ends the streams of server-sent events that upstreams send, and
// each new one, so that their clients connect again elsewhere. It is for
// [http.Server.RegisterOnShutdown]: a server that stops waits for its requests,
// and these would go on. Streams of handlers in this process are theirs to end.
func (g *Gateway) EndStreams() { g.streams.end() }

// Stop ends the idle connections to upstreams. Requests are ended by whoever
// serves the gateway.
func (g *Gateway) Stop(context.Context) error {
	for _, p := range g.proxies {
		p.close()
	}
	return nil
}
