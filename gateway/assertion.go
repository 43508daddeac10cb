package gateway

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

const (
	// assertionHeader carries the assertion. One that a client sends is
	// removed.
	assertionHeader = "Platform-Assertion"
	assertionIssuer = "gateway"
	// assertionLife is short, since an assertion cannot be taken back; it is
	// used again for the first half.
	assertionLife = 60 * time.Second
	// assertionSkew is how far the clocks of two processes may differ.
	assertionSkew = 5 * time.Second
	// assertionsKept bounds the assertions that wait to be used again.
	assertionsKept = 10_000
)

type assertionKey struct{}

// assertion is a principal as a JWT (RFC 7519). A scope list that is null is no
// limit and an empty one allows nothing, so neither may be left out.
type assertion struct {
	jwt.Claims
	Tenant     platform.TenantID      `json:"tenant"`
	Kind       platform.PrincipalKind `json:"kind"`
	Credential string                 `json:"credential"`
	Roles      []string               `json:"roles"`
	Scopes     *[]string              `json:"scopes"`
}

// assertionSigner makes assertions for one upstream.
type assertionSigner struct {
	signer   jose.Signer
	audience string
	now      func() time.Time

	mu   sync.Mutex
	kept generations[string, signed]
}

type signed struct {
	token  string
	resign time.Time
}

func newAssertionSigner(key ed25519.PrivateKey, audience string, now func() time.Time) (*assertionSigner, error) {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("gateway: assertion key: %w", err)
	}
	return &assertionSigner{
		signer: s, audience: audience, now: now, kept: newGenerations[string, signed](assertionsKept),
	}, nil
}

func (s *assertionSigner) sign(p platform.Principal) (string, error) {
	now := s.now()
	key := string(principalBytes(nil, p))
	s.mu.Lock()
	have, ok := s.kept.get(key)
	s.mu.Unlock()
	if ok && now.Before(have.resign) {
		return have.token, nil
	}
	a := assertion{
		Claims: jwt.Claims{
			Issuer: assertionIssuer, Audience: jwt.Audience{s.audience}, Subject: p.Subject,
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		},
		Tenant: p.Tenant, Kind: p.Kind, Credential: p.Credential, Roles: p.Roles,
	}
	if p.Scopes != nil {
		a.Scopes = &p.Scopes
	}
	token, err := jwt.Signed(s.signer).Claims(a).Serialize()
	if err != nil {
		return "", fmt.Errorf("gateway: sign assertion: %w", err)
	}
	s.mu.Lock()
	s.kept.put(key, signed{token, now.Add(assertionLife / 2)})
	s.mu.Unlock()
	return token, nil
}

// principalBytes appends p so that two principals never give the same bytes.
func principalBytes(b []byte, p platform.Principal) []byte {
	for _, s := range [...]string{string(p.Tenant), string(p.Kind), p.Subject, p.Credential} {
		b = appendString(b, s)
	}
	return appendStrings(appendStrings(b, p.Roles), p.Scopes)
}

// appendStrings tells nil from empty: for scopes these are opposites.
func appendStrings(b []byte, list []string) []byte {
	n := uint64(len(list)) + 1
	if list == nil {
		n = 0
	}
	b = binary.AppendUvarint(b, n)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// VerifyAssertionConfig configures [VerifyAssertion].
type VerifyAssertionConfig struct {
	// Key is the public half of the gateway's Config.AssertionKey.
	Key ed25519.PublicKey
	// Audience is the [Upstream] name of this service.
	Audience string
	// Logger takes faults; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now]. It may differ from the gateway's
	// by 5 s.
	Now func() time.Time
}

// VerifyAssertion is for a service behind a gateway in another process: it
// takes the principal from the gateway's assertion and puts it into the
// request's context, and refuses everything else with a problem of status
// 401. An assertion is an Ed25519-signed JWT of 60 s in the header
// Platform-Assertion. Who reads it can use it for that long, so the way
// between the two must be private. It panics where Key or Audience are not
// valid.
func VerifyAssertion(cfg VerifyAssertionConfig) func(http.Handler) http.Handler {
	if len(cfg.Key) != ed25519.PublicKeySize || cfg.Audience == "" {
		panic("gateway: VerifyAssertion needs a Key and an Audience")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := cfg.verify(r.Header[assertionHeader])
			if err != nil {
				problem.Write(w, r, cfg.Logger, &platform.Error{
					Kind: platform.KindUnauthenticated, Code: "bad_assertion",
					Message: "the request does not come from the gateway",
				})
				return
			}
			tellPrincipal(w, p)
			next.ServeHTTP(w, r.WithContext(platform.WithPrincipal(r.Context(), p)))
		})
	}
}

var errAssertion = errors.New("gateway: not a valid assertion")

func (cfg VerifyAssertionConfig) verify(values []string) (platform.Principal, error) {
	if len(values) != 1 {
		return platform.Principal{}, errAssertion
	}
	token, err := jwt.ParseSigned(values[0], []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return platform.Principal{}, err
	}
	var a assertion
	if err := token.Claims(cfg.Key, &a); err != nil {
		return platform.Principal{}, err
	}
	now := cfg.Now()
	err = a.ValidateWithLeeway(jwt.Expected{Issuer: assertionIssuer, AnyAudience: jwt.Audience{cfg.Audience}, Time: now}, assertionSkew)
	if err != nil {
		return platform.Principal{}, err
	}
	// A claim that is not there is not checked above.
	if a.Expiry == nil || a.IssuedAt == nil || a.Expiry.Time().Sub(a.IssuedAt.Time()) > assertionLife {
		return platform.Principal{}, errAssertion
	}
	p := platform.Principal{
		Tenant: a.Tenant, Subject: a.Subject, Kind: a.Kind, Credential: a.Credential, Roles: a.Roles,
	}
	if a.Scopes != nil {
		p.Scopes = *a.Scopes
	}
	return p, p.Tenant.Validate()
}
