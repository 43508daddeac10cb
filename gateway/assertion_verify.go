package gateway

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/acme/platform"
)

// VerifyAssertionConfig configures [VerifyAssertion].
type VerifyAssertionConfig struct {
	// Keys are the public halves of the keys that gateways sign with
	// (Config.AssertionKey). There are several while a key is replaced: first
	// every service gets the new one beside the old one, then the gateways sign
	// with the new one, then the services lose the old one.
	Keys []ed25519.PublicKey
	// Audience is the [Upstream] name of this service.
	Audience string
	// Operation is the one that the handler serves, as its
	// [platform.Route].Operation: an assertion for another one is refused.
	Operation string
	// BasePath is the path of the [Upstream] URL, such as "/inner", which
	// stands before the path that the gateway knows.
	BasePath string
	// Logger takes faults; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now]. It may differ from the gateway's
	// by 2 s.
	Now func() time.Time
}

// VerifyAssertion is for a service behind a gateway in another process, around
// the handler of one operation: it takes the principal from the gateway's
// assertion and puts it into the request's context, and refuses everything else
// with a problem of status 401, from which the gateway makes one of status 502
// of its own.
//
// An assertion is an Ed25519-signed JWT in the header Platform-Assertion. It is
// for one service and one operation, and where that may change something for
// one path, and ends 8 s after it was made. Who reads it can use it for that, so
// the way between the two must be private. It panics where Keys, Audience or
// Operation are not valid.
func VerifyAssertion(cfg VerifyAssertionConfig) func(http.Handler) http.Handler {
	if cfg.Operation == "" {
		panic("gateway: VerifyAssertion needs an Operation")
	}
	v := newAssertionVerifier(cfg)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, why := v.verify(r)
			if why != "" {
				refuse(w, r, v.Logger, &badAssertionError{why})
				return
			}
			tellPrincipal(w, p)
			ctx := platform.WithPrincipal(r.Context(), p)
			next.ServeHTTP(w, r.WithContext(platform.WithAccess(ctx, v.Operation)))
		})
	}
}

// refusal is why an assertion is not believed, for the log of the gateway that
// sent it. It tells nothing that is secret.
type refusal string

const (
	refusedMissing   refusal = "missing"
	refusedMalformed refusal = "malformed"
	refusedKey       refusal = "unknown_key"
	refusedSignature refusal = "bad_signature"
	refusedTime      refusal = "not_valid_now" // or the clocks differ
	refusedClaims    refusal = "bad_claims"
	refusedAudience  refusal = "other_service"
	refusedOperation refusal = "other_operation"
	refusedPath      refusal = "other_path"
)

// distrusts reports whether the answer says that its replica believes nothing
// the gateway signs. Other refusals are about one request, so whoever finds a
// way to cause them must not take the replica from everybody.
func distrusts(resp *http.Response) bool {
	switch refusal(resp.Header.Get(refusedHeader)) {
	case refusedKey, refusedSignature, refusedTime:
		return true
	default:
		return false
	}
}

type assertionVerifier struct {
	VerifyAssertionConfig
	keys map[string]ed25519.PublicKey // by id
}

func newAssertionVerifier(cfg VerifyAssertionConfig) assertionVerifier {
	if len(cfg.Keys) == 0 || cfg.Audience == "" || !validBasePath(cfg.BasePath) {
		panic("gateway: an assertion needs Keys and an Audience, and a BasePath that is empty or a path")
	}
	v := assertionVerifier{VerifyAssertionConfig: cfg, keys: make(map[string]ed25519.PublicKey, len(cfg.Keys))}
	for _, key := range cfg.Keys {
		if len(key) != ed25519.PublicKeySize {
			panic("gateway: an assertion needs Ed25519 public keys")
		}
		v.keys[assertionKeyID(key)] = key
	}
	if v.Now == nil {
		v.Now = time.Now
	}
	return v
}

// verify returns who calls, or why that is not known.
func (v *assertionVerifier) verify(r *http.Request) (platform.Principal, refusal) {
	values := r.Header[assertionHeader]
	if len(values) != 1 {
		return platform.Principal{}, refusedMissing
	}
	token, err := jwt.ParseSigned(values[0], []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(token.Headers) != 1 {
		return platform.Principal{}, refusedMalformed
	}
	key, ok := v.keys[token.Headers[0].KeyID]
	if !ok {
		return platform.Principal{}, refusedKey
	}
	var a assertion
	if err := token.Claims(key, &a); err != nil {
		return platform.Principal{}, refusedSignature
	}
	if refused := v.check(a, r); refused != "" {
		return platform.Principal{}, refused
	}
	p := platform.Principal{
		Tenant: a.Tenant, Subject: a.Subject, Kind: a.Kind, Credential: a.Credential, Roles: a.Roles,
		Actor: a.Actor, Methods: a.Methods,
	}
	if a.SignedInAt != nil {
		p.SignedInAt = a.SignedInAt.Time().UTC()
	}
	if a.Scopes != nil {
		p.Scopes = *a.Scopes
	}
	if p.Tenant.ValidateScope() != nil || p.Kind == platform.PrincipalSystem {
		return platform.Principal{}, refusedClaims
	}
	return p, ""
}

// check sees whether an assertion is for this call.
func (v *assertionVerifier) check(a assertion, r *http.Request) refusal {
	// A claim that is not there is not checked by ValidateWithLeeway.
	if a.Expiry == nil || a.IssuedAt == nil || a.Expiry.Time().Sub(a.IssuedAt.Time()) > assertionLife {
		return refusedTime
	}
	err := a.ValidateWithLeeway(jwt.Expected{
		Issuer: assertionIssuer, AnyAudience: jwt.Audience{v.Audience}, Time: v.Now(),
	}, assertionSkew)
	switch {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refusedAudience
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refusedClaims
	case err != nil:
		return refusedTime
	case a.Operation != v.Operation:
		return refusedOperation
	}
	if !changes(r.Method) && a.Path == "" {
		return ""
	}
	if path, ok := strings.CutPrefix(r.URL.EscapedPath(), v.BasePath); !ok || path != a.Path {
		return refusedPath
	}
	return ""
}
