package gateway

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
)

// Verifier turns a credential, an access token or an API key, into the caller
// it names. The error is of [platform.KindUnauthenticated] where the
// credential is not valid. It must be safe for concurrent use, and fast for
// credentials it has seen.
type Verifier interface {
	Verify(ctx context.Context, credential string) (platform.Principal, error)
}

// Authorizer decides whether a principal may use a permission such as
// "data.records.write": nil is yes, [platform.ErrForbidden] no. It must be
// safe for concurrent use.
type Authorizer interface {
	Authorize(ctx context.Context, p platform.Principal, permission string) error
}

// Refusals is an [Authorizer] that is told when a principal was refused (status
// 403) an operation that changes something, or one of the level operator: by the
// operation's access, or by its handler. It must return at once and be safe for
// concurrent use.
type Refusals interface {
	Refused(ctx context.Context, p platform.Principal, operation string)
}

// Config configures a [Gateway].
type Config struct {
	// Authenticators read the credentials of requests, in order; explicit ones
	// come before ambient ones. [Credentials] is the usual list. Without any,
	// every route must be public.
	Authenticators []Authenticator
	// Authorizer is needed where a route requires a permission.
	Authorizer Authorizer
	// Cache holds the counters of the rate limits and the answers of
	// cacheable routes; replicas that share it share both. It is needed
	// unless both limits are NoLimit; without it nothing is cached.
	Cache store.Cache
	// Logger takes faults and refusals; nil is silence.
	Logger *slog.Logger
	// AccessLog takes one line for each request; nil is Logger, and
	// slog.New(slog.DiscardHandler) is none.
	AccessLog *slog.Logger

	// RateLimit is for each principal of each tenant, and for each client
	// address on public routes. Zero is 6,000 a minute; [NoLimit] is none.
	RateLimit Rate
	// Limits tells what a tenant may do: RequestsPerMinute of all principals
	// of its share, beside RateLimit, and Streams. Nil is the default for
	// every tenant. Where RateLimit is NoLimit, so is RequestsPerMinute.
	Limits platform.LimitsFunc
	// SignInRateLimit is for each client address, and for the public routes
	// that change something: sign-up, login, refresh. So it slows down who
	// tries passwords. Zero is 60 a minute; [NoLimit] is none.
	SignInRateLimit Rate
	// CredentialRateLimit is for each client address, and for credentials that
	// are not valid: beyond it, only those that were accepted before are
	// verified; see [CredentialLimit]. Zero is 300 a minute; [NoLimit] is none.
	CredentialRateLimit Rate
	// TrustedProxies are the networks of the proxies whose X-Forwarded-For
	// is believed. Each of them must add the address it sees at the end of
	// that header. Without any, the client is whoever connected.
	TrustedProxies []netip.Prefix

	// CORS lets pages of other origins call; nil lets none. Origins that may
	// send Credentials may also make requests with ambient credentials.
	CORS *CORS
	// Timeout bounds an operation that is no stream, and how long a request
	// body may take to arrive; of a stream's, each part. Zero is 30 s.
	Timeout time.Duration
	// WriteTimeout is how long a client may take to read each 64 KiB of an
	// answer, and each event of a stream, before it is cut off: see
	// [WriteTimeout]. Zero is 30 s.
	WriteTimeout time.Duration
	// MaxBody is the largest request body in bytes where a route sets none;
	// zero is 1 MiB.
	MaxBody int64

	// BasePath is the path under which the host mounts the gateway and that
	// it strips, such as "/api"; empty for the root. Location headers and
	// the server in the OpenAPI document carry it.
	BasePath string
	// Title and Version head the OpenAPI document; empty is "API" and "1".
	Title, Version string

	// Upstreams are services in other processes.
	Upstreams []Upstream
	// AssertionKey signs the principal for upstreams; see [VerifyAssertion],
	// which takes several keys, so that this one can be replaced. It is needed
	// where a route of an upstream is not public.
	AssertionKey ed25519.PrivateKey

	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// NewID makes request ids; nil is [platform.NewID].
	NewID func(prefix string) string
}

