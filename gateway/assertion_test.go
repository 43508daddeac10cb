package gateway_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
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
	cfg.Authenticators, cfg.Now = gateway.Credentials(teller(p)), clk.Now
	_, cfg.AssertionKey = keys()
	cfg.Upstreams = []gateway.Upstream{u}
	if w := call(newGateway(t, cfg), "GET", "/v1/remote/1", alice); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return got
}

// believing is that of the service "remote" for an operation.
func believing(operation string, clk *clock, keys ...ed25519.PublicKey) func(http.Handler) http.Handler {
	return gateway.VerifyAssertion(gateway.VerifyAssertionConfig{Keys: keys, Audience: "remote", Operation: operation, Now: clk.Now})
}

func TestAssertionRoundTrip(t *testing.T) {
	public, _ := keys()
	clk := newClock()
	for _, p := range []platform.Principal{
		{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalUser, Credential: "ses_1", Roles: []string{"owner"}},
		{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalAPIKey, Scopes: []string{"remote.*"}},
		{
			Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalAgent, Methods: []string{"pwd", "otp"}, SignedInAt: clk.Now(),
			Actor: &platform.Actor{Subject: "agt_1", Kind: platform.PrincipalAgent, Actor: &platform.Actor{Subject: "agt_2", Kind: platform.PrincipalService}},
		},
	} {
		token := assertionOf(t, p, clk)
		var got platform.Principal
		h := believing("remote.get", clk, public)(http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) { got, _ = platform.PrincipalFrom(r.Context()) }))
		if w := call(h, "GET", "/", "Platform-Assertion: "+token); w.Code != 200 || !reflect.DeepEqual(got, p) {
			t.Errorf("%d: %#v became %#v", w.Code, p, got)
		}
	}
}

// An empty list of scopes allows nothing, which nil does not mean.
func TestAssertionWithoutScopes(t *testing.T) {
	public, private := keys()
	clk := newClock()
	now := clk.Now()
	token := signAssertion(t, private, jose.EdDSA, kidOf(public), map[string]any{
		"iss": "gateway", "aud": "remote", "sub": "alice", "iat": now.Unix(), "exp": now.Add(8 * time.Second).Unix(),
		"op": "remote.get", "tenant": "org_a", "kind": "user", "scopes": []string{},
	})
	var got platform.Principal
	h := believing("remote.get", clk, public)(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { got, _ = platform.PrincipalFrom(r.Context()) }))
	if w := call(h, "GET", "/", "Platform-Assertion: "+token); w.Code != 200 || got.Scopes == nil || len(got.Scopes) != 0 {
		t.Errorf("%d: %#v", w.Code, got)
	}
}

