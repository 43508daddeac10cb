package gateway

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/acme/platform"
)

const (
	// assertionHeader carries the assertion. One that a client sends is
	// removed.
	assertionHeader = "Platform-Assertion"
	// refusedHeader says in an answer why a service did not believe the
	// assertion. It tells the gateway that the refusal is of the gateway, and
	// not of the caller.
	refusedHeader   = "Platform-Assertion-Refused"
	assertionIssuer = "gateway"
	// assertionLife is short, since an assertion cannot be taken back; it is
	// used again for the first half.
	assertionLife = 8 * time.Second
	// assertionSkew is how far the clocks of two processes may differ.
	assertionSkew = 2 * time.Second
	// assertionsKept bounds the assertions that wait to be used again.
	assertionsKept = 10_000
)

type assertionKey struct{}

// assertion is a principal and what it may call as a JWT (RFC 7519). A scope
// list that is null is no limit and an empty one allows nothing, so neither may
// be left out.
type assertion struct {
	jwt.Claims
	Operation string `json:"op"`
	// Path is the request's, where the operation may change something. Whoever
	// reads an assertion on its way reads the answers as well, so those that
	// only read are bound to their operation alone, and are used again.
	Path       string                 `json:"path,omitempty"`
	Tenant     platform.TenantID      `json:"tenant"`
	Kind       platform.PrincipalKind `json:"kind"`
	Credential string                 `json:"credential"`
	Roles      []string               `json:"roles"`
	Scopes     *[]string              `json:"scopes"`
	Actor      *platform.Actor        `json:"act,omitempty"`
	SignedInAt *jwt.NumericDate       `json:"auth_time,omitempty"`
	Methods    []string               `json:"amr,omitempty"`
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
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("gateway: assertion key: it has no public half")
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader(jose.HeaderKey("kid"), assertionKeyID(public))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, options)
	if err != nil {
		return nil, fmt.Errorf("gateway: assertion key: %w", err)
	}
	return &assertionSigner{signer: signer, audience: audience, now: now, kept: newGenerations[string, signed](assertionsKept)}, nil
}

// assertionKeyID names a public key by its content, so that nobody has to: by
// what its SHA-256 begins with.
func assertionKeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// changes reports whether requests of the method may change something.
func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// sign returns an assertion for a call of the operation by p, at the path where
// that is not empty.
func (s *assertionSigner) sign(p platform.Principal, operation, path string) (string, error) {
	now := s.now()
	if path != "" { // another one for each, which are not used again
		return s.make(p, operation, path, now)
	}
	key := string(principalBytes(appendString(nil, operation), p))
	s.mu.Lock()
	have, ok := s.kept.get(key)
	s.mu.Unlock()
	if ok && now.Before(have.resign) {
		return have.token, nil
	}
	token, err := s.make(p, operation, "", now)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.kept.put(key, signed{token, now.Add(assertionLife / 2)})
	s.mu.Unlock()
	return token, nil
}

func (s *assertionSigner) make(p platform.Principal, operation, path string, now time.Time) (string, error) {
	a := assertion{
		Claims: jwt.Claims{
			Issuer: assertionIssuer, Audience: jwt.Audience{s.audience}, Subject: p.Subject,
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		},
		Operation: operation, Path: path,
		Tenant: p.Tenant, Kind: p.Kind, Credential: p.Credential, Roles: p.Roles,
	}
	if p.Scopes != nil {
		a.Scopes = &p.Scopes
	}
	a.Actor, a.Methods = p.Actor, p.Methods
	if !p.SignedInAt.IsZero() {
		a.SignedInAt = jwt.NewNumericDate(p.SignedInAt)
	}
	// The encoder of go-jose waits on a WaitGroup for a type that contains itself,
	// as an actor does; one that a synctest bubble made panics outside of it.
	payload, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("gateway: encode assertion: %w", err)
	}
	signed, err := s.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("gateway: sign assertion: %w", err)
	}
	return signed.CompactSerialize()
}

// principalBytes appends p so that two principals never give the same bytes.
func principalBytes(b []byte, p platform.Principal) []byte {
	for _, s := range [...]string{string(p.Tenant), string(p.Kind), p.Subject, p.Credential} {
		b = appendString(b, s)
	}
	b = appendStrings(appendStrings(appendStrings(b, p.Roles), p.Scopes), p.Methods)
	b = binary.AppendVarint(b, p.SignedInAt.Unix())
	for a := p.Actor; a != nil; a = a.Actor {
		b = appendString(appendString(append(b, 1), string(a.Kind)), a.Subject)
	}
	return append(b, 0)
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
