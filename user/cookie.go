package user

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/acme/platform"
)

// SessionKind is how a client holds its session.
type SessionKind string

// The kinds of session.
const (
	// TokenSession is held in an access token and a refresh token, which the
	// client keeps: for apps and other servers. It is what "" means.
	TokenSession SessionKind = "token"
	// CookieSession is held in a cookie that no script of a page reads: for
	// browsers. There are no tokens, and nothing to refresh.
	CookieSession SessionKind = "cookie"
)

// Cookie is a session cookie that a browser is to keep. Browsers send it to the
// host that set it alone, over TLS or loopback, and never with what a page of
// another site makes them change (RFC 6265bis, "__Host-" and SameSite=Lax).
type Cookie struct {
	Name string
	// Value is the secret. Its successor replaces it at each sign-in, further
	// proof and change of organization.
	Value Secret
	// Ends is when the session ends at the latest.
	Ends time.Time
}

// HTTP is the cookie as it is set: http.SetCookie(w, c.HTTP()).
func (c Cookie) HTTP() *http.Cookie {
	return &http.Cookie{
		Name: c.Name, Value: string(c.Value), Path: "/", Expires: c.Ends,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// cookieRemoved makes the browser forget the cookie of that name. Nothing more of
// the site is cleared (Clear-Site-Data): the host may keep things of its own there.
func cookieRemoved(name string) string {
	c := Cookie{Name: name}.HTTP() //nolint:gosec // HTTP sets the attributes
	c.MaxAge = -1
	return c.String()
}

// The value of a cookie is "cs_<session>_<secret>", as that of a refresh token.
const cookiePrefix = "cs"

// hostCookie keeps a cookie to one host, to TLS and to the path "/" (RFC 6265bis,
// section 4.1.3.2), so that no neighbour in the domain can set another.
const hostCookie = "__Host-"

var cookieNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// cookieName is that of Config.CookieName, or one that the issuer gives: ports and
// paths share cookies, so two platforms on one host need two names.
func (c Config) cookieName() string {
	if c.CookieName != "" {
		return hostCookie + c.CookieName
	}
	sum := sha256.Sum256([]byte(c.Issuer))
	return hostCookie + "session-" + hex.EncodeToString(sum[:4])
}

// SessionCookie reads the session cookies of a [Service]. It is what gateway.Cookie
// takes.
type SessionCookie struct{ s *Service }

// Cookie returns the reader of session cookies.
func (s *Service) Cookie() SessionCookie { return SessionCookie{s} }

// CookieName is the name of the cookie.
func (c SessionCookie) CookieName() string { return c.s.cookieName }

// PartOf implements [platform.Part].
func (c SessionCookie) PartOf() platform.Module { return c.s }

// Verify is [Service.Verify] for the value of a session cookie, and for nothing
// else. While the organization that the cookie leads to is not open to the person
// any more, the principal is one of [platform.NoTenant].
//
// The value before the present one is good for Config.RefreshGrace after a change
// of organization, for what was under way then, and leads where it led; after a
// sign-in or a further proof it is refused at once.
func (c SessionCookie) Verify(ctx context.Context, value string) (platform.Principal, error) {
	if !strings.HasPrefix(value, cookiePrefix+"_") {
		return platform.Principal{}, errBadCredential()
	}
	return c.s.verified(ctx, value)
}

// cookieSession takes the value of a cookie apart. The session's row has the hash.
func cookieSession(value string) (session string, hash []byte, ok bool) {
	session, secret, ok := parseToken(cookiePrefix, "ses", secretSize, Secret(value))
	if !ok {
		return "", nil, false
	}
	return session, hashSecret(secret), true
}
