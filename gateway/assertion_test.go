package gateway_test

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// teller verifies every credential to one principal.
type teller platform.Principal

func (p teller) Verify(context.Context, string) (platform.Principal, error) {
	return platform.Principal(p), nil
}

// assertionOf returns the assertion that a gateway makes of a principal.
func assertionOf(t *testing.T, p platform.Principal, clk *clock) string {
	t.Helper()
	var got string
	u := remote("http://a.test")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get("Platform-Assertion")
		return answer(r, 200), nil
	})
	cfg := config()
	cfg.Verifier, cfg.Now = teller(p), clk.Now
	_, cfg.AssertionKey = keys()
	cfg.Upstreams = []gateway.Upstream{u}
	if w := call(newGateway(t, cfg), "GET", "/v1/remote/1", alice); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return got
}

func TestAssertionRoundTrip(t *testing.T) {
	public, _ := keys()
	clk := newClock()
	for _, p := range []platform.Principal{
		{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalUser, Credential: "ses_1", Roles: []string{"owner"}},
		{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalAPIKey, Scopes: []string{"data.*"}},
		{Tenant: "org_a", Subject: "alice", Scopes: []string{}}, // allows nothing, which nil does not mean
	} {
		token := assertionOf(t, p, clk)
		var got platform.Principal
		h := gateway.VerifyAssertion(gateway.VerifyAssertionConfig{Key: public, Audience: "remote", Now: clk.Now})(http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) { got, _ = platform.PrincipalFrom(r.Context()) }))
		if w := call(h, "GET", "/", "Platform-Assertion: "+token); w.Code != 200 || !reflect.DeepEqual(got, p) {
			t.Errorf("%d: %#v became %#v", w.Code, p, got)
		}
	}
}

func TestAssertionRefused(t *testing.T) {
	public, private := keys()
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize)))
	clk := newClock()
	now := clk.Now()
	sign := func(key any, alg jose.SignatureAlgorithm, change func(map[string]any)) string {
		t.Helper()
		claims := map[string]any{
			"iss": "gateway", "aud": "remote", "sub": "alice", "tenant": "org_a", "kind": "user",
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
		change(claims)
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(s).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	as := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	without := func(k string) func(map[string]any) { return func(c map[string]any) { delete(c, k) } }
	good := sign(private, jose.EdDSA, func(map[string]any) {})
	h := gateway.VerifyAssertion(gateway.VerifyAssertionConfig{Key: public, Audience: "remote", Now: clk.Now})(http.HandlerFunc(who))
	if w := call(h, "GET", "/", "Platform-Assertion: "+good); w.Code != 200 {
		t.Fatalf("the good one: %d %s", w.Code, w.Body)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, mac, _ := strings.Cut(rest, ".")
	for name, token := range map[string]string{
		"none":           "",
		"nonsense":       "abc",
		"another key":    sign(other, jose.EdDSA, func(map[string]any) {}),
		"the public key": sign([]byte(public), jose.HS256, func(map[string]any) {}),
		"not signed":     "eyJhbGciOiJub25lIn0." + body + ".",
		"changed":        head + "." + body + "x." + mac,
		"audience":       sign(private, jose.EdDSA, as("aud", "other")),
		"no audience":    sign(private, jose.EdDSA, without("aud")),
		"issuer":         sign(private, jose.EdDSA, as("iss", "other")),
		"expired":        sign(private, jose.EdDSA, as("exp", now.Add(-6*time.Second).Unix())),
		"no expiry":      sign(private, jose.EdDSA, without("exp")),
		"no issue time":  sign(private, jose.EdDSA, without("iat")),
		"of the future":  sign(private, jose.EdDSA, as("iat", now.Add(6*time.Second).Unix())),
		"too long":       sign(private, jose.EdDSA, as("exp", now.Add(time.Hour).Unix())),
		"no tenant":      sign(private, jose.EdDSA, without("tenant")),
	} {
		var headers []string
		if token != "" {
			headers = []string{"Platform-Assertion: " + token}
		}
		w := call(h, "GET", "/", headers...)
		if w.Code != 401 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		wantProblem(t, w, 401, "bad_assertion")
	}
	if w := call(h, "GET", "/", "Platform-Assertion: "+good, "Platform-Assertion: "+good); w.Code != 401 {
		t.Errorf("two assertions: %d", w.Code)
	}
	clk.Advance(66 * time.Second)
	if w := call(h, "GET", "/", "Platform-Assertion: "+good); w.Code != 401 {
		t.Errorf("after its time: %d", w.Code)
	}
}

// An assertion is used again, but not for another principal and not when it
// is about to end.
func TestAssertionReuse(t *testing.T) {
	clk := newClock()
	var tokens []string
	u := remote("http://a.test")
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		tokens = append(tokens, r.Header.Get("Platform-Assertion"))
		return answer(r, 200), nil
	})
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Now, cfg.Upstreams = clk.Now, []gateway.Upstream{u}
	g := newGateway(t, cfg)
	call(g, "GET", "/v1/remote/1", alice)
	clk.Advance(29 * time.Second)
	call(g, "GET", "/v1/remote/1", alice)
	call(g, "GET", "/v1/remote/1", bob)
	clk.Advance(time.Second)
	call(g, "GET", "/v1/remote/1", alice)
	if len(tokens) != 4 || tokens[0] != tokens[1] || tokens[0] == tokens[2] || tokens[0] == tokens[3] {
		t.Errorf("got %q", tokens)
	}
}
