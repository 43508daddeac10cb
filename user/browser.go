package user

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/acme/platform"
)

type requestKey struct{}

// WithRequest returns a context that carries what a sign-in takes from the request
// it serves: the name of the device, the session cookie that the browser has, and
// whether it would keep one. The routes of this package call it; a host that calls
// [Service.LogIn] or [Service.Switch] from a handler of its own does so before.
func WithRequest(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf is the request that ctx carries, or nil.
func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// withRequest puts each request into its context.
func withRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(WithRequest(r.Context(), r)))
	})
}

// presentCookie is the session that the browser's cookie names, and the hash of
// its secret; ok says that there is one cookie that can be read.
func (s *Service) presentCookie(ctx context.Context) (session string, hash []byte, ok bool) {
	r := requestOf(ctx)
	if r == nil {
		return "", nil, false
	}
	all := r.CookiesNamed(s.cookieName)
	if len(all) != 1 {
		return "", nil, false
	}
	return cookieSession(all[0].Value)
}

// checkKind refuses a kind of session that is unknown, and a cookie that the
// browser would drop without a word: one that is set over plain HTTP, unless that
// is loopback.
func (s *Service) checkKind(ctx context.Context, kind SessionKind) error {
	switch kind {
	case "", TokenSession:
		return nil
	case CookieSession:
	default:
		return field("/session", "unknown", "token or cookie")
	}
	scheme, host := s.reachedBy(ctx)
	if scheme == "https" || isLoopback(host) && (!platform.ClientFrom(ctx).IsValid() || platform.ClientFrom(ctx).IsLoopback()) {
		return nil
	}
	return platform.Errorf(platform.KindInvalid, "insecure_origin",
		"browsers drop a session cookie that is set over plain HTTP, except on localhost: use https, or tokens; "+
			"behind a proxy that ends TLS, trust it and have it send X-Forwarded-Proto")
}

// reachedBy returns the scheme and the host by which the client reaches this
// installation. A page's own word comes first (Origin, where it is that of the host
// which it calls), then the edge's, then what is configured: a client that lies
// gets a cookie that its browser drops.
func (s *Service) reachedBy(ctx context.Context) (scheme, host string) {
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil { // New has checked it
		return "", ""
	}
	scheme, host = issuer.Scheme, issuer.Host
	r := requestOf(ctx)
	if r == nil {
		return scheme, host
	}
	host = r.Host
	if origin, err := url.Parse(r.Header.Get("Origin")); err == nil && origin.Host == r.Host && origin.Host != "" {
		return origin.Scheme, host
	}
	switch known := platform.SchemeFrom(ctx); {
	case r.TLS != nil:
		scheme = "https"
	case known != "":
		scheme = known
	}
	return scheme, host
}

// isLoopback reports whether browsers take the host for this machine (W3C Secure
// Contexts, section 3.1).
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// deviceName is a short name of the client for people who look at their devices:
// "Firefox on Linux", "curl". It is what the client says of itself and proves
// nothing. It is "" where that says nothing.
func deviceName(ctx context.Context) string {
	r := requestOf(ctx)
	if r == nil {
		return ""
	}
	return nameOfAgent(r.UserAgent())
}

// Browsers and systems by what their User-Agent holds. The order matters: most
// pretend to be one of those that come later.
var (
	agentBrowsers = [...][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	}
	agentSystems = [...][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
)

// maxAgentName bounds the name of a client that is no browser.
const maxAgentName = 40

func nameOfAgent(agent string) string {
	if strings.HasPrefix(agent, "Mozilla/") {
		browser, system := held(agent, agentBrowsers[:]), held(agent, agentSystems[:])
		switch {
		case browser != "" && system != "":
			return browser + " on " + system
		case browser != "":
			return browser
		}
		return system
	}
	// The first product (RFC 9110, section 10.1.5), as far as it is plain text.
	product := strings.IndexFunc(agent, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
	if product >= 0 {
		agent = agent[:product]
	}
	return agent[:min(len(agent), maxAgentName)]
}

func held(agent string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(agent, n[0]) {
			return n[1]
		}
	}
	return ""
}
