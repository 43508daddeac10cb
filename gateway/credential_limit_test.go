package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// countedUsers counts what is verified, and refuses what is revoked.
type countedUsers struct {
	users
	verified int
	revoked  string
}

func (u *countedUsers) Verify(ctx context.Context, credential string) (platform.Principal, error) {
	u.verified++
	if credential == u.revoked {
		credential = "revoked"
	}
	return u.users.Verify(ctx, credential)
}

func credentialGateway(t *testing.T, rate gateway.Rate) (*gateway.Gateway, *countedUsers, *clock) {
	t.Helper()
	u, c := &countedUsers{}, newClock()
	cfg := config()
	cfg.Authenticators, cfg.Now, cfg.CredentialRateLimit = gateway.Credentials(u), c.Now, rate
	cfg.RateLimit = gateway.NoLimit
	return newGateway(t, cfg, route("things.get", "GET", "/v1/things", platform.Authenticated(), noContent),
		route("open", "GET", "/v1/open", platform.Public(), noContent)), u, c
}

// from calls from an address.
func from(h http.Handler, addr, credential string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/v1/things", nil)
	r.RemoteAddr = addr
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Bad credentials cost a bounded amount of work, and nobody but their sender.
func TestBadCredentialsAreLimited(t *testing.T) {
	const here, there = "203.0.113.7:1000", "203.0.113.8:1000"
	g, u, c := credentialGateway(t, gateway.Rate{Requests: 5, Period: time.Minute})
	if w := from(g, here, "org_a.alice"); w.Code != http.StatusNoContent {
		t.Fatalf("got %d", w.Code)
	}
	for range 100 {
		wantProblem(t, from(g, here, ""), 401, "unauthenticated") // costs nothing
	}
	u.verified = 0
	for i := range 1000 {
		w := from(g, here, fmt.Sprintf("bad-%d", i))
		if i < 5 {
			wantProblem(t, w, 401, "unauthenticated")
			continue
		}
		wantProblem(t, w, 429, "too_many_bad_credentials")
		if got := w.Header().Get("Retry-After"); got != "60" {
			t.Fatalf("Retry-After %q", got)
		}
	}
	if u.verified != 5 {
		t.Errorf("%d credentials were verified, want 5", u.verified)
	}
	if w := from(g, here, "org_a.alice"); w.Code != http.StatusNoContent {
		t.Errorf("a caller who was accepted before, behind the same address: %d", w.Code)
	}
	wantProblem(t, from(g, here, "org_a.newcomer"), 429, "too_many_bad_credentials")
	if w := from(g, there, "org_a.newcomer"); w.Code != http.StatusNoContent {
		t.Errorf("another address: %d", w.Code)
	}
	wantProblem(t, from(g, there, "bad"), 401, "unauthenticated")
	if w := call(g, "GET", "/v1/open", unknown); w.Code != http.StatusNoContent {
		t.Errorf("a public operation: %d", w.Code)
	}
	// A credential that is revoked has no privilege.
	u.revoked = "org_a.alice"
	wantProblem(t, from(g, here, "org_a.alice"), 401, "unauthenticated")
	wantProblem(t, from(g, here, "org_a.alice"), 429, "too_many_bad_credentials")
	c.Advance(time.Minute)
	if w := from(g, here, "org_b.newcomer"); w.Code != http.StatusNoContent {
		t.Errorf("after the period: %d", w.Code)
	}
	wantProblem(t, from(g, here, "bad"), 401, "unauthenticated")
}

// One host has all addresses of an IPv6 network.
func TestBadCredentialsOfANetwork(t *testing.T) {
	g, _, _ := credentialGateway(t, gateway.Rate{Requests: 5, Period: time.Minute})
	for i := range 5 {
		wantProblem(t, from(g, fmt.Sprintf("[2001:db8::%d]:1", i), "bad"), 401, "unauthenticated")
	}
	wantProblem(t, from(g, "[2001:db8::99]:1", "bad"), 429, "too_many_bad_credentials")
	wantProblem(t, from(g, "[2001:db8:0:1::1]:1", "bad"), 401, "unauthenticated")
}

func TestBadCredentialsWithoutLimit(t *testing.T) {
	g, u, _ := credentialGateway(t, gateway.NoLimit)
	for range 1000 {
		wantProblem(t, from(g, "203.0.113.7:1", "bad"), 401, "unauthenticated")
	}
	if u.verified != 1000 {
		t.Errorf("%d were verified", u.verified)
	}
	// It is on where nobody says anything.
	g, u, _ = credentialGateway(t, gateway.Rate{})
	for range 1000 {
		from(g, "203.0.113.7:1", "bad")
	}
	if u.verified != 300 {
		t.Errorf("%d were verified, want 300", u.verified)
	}
}
