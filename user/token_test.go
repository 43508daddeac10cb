package user_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/user"
)

var b64 = base64.RawURLEncoding

// forge signs a header and claims with a key, without any library's help.
func forge(t *testing.T, header, claims map[string]any, sign func(string) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	noError(t, err)
	c, err := json.Marshal(claims)
	noError(t, err)
	body := b64.EncodeToString(h) + "." + b64.EncodeToString(c)
	return body + "." + b64.EncodeToString(sign(body))
}

// signWith returns what signs as the algorithm of the key has it.
func signWith(t *testing.T, private crypto.Signer) func(string) []byte {
	t.Helper()
	return func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		switch k := private.(type) {
		case ed25519.PrivateKey:
			return ed25519.Sign(k, []byte(text))
		case *ecdsa.PrivateKey:
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			noError(t, err)
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		case *rsa.PrivateKey:
			out, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
			noError(t, err)
			return out
		}
		t.Fatalf("no way to sign with a %T", private)
		return nil
	}
}

// anotherKey is of the same kind.
func anotherKey(t *testing.T, private crypto.Signer) crypto.Signer {
	t.Helper()
	var (
		other crypto.Signer
		err   error
	)
	switch private.(type) {
	case ed25519.PrivateKey:
		_, other, err = ed25519.GenerateKey(rand.Reader)
	case *ecdsa.PrivateKey:
		other, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		other, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	noError(t, err)
	return other
}

// RFC 8725: what a token says of itself is not believed. Each kind of key is used
// with its own algorithm alone.
func TestForgedTokens(t *testing.T) {
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) { testForgedTokens(t, alg) })
	}
}

