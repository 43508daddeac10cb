package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"time"

	"github.com/acme/platform"
)

// AssertionConfig configures [Assertion].
type AssertionConfig struct {
	// Keys are the public halves of the keys that gateways sign with, as in
	// [VerifyAssertionConfig].
	Keys []ed25519.PublicKey
	// Audience is the [Upstream] name of this service.
	Audience string
	// BasePath is what the [Upstream] URL has before the path that the gateway
	// knows, and that is not stripped before [Mount] or [New] see it.
	BasePath string
	// Now is the clock; nil is [time.Now]. It may differ from the gateway's
	// by 2 s.
	Now func() time.Time
}

// Assertion reads the signed assertion of a gateway in another process (see
// [VerifyAssertion]), for a service that is served by [Mount]. It is good for the
// operation that the gateway has checked, so nothing but the level is checked
// again. Its name is "assertion". It panics where cfg is not valid.
func Assertion(cfg AssertionConfig) Authenticator {
	return &assertionAuthenticator{newAssertionVerifier(VerifyAssertionConfig{
		Keys: cfg.Keys, Audience: cfg.Audience, BasePath: cfg.BasePath, Now: cfg.Now,
	})}
}

type assertionAuthenticator struct{ v assertionVerifier }

func (*assertionAuthenticator) Scheme() Scheme {
	return Scheme{Name: "assertion", Header: assertionHeader}
}

// bind returns one for an operation.
func (a *assertionAuthenticator) bind(operation string) *assertionAuthenticator {
	bound := *a
	bound.v.Operation = operation
	return &bound
}

func (a *assertionAuthenticator) Authenticate(r *http.Request) (platform.Principal, bool, error) {
	if a.v.Operation == "" {
		return platform.Principal{}, false, errors.New("gateway: an assertion is for one operation: use it with Mount or New")
	}
	if r.Header[assertionHeader] == nil {
		return platform.Principal{}, false, nil
	}
	p, why := a.v.verify(r)
	if why != "" {
		return platform.Principal{}, false, &badAssertionError{why}
	}
	return p, true, nil
}

// badAssertionError is the error of an assertion that is not believed.
type badAssertionError struct{ why refusal }

func (e *badAssertionError) Error() string {
	return "the gateway's assertion is not believed: " + string(e.why)
}

func (*badAssertionError) problem() error {
	return &platform.Error{
		Kind: platform.KindUnauthenticated, Code: "bad_assertion",
		Message: "the request does not come from the gateway",
	}
}

type vouchedKey struct{}

// withVouched marks a request whose access another gateway has checked.
func withVouched(ctx context.Context) context.Context {
	return context.WithValue(ctx, vouchedKey{}, true)
}

func isVouched(ctx context.Context) bool { return ctx.Value(vouchedKey{}) != nil }