// withDefaults returns a filled copy.
func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.AccessLog == nil {
		cfg.AccessLog = cfg.Logger
	}
	cfg.Logger = problem.Sampled(cfg.Logger)
	if cfg.RateLimit == (Rate{}) {
		cfg.RateLimit = Rate{Requests: 6000, Period: time.Minute}
	}
	if cfg.SignInRateLimit == (Rate{}) {
		cfg.SignInRateLimit = Rate{Requests: 60, Period: time.Minute}
	}
	if cfg.CredentialRateLimit == (Rate{}) {
		cfg.CredentialRateLimit = Rate{Requests: 300, Period: time.Minute}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Title == "" {
		cfg.Title = "API"
	}
	if cfg.Version == "" {
		cfg.Version = "1"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	return cfg
}

// validate checks what does not depend on the routes.
func (cfg Config) validate() error {
	c := setting.For("gateway")
	c.Need(cfg.RateLimit.valid(), "RateLimit", "must be a number of requests in a period of at least a millisecond, or NoLimit")
	c.Need(cfg.SignInRateLimit.valid(), "SignInRateLimit", "must be a number of requests in a period of at least a millisecond, or NoLimit")
	c.Need(cfg.CredentialRateLimit.valid(), "CredentialRateLimit", "must be a number of requests in a period of at least a millisecond, or NoLimit")
	c.Need(cfg.Cache != nil || cfg.RateLimit == NoLimit && cfg.SignInRateLimit == NoLimit, "Cache",
		"must be set for the rate limits, or both must be NoLimit")
	c.Need(cfg.Timeout > 0, "Timeout", "must be positive")
	c.Need(cfg.WriteTimeout > 0, "WriteTimeout", "must be positive")
	c.Need(cfg.MaxBody > 0, "MaxBody", "must be positive")
	c.Need(validBasePath(cfg.BasePath), "BasePath", `must be empty or a path such as "/api", without a slash at the end`)
	c.Need(cfg.AssertionKey == nil || len(cfg.AssertionKey) == ed25519.PrivateKeySize, "AssertionKey", "must be an Ed25519 private key")
	for _, p := range cfg.TrustedProxies {
		c.Need(p.IsValid(), "TrustedProxies", "must hold valid prefixes")
	}
	if cfg.CORS != nil {
		cfg.CORS.check(c)
	}
	seen := make(map[string]bool)
	for _, u := range cfg.Upstreams {
		c.Need(!seen[u.Name], "Upstreams", "must have different names")
		seen[u.Name] = true
		u.check(c, cfg.AssertionKey != nil)
	}
	return c.Err()
}

func validBasePath(p string) bool {
	if p == "" {
		return true
	}
	u, err := url.Parse(p)
	return err == nil && u.Path == p && p[0] == '/' && !strings.HasSuffix(p, "/") && !strings.Contains(p, "//")
}

// needs checks that what the routes ask for is there.
func (cfg Config) needs(routes []platform.Route) error {
	c := setting.For("gateway")
	for _, r := range routes {
		if r.Access.Declared() && !r.Access.Public() {
			c.Need(len(cfg.Authenticators) > 0, "Authenticators", "must be set, since not every route is public: gateway.Credentials(users) for a user.Service")
			break
		}
	}
	for _, r := range routes {
		if r.Access.Permission() != "" {
			c.Need(cfg.Authorizer != nil, "Authorizer", "must be set, since routes require permissions")
			break
		}
	}
	return c.Err()
}

// trustedOrigins are those that may make requests with ambient credentials.
func (cfg Config) trustedOrigins() []string {
	if cfg.CORS == nil || !cfg.CORS.Credentials {
		return nil
	}
	return cfg.CORS.Origins
}

// wrap puts h behind the middlewares, of which the first is the outermost.
func wrap(h http.Handler, middlewares ...func(http.Handler) http.Handler) http.Handler {
	for i := len(middlewares) - 1; i >= 0; i-- {
		h = middlewares[i](h)
	}
	return h
}
