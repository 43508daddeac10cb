package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
	"github.com/acme/platform/internal/setting"
)

// MountConfig configures [Mount].
type MountConfig struct {
	// Authenticators read the credentials of requests, as in [Config]. Without
	// any, every route must be public.
	Authenticators []Authenticator
	// Authorizer is needed where a route requires a permission, unless every
	// authenticator is an [Assertion], whose gateway has asked.
	Authorizer Authorizer
	// TrustedOrigins are the other origins whose pages may make requests with
	// ambient credentials that change something.
	TrustedOrigins []string
	// MaxBody is the largest request body in bytes where a route sets none;
	// zero is 1 MiB.
	MaxBody int64
	// Logger takes faults; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// Mount returns a handler of the routers' operations for a host's own router: it
// authenticates, checks each route's access, bounds its body, and tells the
// handler that it did ([platform.WithAccess]). It has no rate limits, no cache, no
// timeouts and no routes of its own: those are the host's, or a [Gateway]'s. Live
// streams end with their credential, as behind a gateway. Paths are those of the
// routes; a host that mounts them below a prefix strips it.
//
// The error names each route that is refused: one without access, handler or
// operation, with a pattern that is not valid or that meets another one's, or that
// accepts an authenticator which is not there.
func Mount(cfg MountConfig, routers ...platform.Router) (http.Handler, error) {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	log := problem.Sampled(cfg.Logger)
	who, err := newChain(cfg.Authenticators, cfg.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	var sources []*source
	var routes []platform.Route
	for i, r := range routers {
		if r == nil {
			return nil, fmt.Errorf("gateway: router %d is nil", i)
		}
		s := &source{name: r.Name(), routes: r.Routes()}
		sources, routes = append(sources, s), append(routes, s.routes...)
	}
	if err := errors.Join(cfg.validate(who, routes), checkRoutes(sources, who.names())); err != nil {
		return nil, err
	}
	rt := newRouter()
	for _, r := range routes {
		err = errors.Join(err, rt.add(&endpoint{Route: r, handler: cfg.around(r, who.of(r), log)}))
	}
	if err != nil {
		return nil, err
	}
	return rt, nil
}

func (cfg MountConfig) validate(who *chain, routes []platform.Route) error {
	c := setting.For("gateway")
	c.Need(cfg.MaxBody > 0, "MaxBody", "must be positive")
	authorizes := cfg.Authorizer != nil || who.vouches()
	for _, r := range routes {
		c.Need(!r.Access.Declared() || r.Access.Public() || len(cfg.Authenticators) > 0, "Authenticators",
			"must be set, since "+r.Operation+" is not public")
		c.Need(r.Access.Permission() == "" || authorizes, "Authorizer", "must be set, since "+r.Operation+" requires a permission")
	}
	return c.Err()
}

// around puts a route's handler behind its checks.
func (cfg MountConfig) around(r platform.Route, who *chain, log *slog.Logger) http.Handler {
	maxBody := r.MaxBody
	if maxBody == 0 {
		maxBody = cfg.MaxBody
	}
	chain := []func(http.Handler) http.Handler{BodyLimit(maxBody, log)}
	if r.Access.Public() {
		chain = append(chain, anonymous)
	} else {
		chain = append(chain, who.authenticate(log), admit(r, cfg.Authorizer, cfg.Now, log))
		if r.Live {
			chain = append(chain, who.reverify(liveCheck, log))
		}
	}
	return wrap(r.Handler, append(chain, authorized(r.Operation))...)
}