// signAssertion makes an assertion without the gateway.
func signAssertion(t *testing.T, key any, alg jose.SignatureAlgorithm, kid string, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// kidOf is the id that the gateway gives to a key.
func kidOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func TestAssertionRefused(t *testing.T) {
	public, private := keys()
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize)))
	clk := newClock()
	now := clk.Now()
	kid := kidOf(public)
	sign := func(change func(map[string]any)) string {
		t.Helper()
		claims := map[string]any{
			"iss": "gateway", "aud": "remote", "sub": "alice", "tenant": "org_a", "kind": "user", "op": "remote.get",
			"iat": now.Unix(), "exp": now.Add(8 * time.Second).Unix(),
		}
		change(claims)
		return signAssertion(t, private, jose.EdDSA, kid, claims)
	}
	same := func(map[string]any) {}
	as := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	without := func(k string) func(map[string]any) { return func(c map[string]any) { delete(c, k) } }
	good := sign(same)
	h := believing("remote.get", clk, public)(http.HandlerFunc(who))
	if w := call(h, "GET", "/", "Platform-Assertion: "+good); w.Code != 200 {
		t.Fatalf("the good one: %d %s", w.Code, w.Body)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, mac, _ := strings.Cut(rest, ".")
	claims := map[string]any{}
	for name, c := range map[string]struct{ token, reason string }{
		"none":             {"", "missing"},
		"nonsense":         {"abc", "malformed"},
		"another key":      {signAssertion(t, other, jose.EdDSA, kidOf(other.Public().(ed25519.PublicKey)), claims), "unknown_key"},
		"another's key id": {signAssertion(t, other, jose.EdDSA, kid, claims), "bad_signature"},
		"no key id":        {signAssertion(t, private, jose.EdDSA, "", claims), "unknown_key"},
		"the public key":   {signAssertion(t, []byte(public), jose.HS256, kid, claims), "malformed"},
		"not signed":       {"eyJhbGciOiJub25lIn0." + body + ".", "malformed"},
		"changed":          {head + "." + body[:len(body)-4] + "AAAA." + mac, "bad_signature"},
		"audience":         {sign(as("aud", "other")), "other_service"},
		"no audience":      {sign(without("aud")), "other_service"},
		"issuer":           {sign(as("iss", "other")), "bad_claims"},
		"operation":        {sign(as("op", "remote.delete")), "other_operation"},
		"no operation":     {sign(without("op")), "other_operation"},
		"path":             {sign(as("path", "/other")), "other_path"},
		"expired": {sign(func(c map[string]any) {
			c["iat"], c["exp"] = now.Add(-10*time.Second).Unix(), now.Add(-3*time.Second).Unix()
		}), "not_valid_now"},
		"no expiry":     {sign(without("exp")), "not_valid_now"},
		"no issue time": {sign(without("iat")), "not_valid_now"},
		"of the future": {sign(func(c map[string]any) {
			c["iat"], c["exp"] = now.Add(3*time.Second).Unix(), now.Add(9*time.Second).Unix()
		}), "not_valid_now"},
		"too long":  {sign(as("exp", now.Add(9*time.Second).Unix())), "not_valid_now"},
		"no tenant": {sign(without("tenant")), "bad_claims"},
	} {
		var headers []string
		if c.token != "" {
			headers = []string{"Platform-Assertion: " + c.token}
		}
		w := call(h, "GET", "/", headers...)
		if got := w.Header().Get("Platform-Assertion-Refused"); w.Code != 401 || got != c.reason {
			t.Errorf("%s: %d for the reason %q, want %q: %s", name, w.Code, got, c.reason, w.Body)
			continue
		}
		wantProblem(t, w, 401, "bad_assertion")
	}
	if w := call(h, "GET", "/", "Platform-Assertion: "+good, "Platform-Assertion: "+good); w.Code != 401 {
		t.Errorf("two assertions: %d", w.Code)
	}
	clk.Advance(11 * time.Second)
	if w := call(h, "GET", "/", "Platform-Assertion: "+good); w.Code != 401 {
		t.Errorf("after its time: %d", w.Code)
	}
}

// An assertion is used again, but not for another principal or operation and
// not when it is about to end.
func TestAssertionReuse(t *testing.T) {
	clk := newClock()
	var tokens []string
	u := remote("http://a.test")
	u.Routes = append(u.Routes, platform.Route{Operation: "remote.look", Method: "GET", Path: "/v1/look", Access: platform.Require("remote.read")})
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		tokens = append(tokens, r.Header.Get("Platform-Assertion"))
		return answer(r, 200), nil
	})
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Now, cfg.Upstreams = clk.Now, []gateway.Upstream{u}
	g := newGateway(t, cfg)
	call(g, "GET", "/v1/remote/1", alice)
	clk.Advance(3 * time.Second)
	call(g, "GET", "/v1/remote/2", alice)
	call(g, "GET", "/v1/remote/1", bob)
	call(g, "GET", "/v1/look", alice)
	clk.Advance(time.Second)
	call(g, "GET", "/v1/remote/1", alice)
	if len(tokens) != 5 || tokens[0] != tokens[1] || tokens[0] == tokens[2] || tokens[0] == tokens[3] || tokens[0] == tokens[4] {
		t.Errorf("got %q", tokens)
	}
}
