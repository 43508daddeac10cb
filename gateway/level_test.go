package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// callers verifies names to principals.
type callers map[string]platform.Principal

func (c callers) Verify(_ context.Context, credential string) (platform.Principal, error) {
	p, ok := c[credential]
	if !ok {
		return p, platform.Errorf(platform.KindUnauthenticated, "", "the token is not valid")
	}
	return p, nil
}

// levels are routes of each level.
func levels() []platform.Route {
	who := func(w http.ResponseWriter, r *http.Request) {
		p, _ := platform.CallerFrom(r.Context())
		_, _ = io.WriteString(w, p.String())
	}
	return []platform.Route{
		route("x.account", "GET", "/account", platform.Account(), who),
		route("x.authenticated", "GET", "/authenticated", platform.Authenticated(), who),
		route("x.permission", "GET", "/permission", platform.Require("x.read"), who),
		route("x.operator", "GET", "/operator", platform.Operator(), who),
		route("x.fresh", "POST", "/fresh", platform.Require("x.write").Fresh(5*time.Minute), who),
		route("x.freshAccount", "POST", "/fresh-account", platform.Account().Fresh(5*time.Minute), who),
	}
}

func TestLevels(t *testing.T) {
	clk := newClock()
	cfg := config()
	cfg.Now = clk.Now
	cfg.Authenticators = gateway.Credentials(callers{
		"ann":      {Tenant: "org_a", Subject: "ann", Kind: platform.PrincipalUser, SignedInAt: clk.Now()},
		"alone":    {Tenant: platform.NoTenant, Subject: "ann", Kind: platform.PrincipalUser, SignedInAt: clk.Now()},
		"guest":    {Tenant: "org_a", Subject: "guest", Kind: platform.PrincipalUser},
		"key":      {Tenant: "org_a", Subject: "ann", Kind: platform.PrincipalAPIKey},
		"operator": {Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator},
	})
	g := newGateway(t, cfg, levels()...)
	for _, c := range []struct {
		method, path, who string
		status            int
		code              string
	}{
		{"GET", "/account", "ann", 200, ""},
		{"GET", "/account", "alone", 200, ""},
		{"GET", "/account", "key", 200, ""},
		{"GET", "/account", "operator", 403, "person_required"},
		{"GET", "/authenticated", "ann", 200, ""},
		{"GET", "/authenticated", "alone", 403, "organization_required"},
		{"GET", "/authenticated", "operator", 403, "organization_required"},
		{"GET", "/permission", "ann", 200, ""},
		{"GET", "/permission", "alone", 403, "organization_required"},
		{"GET", "/permission", "guest", 403, "forbidden"},
		{"GET", "/permission", "operator", 403, "organization_required"},
		{"GET", "/operator", "operator", 200, ""},
		{"GET", "/operator", "ann", 403, "operator_required"},
		{"GET", "/operator", "alone", 403, "operator_required"},
		{"POST", "/fresh", "ann", 200, ""},
		{"POST", "/fresh", "key", 401, "reauthentication_required"},
		{"POST", "/fresh", "guest", 403, "forbidden"}, // signing in again would not help
		{"POST", "/fresh-account", "alone", 200, ""},
	} {
		t.Run(c.path+" "+c.who, func(t *testing.T) {
			w := call(g, c.method, c.path, "Authorization: Bearer "+c.who)
			if c.status == 200 {
				if w.Code != 200 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				return
			}
			wantProblem(t, w, c.status, c.code)
		})
	}
	clk.Advance(6 * time.Minute)
	w := call(g, "POST", "/fresh", "Authorization: Bearer ann")
	wantProblem(t, w, 401, "reauthentication_required")
	if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer error="insufficient_user_authentication"`) ||
		!strings.HasSuffix(got, `max_age="300"`) {
		t.Errorf("the challenge is %s", got)
	}
}

// Callers without an organization have budgets of their own, not one together.
func TestCallersWithoutTenantShareNothing(t *testing.T) {
	cfg := config()
	cfg.RateLimit = gateway.Rate{Requests: 2, Period: time.Minute}
	cfg.Limits = func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
		if tenant == platform.NoTenant {
			t.Error("a host's plan is asked for no tenant")
		}
		return platform.Limits{RequestsPerMinute: 1, Streams: 1}, nil
	}
	cfg.Authenticators = gateway.Credentials(callers{
		"ann": {Tenant: platform.NoTenant, Subject: "ann", Kind: platform.PrincipalUser},
		"ben": {Tenant: platform.NoTenant, Subject: "ben", Kind: platform.PrincipalUser},
	})
	g := newGateway(t, cfg, levels()...)
	for _, who := range []string{"ann", "ben"} {
		for i, want := range []int{200, 200, 429} {
			if w := call(g, "GET", "/account", "Authorization: Bearer "+who); w.Code != want {
				t.Errorf("%s, call %d: %d %s", who, i+1, w.Code, w.Body)
			}
		}
	}
}

// The document says which level an operation has.
func TestLevelsInDocument(t *testing.T) {
	w := call(newGateway(t, config(), levels()...), "GET", "/openapi.json")
	for _, want := range []string{
		`"x-access":"account"`, `"x-access":"authenticated"`, `"x-access":"permission"`, `"x-access":"operator"`,
		`"x-access":"public"`, `"x-max-age":300`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}