func testForgedTokens(t *testing.T, alg string) {
	t.Helper()
	b := open(t, func(c *user.Config) { c.SigningAlgorithm = alg })
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	kids, pairs := b.LoadedKeys()
	ours := pairs[0]
	evil := anotherKey(t, ours)
	with := func(k crypto.Signer) func(string) []byte { return signWith(t, k) }
	der, err := x509.MarshalPKIXPublicKey(ours.Public())
	noError(t, err)
	hmacBy := func(key []byte) func(string) []byte {
		return func(s string) []byte {
			m := hmac.New(sha256.New, key)
			m.Write([]byte(s))
			return m.Sum(nil)
		}
	}
	published, err := json.Marshal(jose.JSONWebKey{Key: ours.Public(), KeyID: kids[0]})
	noError(t, err)
	header := func(change map[string]any) map[string]any {
		h := map[string]any{"alg": alg, "typ": "at+jwt", "kid": kids[0]}
		for k, v := range change {
			if h[k] = v; v == nil {
				delete(h, k)
			}
		}
		return h
	}
	now := b.clock.Now().Unix()
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"iss": issuer, "aud": issuer, "sub": ann.User.ID, "org": string(ann.p.Tenant), "sid": ann.p.Credential,
			"iat": now, "nbf": now, "exp": now + 600, "jti": "tok_1",
		}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	p, err := b.Verify(t.Context(), forge(t, header(nil), claims(nil), with(ours)))
	if err != nil || p.Subject != ann.User.ID {
		t.Fatalf("the test forges badly: %v", err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: evil.Public(), KeyID: kids[0], Algorithm: alg})
	noError(t, err)
	forged := map[string]string{
		"another key":         forge(t, header(nil), claims(nil), with(evil)),
		"alg none":            forge(t, header(map[string]any{"alg": "none"}), claims(nil), func(string) []byte { return nil }),
		"alg None":            forge(t, header(map[string]any{"alg": "None"}), claims(nil), func(string) []byte { return nil }),
		"HS256 by public key": forge(t, header(map[string]any{"alg": "HS256"}), claims(nil), hmacBy(der)),
		"HS256 by its JWK":    forge(t, header(map[string]any{"alg": "HS256"}), claims(nil), hmacBy(published)),
		"HS256 by its PEM": forge(t, header(map[string]any{"alg": "HS256"}), claims(nil),
			hmacBy(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"unknown kid":         forge(t, header(map[string]any{"kid": "other"}), claims(nil), with(ours)),
		"no kid":              forge(t, header(map[string]any{"kid": nil}), claims(nil), with(ours)),
		"jwk header":          forge(t, header(map[string]any{"jwk": json.RawMessage(jwk)}), claims(nil), with(evil)),
		"jwk, our key":        forge(t, header(map[string]any{"jwk": json.RawMessage(jwk)}), claims(nil), with(ours)),
		"jku header":          forge(t, header(map[string]any{"jku": "https://evil.example/jwks"}), claims(nil), with(ours)),
		"x5u header":          forge(t, header(map[string]any{"x5u": "https://evil.example/x"}), claims(nil), with(ours)),
		"crit header":         forge(t, header(map[string]any{"crit": []string{"x"}, "x": 1}), claims(nil), with(ours)),
		"typ JWT":             forge(t, header(map[string]any{"typ": "JWT"}), claims(nil), with(ours)),
		"no typ":              forge(t, header(map[string]any{"typ": nil}), claims(nil), with(ours)),
		"other issuer":        forge(t, header(nil), claims(map[string]any{"iss": "https://evil.example"}), with(ours)),
		"no issuer":           forge(t, header(nil), claims(map[string]any{"iss": nil}), with(ours)),
		"other audience":      forge(t, header(nil), claims(map[string]any{"aud": "https://other.example"}), with(ours)),
		"no audience":         forge(t, header(nil), claims(map[string]any{"aud": nil}), with(ours)),
		"other tenant":        forge(t, header(nil), claims(map[string]any{"org": string(ben.p.Tenant)}), with(ours)),
		"no tenant":           forge(t, header(nil), claims(map[string]any{"org": nil}), with(ours)),
		"tenant of no tenant": forge(t, header(nil), claims(map[string]any{"org": "-"}), with(ours)),
		"other user":          forge(t, header(nil), claims(map[string]any{"sub": ben.User.ID}), with(ours)),
		"other session":       forge(t, header(nil), claims(map[string]any{"sid": ben.p.Credential}), with(ours)),
		"no session":          forge(t, header(nil), claims(map[string]any{"sid": nil}), with(ours)),
		"expired":             forge(t, header(nil), claims(map[string]any{"exp": now}), with(ours)),
		"no end":              forge(t, header(nil), claims(map[string]any{"exp": nil}), with(ours)),
		"not yet":             forge(t, header(nil), claims(map[string]any{"nbf": now + 60}), with(ours)),
		"of the future":       forge(t, header(nil), claims(map[string]any{"iat": now + 60}), with(ours)),
		"refresh token":       string(ann.Tokens.Refresh),
		"empty":               "",
		"dots":                "..",
		"too long":            string(ann.Tokens.Access) + strings.Repeat("A", 5000),
		"cut":                 string(ann.Tokens.Access[:len(ann.Tokens.Access)-2]),
	}
	for _, other := range []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "HS384"} {
		if other != alg {
			forged["alg "+other] = forge(t, header(map[string]any{"alg": other}), claims(nil), with(ours))
		}
	}
	for name, token := range forged {
		if _, err := b.Verify(t.Context(), token); platform.KindOf(errOr(err)) != platform.KindUnauthenticated {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func errOr(err error) error {
	if err == nil {
		return platform.ErrConflict // any other kind than the one wanted
	}
	return err
}

func TestAccessTokenEnds(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.clock.Advance(10*time.Minute - time.Second)
	b.verify(t, ann.Tokens.Access)
	b.clock.Advance(time.Second) // it was just found good: that ends with it
	_, err := b.Verify(t.Context(), string(ann.Tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
}

// jwksBody is the key set as it is served.
func (b *bundle) jwksBody(t *testing.T) []byte {
	t.Helper()
	body, _ := b.getJWKS(t)
	return body
}

func (b *bundle) jwks(t *testing.T) (kids []string, header http.Header) {
	t.Helper()
	body, header := b.getJWKS(t)
	var set jose.JSONWebKeySet
	noError(t, json.Unmarshal(body, &set))
	for _, k := range set.Keys {
		if !k.Valid() || !k.IsPublic() || k.Use != "sig" || !slices.Contains([]string{"EdDSA", "ES256", "RS256"}, k.Algorithm) {
			t.Errorf("key %+v", k)
		}
		kids = append(kids, k.KeyID)
	}
	return kids, header
}

func (b *bundle) getJWKS(t *testing.T) ([]byte, http.Header) {
	t.Helper()
	for _, r := range b.Routes() {
		if r.Operation != "jwks" {
			continue
		}
		w := httptest.NewRecorder()
		routes.Checked(r).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), r.Method, r.Path, nil))
		return w.Body.Bytes(), w.Header()
	}
	t.Fatal("no route")
	return nil, nil
}

func TestKeyRotation(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	kidOf := func(token user.Secret) string {
		jws, err := jose.ParseSignedCompact(string(token), []jose.SignatureAlgorithm{jose.EdDSA})
		noError(t, err)
		return jws.Signatures[0].Protected.KeyID
	}
	first, header := b.jwks(t)
	if len(first) != 1 || first[0] != kidOf(ann.Tokens.Access) || header.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("keys %v, header %v", first, header)
	}
	// A day before the end the successor is published; the old one still signs.
	b.clock.Advance(29*day + time.Minute)
	tokens, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
	second, _ := b.jwks(t)
	if len(second) != 2 || kidOf(tokens.Access) != first[0] {
		t.Fatalf("keys %v, signed by %s", second, kidOf(tokens.Access))
	}
	// Then the successor signs, and the old one verifies until its last token ends.
	b.clock.Advance(day - 2*time.Minute)
	last, err := b.Refresh(t.Context(), tokens.Refresh)
	noError(t, err)
	b.clock.Advance(2 * time.Minute)
	tokens, err = b.Refresh(t.Context(), last.Refresh)
	noError(t, err)
	if kidOf(last.Access) != first[0] || kidOf(tokens.Access) == first[0] || !slices.Contains(second, kidOf(tokens.Access)) {
		t.Errorf("signed by %s, then %s", kidOf(last.Access), kidOf(tokens.Access))
	}
	b.verify(t, last.Access)
	b.clock.Advance(12 * time.Minute)
	if kids, _ := b.jwks(t); len(kids) != 1 || kids[0] == first[0] {
		t.Errorf("an ended key is published: %v", kids)
	}
	// Nobody was here for a year: there is a new key at once.
	b.clock.Advance(365 * day)
	fresh, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	b.verify(t, fresh.Access)
	if kids, _ := b.jwks(t); len(kids) != 1 || kids[0] != kidOf(fresh.Access) {
		t.Errorf("keys %v", kids)
	}
}

// An ended key verifies nothing, whatever the token says.
func TestRemovedKey(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.clock.Advance(31 * day)
	kids, pairs := b.LoadedKeys()
	now := b.clock.Now().Unix()
	token := forge(t, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": kids[0]}, map[string]any{
		"iss": issuer, "aud": issuer, "sub": ann.User.ID, "org": string(ann.p.Tenant), "sid": ann.p.Credential,
		"iat": now, "nbf": now, "exp": now + 600,
	}, func(s string) []byte {
		ours, _ := pairs[0].(ed25519.PrivateKey)
		return ed25519.Sign(ours, []byte(s))
	})
	_, err := b.Verify(t.Context(), token)
	want(t, err, platform.KindUnauthenticated, "")
}

// Two processes share their keys: each verifies what the other signed, also
// with a key that it has not seen yet, and both rotate to the same successor.
func TestTwoProcesses(t *testing.T) {
	a := open(t)
	ann := a.signUp(t, "ann@example.com")
	b := a.replica(t)
	b.verify(t, ann.Tokens.Access)
	a.clock.Advance(31 * day)
	tokens, err := a.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	b.verify(t, tokens.Access)
	tokens, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	a.verify(t, tokens.Access)
	if ours, theirs := first(a.LoadedKeys()), first(b.LoadedKeys()); !slices.Equal(ours, theirs) {
		t.Errorf("keys %v and %v", ours, theirs)
	}
}

func first(kids []string, _ []crypto.Signer) []string { return kids }
