package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/acme/platform"
)

// Authenticator reads one sort of credential from a request. A [Config] has a
// chain of them: bearer tokens, API keys, a cookie, the host's own sign-in. It
// must be safe for concurrent use, and fast for credentials it has seen.
type Authenticator interface {
	// Scheme says what it reads. It is asked once.
	Scheme() Scheme
	// Authenticate returns who makes the request; or false where the request
	// has no credential of this sort, so that the next one is asked; or an
	// error, which refuses the request: of [platform.KindUnauthenticated] for a
	// credential that is not valid. It must not write to r. It never returns a
	// principal of the kind [platform.PrincipalSystem]: that is refused and logged.
	//
	// While a live stream is open it is asked again every few seconds, with the
	// request that began the stream.
	Authenticate(r *http.Request) (platform.Principal, bool, error)
}

// Scheme describes what an [Authenticator] reads.
type Scheme struct {
	// Name is unique in its chain, of letters, digits, '_' and '-'.
	// [platform.Route].Accept and the OpenAPI document use it.
	Name string
	// Header and Cookie name where the credential is, for the OpenAPI document
	// and for [CredentialLimit]; empty is elsewhere.
	Header, Cookie string
	// Ambient says that browsers send the credential by themselves, as they do
	// cookies, whichever site makes the request. Explicit credentials win over
	// ambient ones, and requests with an ambient one that may change something
	// are refused where another site makes them ([http.CrossOriginProtection]).
	Ambient bool
}

// NewAuthenticator makes an [Authenticator] of a function. It panics on a nil
// function; [New] and [Mount] check the scheme.
func NewAuthenticator(s Scheme, f func(*http.Request) (platform.Principal, bool, error)) Authenticator {
	if f == nil {
		panic("gateway: NewAuthenticator needs a function")
	}
	return funcAuthenticator{s, f}
}

type funcAuthenticator struct {
	scheme Scheme
	f      func(*http.Request) (platform.Principal, bool, error)
}

func (a funcAuthenticator) Scheme() Scheme { return a.scheme }

func (a funcAuthenticator) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	return a.f(r)
}

// Credentials returns the usual chain for a [Verifier] such as user.Service:
// [Bearer], then [APIKey].
func Credentials(v Verifier) []Authenticator { return []Authenticator{Bearer(v), APIKey(v)} }

const (
	headerAuthorization = "Authorization"
	headerAPIKey        = "X-Api-Key" //nolint:gosec // the name of a header
	headerCookie        = "Cookie"
	// maxCredential bounds what is handed to a Verifier, in bytes.
	maxCredential = 8 << 10
)

// Bearer reads "Authorization: Bearer" (RFC 6750), whose credential v verifies:
// an access token, or an API key. Its name is "bearer". It panics on a nil
// Verifier.
func Bearer(v Verifier) Authenticator {
	if v == nil {
		panic("gateway: Bearer needs a Verifier")
	}
	return bearer{v}
}

type bearer struct{ v Verifier }

func (bearer) Scheme() Scheme { return Scheme{Name: "bearer", Header: headerAuthorization} }

// Needs names the Verifier, which may be a module.
func (a bearer) Needs() []any { return []any{a.v} }

func (a bearer) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	values := r.Header[headerAuthorization]
	if len(values) == 0 {
		return platform.Principal{}, false, nil
	}
	token, ok := bearerToken(values[0])
	if !ok {
		return platform.Principal{}, false, nil
	}
	if !validCredential(token) {
		return platform.Principal{}, false, errBearer()
	}
	return verified(r.Context(), a.v, token)
}

// bearerToken takes the token out of an Authorization header of that scheme.
func bearerToken(value string) (string, bool) {
	scheme, rest, _ := strings.Cut(value, " ")
	return strings.TrimLeft(rest, " "), strings.EqualFold(scheme, "Bearer")
}

// APIKey reads the header X-API-Key, whose credential v verifies. Its name is
// "apiKey". It panics on a nil Verifier.
func APIKey(v Verifier) Authenticator {
	if v == nil {
		panic("gateway: APIKey needs a Verifier")
	}
	return apiKey{v}
}

type apiKey struct{ v Verifier }

func (apiKey) Scheme() Scheme { return Scheme{Name: "apiKey", Header: headerAPIKey} }

