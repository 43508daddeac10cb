package user_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/user"
)

// edge is a gateway before the service, with the checks of every level.
func (b *bundle) edge(tb testing.TB) http.Handler {
	tb.Helper()
	g, err := gateway.New(gateway.Config{
		Authenticators: gateway.Credentials(b.Service), Authorizer: b.Service, Cache: memory.NewCache(1 << 20),
		RateLimit: gateway.NoLimit, SignInRateLimit: gateway.NoLimit, CredentialRateLimit: gateway.NoLimit, Now: b.clock.Now,
	}, b.Service)
	noError(tb, err)
	return g
}

func (b *bundle) operator(tb testing.TB, name string) (user.OperatorKey, user.Secret) {
	tb.Helper()
	key, secret, err := b.CreateOperatorKey(tb.Context(), name)
	noError(tb, err)
	return key, secret
}

// An operator's key reaches the installation's operations and no others, and no
// credential of an organization reaches those.
func TestOperatorRoutesAreApart(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, apiKey, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"*"}})
	noError(t, err)
	_, operator := b.operator(t, "root")
	h := b.edge(t)
	operators := 0
	for _, r := range b.Routes() {
		path := strings.NewReplacer("{id}", "x", "{name}", "x").Replace(r.Path)
		status := func(credential user.Secret) int {
			req := httptest.NewRequestWithContext(t.Context(), r.Method, path, nil)
			req.Header.Set("Authorization", "Bearer "+string(credential))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Code
		}
		switch {
		case r.Access.Public():
		case r.Access.Level() == "operator":
			operators++
			for _, credential := range []user.Secret{ann.Tokens.Access, apiKey} {
				if got := status(credential); got != http.StatusForbidden {
					t.Errorf("%s with a credential of an organization: %d", r.Operation, got)
				}
			}
		default:
			if got := status(operator); got != http.StatusForbidden {
				t.Errorf("%s with an operator's key: %d", r.Operation, got)
			}
		}
	}
	if operators != 12 {
		t.Errorf("%d operations for operators", operators)
	}
}

// What an operator does to an organization stands in its audit and its events.
func TestOperatorSuspends(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	key, secret := b.operator(t, "root")
	h := b.edge(t)
	list := send[object](t, h, secret, "GET", "/v1/operator/organizations?limit=1", "", 200)
	if all, _ := list["data"].([]any); len(all) != 1 || list["next_cursor"] == nil {
		t.Errorf("a page is %v", list)
	}
	path := "/v1/operator/organizations/" + string(ann.Organization.ID)
	if got := send[object](t, h, secret, "POST", path+"/suspend", "", 200); got["status"] != "suspended" {
		t.Errorf("got %v", got)
	}
	send[object](t, h, secret, "POST", path+"/suspend", "", 200) // again changes nothing
	send[object](t, h, ann.Tokens.Access, "GET", "/v1/organization", "", 401)
	send[object](t, h, ben.Tokens.Access, "GET", "/v1/organization", "", 200)
	send[object](t, h, secret, "POST", path+"/resume", "", 200)
	send[object](t, h, ann.Tokens.Access, "GET", "/v1/organization", "", 200)
	send[object](t, h, secret, "POST", "/v1/operator/organizations/org_none/suspend", "", 404)
	send[object](t, h, secret, "POST", "/v1/operator/organizations/-/suspend", "", 404)

	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "organization.status_changed"}, 10, "")
	noError(t, err)
	if len(records) != 2 || records[0].Actor != key.ID || records[0].ActorKind != platform.PrincipalOperator ||
		records[0].Detail["status"] != "active" || records[1].Detail["status"] != "suspended" {
		t.Errorf("the audit has %+v", records)
	}
	if types := b.events(t); !slices.Contains(types, "user.organization.suspended") || !slices.Contains(types, "user.organization.resumed") {
		t.Errorf("the events are %v", types)
	}
	records, _, err = b.Audit(t.Context(), ben.p, user.AuditFilter{Action: "organization.status_changed"}, 10, "")
	noError(t, err)
	if len(records) != 0 {
		t.Errorf("another organization's audit has %+v", records)
	}
}

// A key is shown once, listed without its secret, and ends when it is revoked.
func TestOperatorKeys(t *testing.T) {
	b := open(t)
	first, secret := b.operator(t, "first")
	second, other := b.operator(t, "second")
	replica := b.replica(t)
	h := b.edge(t)
	status, list := call(t, h, secret, "GET", "/v1/operator/keys", "")
	if status != 200 || !strings.Contains(list, first.ID) || !strings.Contains(list, second.ID) ||
		strings.Contains(list, strings.TrimPrefix(string(secret), "op_")) {
		t.Errorf("%d %s", status, list)
	}
	noError(t, b.RevokeOperatorKey(t.Context(), b.verify(t, other), first.ID))
	_, err := b.Verify(t.Context(), string(secret))
	want(t, err, platform.KindUnauthenticated, "invalid_token")
	_, err = replica.Verify(t.Context(), string(secret))
	want(t, err, platform.KindUnauthenticated, "invalid_token")
	want(t, b.RevokeOperatorKey(t.Context(), b.verify(t, other), first.ID), platform.KindNotFound, "")
	replica.verify(t, other)

	ann := b.signUp(t, "ann@example.com")
	_, _, err = b.OperatorKeys(t.Context(), ann.p, 10, "")
	want(t, err, platform.KindForbidden, "operator_required")
	_, _, err = b.AllOrganizations(t.Context(), ann.p, 10, "")
	want(t, err, platform.KindForbidden, "operator_required")
	_, err = b.OperateOrganization(t.Context(), ann.p, ann.p.Tenant, user.Suspended)
	want(t, err, platform.KindForbidden, "operator_required")
	for _, forged := range []string{"op_x", "op_" + strings.Repeat("a", 300), string(other) + "a", strings.Replace(string(other), "op_", "ak_", 1)} {
		_, err := b.Verify(t.Context(), forged)
		want(t, err, platform.KindUnauthenticated, "invalid_token")
	}
	_, _, err = b.CreateOperatorKey(t.Context(), "")
	want(t, err, platform.KindInvalid, "")
}
