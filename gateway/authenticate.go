package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
	"github.com/acme/platform/internal/setting"
)

// AuthenticateConfig configures [Authenticate] and [Reverify].
type AuthenticateConfig struct {
	// Authenticators are asked in order, explicit ones first; at least one.
	Authenticators []Authenticator
	// TrustedOrigins are the other origins whose pages may make requests with
	// ambient credentials that change something: "https://app.example.com".
	TrustedOrigins []string
	// Logger takes faults; nil is silence.
	Logger *slog.Logger
}

// Authenticate lets requests pass that carry a credential which an
// [Authenticator] accepts, and puts the principal into their context
// ([platform.CallerFrom]). Who sends two explicit credentials must send the same
// in both. Everything else is a problem of status 401, of 400 where the request
// contradicts itself, or of 403 where another site makes it with an ambient
// credential. How many bad credentials are verified is bounded by
// [CredentialLimit]. It panics where cfg is not valid.
func Authenticate(cfg AuthenticateConfig) func(http.Handler) http.Handler {
	return cfg.chain().authenticate(problem.Sampled(cfg.Logger))
}

func (cfg AuthenticateConfig) chain() *chain {
	c, err := newChain(cfg.Authenticators, cfg.TrustedOrigins)
	if err == nil && len(cfg.Authenticators) == 0 {
		err = errors.New("gateway: at least one Authenticator is needed")
	}
	if err != nil {
		panic(err.Error())
	}
	return c
}

// chain is authenticators in order.
type chain struct {
	explicit, ambient []link
	crossOrigin       *http.CrossOriginProtection
	// presented are the explicit ones that read different headers, of which a
	// request may use one.
	presented []Scheme
	// bound is whether an assertion is among them, whose absence is told to the
	// gateway that should have made it.
	bound bool
}

type link struct {
	Authenticator
	name string
	// vouched says that another gateway has checked level, permission and age.
	vouched bool
}

// newChain checks the authenticators and the origins.
func newChain(all []Authenticator, trusted []string) (*chain, error) {
	check := setting.For("gateway")
	c := &chain{crossOrigin: http.NewCrossOriginProtection()}
	for _, origin := range trusted {
		if err := c.crossOrigin.AddTrustedOrigin(origin); err != nil {
			check.Need(false, "TrustedOrigins", `must hold origins such as "https://app.example.com"`)
		}
	}
	seen := make(map[string]bool)
	for _, a := range all {
		if a == nil {
			check.Need(false, "Authenticators", "must not hold nil")
			continue
		}
		s := a.Scheme()
		s.Header = textproto.CanonicalMIMEHeaderKey(s.Header)
		check.Need(saneRequestID(s.Name), "Authenticators", "must have names of letters, digits, '_' and '-'")
		check.Need(!seen[s.Name], "Authenticators", fmt.Sprintf("must have different names, and %q comes twice", s.Name))
		seen[s.Name] = true
		_, vouched := a.(*assertionAuthenticator)
		c.bound = c.bound || vouched
		l := link{Authenticator: a, name: s.Name, vouched: vouched}
		if s.Ambient {
			c.ambient = append(c.ambient, l)
			continue
		}
		c.explicit = append(c.explicit, l)
		if s.Header != "" && !slices.ContainsFunc(c.presented, func(o Scheme) bool { return o.Header == s.Header }) {
			c.presented = append(c.presented, s)
		}
	}
	return c, check.Err()
}

// of returns the chain for a route: what it accepts, bound to its operation.
func (c *chain) of(r platform.Route) *chain {
	only := *c
	only.bound = false
	pick := func(all []link) (picked []link) {
		for _, l := range all {
			if r.Accept != nil && !slices.Contains(r.Accept, l.name) {
				continue
			}
			if a, ok := l.Authenticator.(*assertionAuthenticator); ok {
				l.Authenticator, only.bound = a.bind(r.Operation), true
			}
			picked = append(picked, l)
		}
		return picked
	}
	only.explicit, only.ambient = pick(c.explicit), pick(c.ambient)
	return &only
}

// needsOf are what the authenticators ask, which may be modules.
func needsOf(all []Authenticator) (needs []any) {
	for _, a := range all {
		if n, ok := a.(interface{ Needs() []any }); ok {
			needs = append(needs, n.Needs()...)
		}
	}
	return needs
}

// vouches reports whether another gateway has checked every request.
func (c *chain) vouches() bool {
	all := slices.Concat(c.explicit, c.ambient)
	return len(all) > 0 && !slices.ContainsFunc(all, func(l link) bool { return !l.vouched })
}

// names are those of all authenticators, in order.
func (c *chain) names() []string {
	var names []string
	for _, l := range slices.Concat(c.explicit, c.ambient) {
		names = append(names, l.name)
	}
	return names
}

// caller returns who makes the request, and whether another gateway has checked
// what it may do.
func (c *chain) caller(r *http.Request) (p platform.Principal, vouched bool, err error) {
	if c.contradicts(r.Header) {
		return p, false, ambiguous()
	}
	for i := range c.explicit {
		if p, ok, err := c.explicit[i].Authenticate(r); ok || err != nil {
			return p, c.explicit[i].vouched, c.explicit[i].trust(p, err)
		}
	}
	for i := range c.ambient {
		p, ok, err := c.ambient[i].Authenticate(r)
		if !ok && err == nil {
			continue
		}
		if err = c.ambient[i].trust(p, err); err == nil && c.crossOrigin.Check(r) != nil {
			err = platform.Errorf(platform.KindForbidden, "cross_origin", "a page of another site may not make this request with the credential of this one")
		}
		return p, false, err
	}
	switch {
	case c.bound:
		return p, false, &badAssertionError{refusedMissing}
	case len(r.Header[headerAuthorization]) > 0:
		return p, false, errBearer()
	}
	return p, false, unauthenticated("this operation needs a credential")
}

// trust returns the error of an authenticator, or that it makes up a principal
// which no request has.
func (l *link) trust(p platform.Principal, err error) error {
	if err == nil && p.Kind == platform.PrincipalSystem {
		return platform.Errorf(platform.KindInternal, "", "the authenticator %s returned a principal of the kind system", l.name)
	}
	return err
}

// contradicts reports whether a header comes twice, or two explicit credentials
// differ.
func (c *chain) contradicts(h http.Header) bool {
	first, found := "", false
	for i := range c.presented {
		values := h[c.presented[i].Header]
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 {
			return true
		}
		text := values[0]
		if c.presented[i].Header == headerAuthorization {
			token, isBearer := bearerToken(text)
			if !isBearer && c.presented[i].Name == "bearer" {
				continue // it is for somebody before the gateway
			}
			text = token
		}
		if found && text != first {
			return true
		}
		first, found = text, true
	}
	return false
}

// authenticate is the middleware.
func (c *chain) authenticate(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, vouched, err := c.caller(r)
			if err != nil {
				refuse(w, r, log, err)
				return
			}
			tellPrincipal(w, p)
			ctx := platform.WithPrincipal(r.Context(), p)
			if vouched {
				ctx = withVouched(ctx)
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// refuse answers a request that nobody is let in with.
func refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	var a *badAssertionError
	if errors.As(err, &a) {
		w.Header().Set(refusedHeader, string(a.why))
		err = a.problem()
	}
	platform.WriteProblem(w, r, log, err)
}

// anonymous takes the principal of a host off requests to public operations,
// which are everybody's.
func anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := platform.CallerFrom(r.Context()); err == nil {
			r = r.WithContext(platform.WithPrincipal(r.Context(), platform.Principal{}))
		}
		next.ServeHTTP(w, r)
	})
}