// Needs names the Verifier, which may be a module.
func (a apiKey) Needs() []any { return []any{a.v} }

func (a apiKey) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	values := r.Header[headerAPIKey]
	if len(values) == 0 {
		return platform.Principal{}, false, nil
	}
	if !validCredential(values[0]) {
		return platform.Principal{}, false, unauthenticated("the X-API-Key header does not hold a key")
	}
	return verified(r.Context(), a.v, values[0])
}

// CookieVerifier verifies the value of one cookie, such as user.Service.Cookie. It
// is a [Verifier] of its own, so that what is sent as a cookie is never taken for
// a token, nor a token for a cookie.
type CookieVerifier interface {
	Verifier
	// CookieName is the name of the cookie.
	CookieName() string
}

// Cookie reads a session cookie, whose value v verifies. Its name is "cookie".
// It is ambient: it comes after bearer tokens and API keys, and requests of other
// sites that may change something are refused. It panics on a nil CookieVerifier.
func Cookie(v CookieVerifier) Authenticator {
	if v == nil {
		panic("gateway: Cookie needs a CookieVerifier")
	}
	return cookie{v, v.CookieName()}
}

type cookie struct {
	v    CookieVerifier
	name string
}

func (a cookie) Scheme() Scheme { return Scheme{Name: "cookie", Cookie: a.name, Ambient: true} }

// Needs names the CookieVerifier, which may be a part of a module.
func (a cookie) Needs() []any { return []any{a.v} }

func (a cookie) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	if r.Header[headerCookie] == nil {
		return platform.Principal{}, false, nil
	}
	switch all := r.CookiesNamed(a.name); {
	case len(all) == 0:
		return platform.Principal{}, false, nil
	case len(all) > 1: // no browser keeps two of a name that begins with __Host-
		return platform.Principal{}, false, ambiguous()
	case !validCredential(all[0].Value):
		return platform.Principal{}, false, unauthenticated("the session cookie is not valid")
	default:
		return verified(r.Context(), a.v, all[0].Value)
	}
}

func verified(ctx context.Context, v Verifier, credential string) (platform.Principal, bool, error) {
	p, err := v.Verify(ctx, credential)
	return p, err == nil, err
}

// HostPrincipal takes the principal that the host has put into the request's
// context ([platform.WithPrincipal]): the host's own sign-in stands before the
// gateway. Its name is "host". It is ambient, since a host's sign-in is a cookie
// as a rule.
type HostPrincipal struct {
	// Explicit says that the host's sign-in is not ambient: that it reads a
	// credential which no browser sends by itself.
	Explicit bool
	// Header and Cookie name where the host's credential is, for the OpenAPI
	// document and for [CredentialLimit]; empty leaves it out.
	Header, Cookie string
	// Check, where it is not nil, returns an error of
	// [platform.KindUnauthenticated] once the session behind the principal has
	// ended. It is asked at the beginning of a request and every few seconds
	// while a live stream is open; without it a stream goes on until it ends by
	// itself.
	Check func(context.Context, platform.Principal) error
}

// Scheme implements [Authenticator].
func (h HostPrincipal) Scheme() Scheme {
	return Scheme{Name: "host", Header: h.Header, Cookie: h.Cookie, Ambient: !h.Explicit}
}

// Authenticate implements [Authenticator].
func (h HostPrincipal) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	p, err := platform.CallerFrom(r.Context())
	if err != nil {
		return platform.Principal{}, false, nil //nolint:nilerr // the host has not signed anybody in
	}
	if h.Check != nil {
		if err := h.Check(r.Context(), p); err != nil {
			return platform.Principal{}, false, err
		}
	}
	return p, true, nil
}

// validCredential checks the characters of token68 (RFC 9110, section 11.2).
func validCredential(s string) bool {
	if s == "" || len(s) > maxCredential {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

func unauthenticated(message string) error {
	return &platform.Error{Kind: platform.KindUnauthenticated, Message: message}
}

func errBearer() error {
	return unauthenticated(`the Authorization header must be "Bearer" and a token`)
}

func ambiguous() error {
	return platform.Errorf(platform.KindMalformed, "ambiguous_credential", "the request carries more than one credential")
}
