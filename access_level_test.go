package platform_test

import (
	"errors"
	"testing"
	"time"

	"github.com/acme/platform"
)

// Each level admits the kinds and tenants that it names and no others.
func TestAccessLevels(t *testing.T) {
	person := platform.Principal{Tenant: "org_a", Subject: "usr_1", Kind: platform.PrincipalUser}
	alone := platform.Principal{Tenant: platform.NoTenant, Subject: "usr_1", Kind: platform.PrincipalUser}
	key := platform.Principal{Tenant: "org_a", Subject: "usr_1", Kind: platform.PrincipalAPIKey, Scopes: []string{"data.records.read", "me.get"}}
	service := platform.Principal{Tenant: "org_a", Subject: "svc_1", Kind: platform.PrincipalService}
	operator := platform.Principal{Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator}
	inside := platform.Principal{Tenant: "org_a", Subject: "opk_1", Kind: platform.PrincipalOperator}
	posing := platform.Principal{Tenant: platform.NoTenant, Subject: "usr_1", Kind: platform.PrincipalUser, Roles: []string{"owner"}}
	for _, c := range []struct {
		access    platform.Access
		operation string
		who       platform.Principal
		code      string // "" passes
	}{
		{platform.Public(), "x", platform.Principal{}, ""},
		{platform.Account(), "me.get", person, ""},
		{platform.Account(), "me.get", alone, ""},
		{platform.Account(), "me.get", key, ""},
		{platform.Account(), "me.update", key, "forbidden"},
		{platform.Account(), "me.get", service, "person_required"},
		{platform.Account(), "me.get", operator, "person_required"},
		{platform.Account(), "me.get", platform.Principal{}, "unauthenticated"},
		{platform.Authenticated(), "inbox.list", person, ""},
		{platform.Authenticated(), "inbox.list", service, ""},
		{platform.Authenticated(), "inbox.list", alone, "organization_required"},
		{platform.Authenticated(), "inbox.list", operator, "organization_required"},
		{platform.Authenticated(), "inbox.list", inside, "organization_required"},
		{platform.Authenticated(), "inbox.list", key, "forbidden"},
		{platform.Require("data.records.read"), "data.records.get", key, ""},
		{platform.Require("data.records.write"), "data.records.get", key, "forbidden"},
		{platform.Require("data.records.read"), "data.records.get", posing, "organization_required"},
		{platform.Require("data.records.read"), "data.records.get", inside, "organization_required"},
		{platform.Operator(), "operator.keys.list", operator, ""},
		{platform.Operator(), "operator.keys.list", inside, "operator_required"},
		{platform.Operator(), "operator.keys.list", posing, "operator_required"},
		{platform.Operator(), "operator.keys.list", person, "operator_required"},
		{platform.Access{}, "x", person, "internal"},
	} {
		err := c.access.Admits(c.who, c.operation)
		var refused *platform.Error
		switch errors.As(err, &refused); {
		case c.code == "" && err == nil:
		case refused == nil || refused.CodeOrKind() != c.code:
			t.Errorf("%s for %s by %s: %v, want %q", c.access.Level(), c.operation, c.who, err, c.code)
		}
	}
}

func TestFresh(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		signedIn time.Time
		fresh    bool
	}{
		{time.Time{}, false},
		{now, true},
		{now.Add(-5 * time.Minute), true},
		{now.Add(-5*time.Minute - time.Second), false},
		{now.Add(time.Second), true},
		{now.Add(time.Hour), false},
	} {
		if got := (platform.Principal{SignedInAt: c.signedIn}).SignedInWithin(5*time.Minute, now); got != c.fresh {
			t.Errorf("signed in at %s: fresh %v", c.signedIn, got)
		}
	}
	a := platform.Require("data.records.write").Fresh(time.Minute)
	if a.MaxAge() != time.Minute || a.Permission() != "data.records.write" || a.Level() != "permission" {
		t.Errorf("got %s %s %s", a.Level(), a.Permission(), a.MaxAge())
	}
	for name, bad := range map[string]func(){
		"public":   func() { platform.Public().Fresh(time.Minute) },
		"operator": func() { platform.Operator().Fresh(time.Minute) },
		"nothing":  func() { platform.Access{}.Fresh(time.Minute) },
		"no age":   func() { platform.Account().Fresh(0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			bad()
		}()
	}
}

// No tenant is no tenant, and only who asks for a caller gets one without.
func TestNoTenant(t *testing.T) {
	if platform.NoTenant.Validate() == nil || platform.NoTenant.ValidateScope() != nil || platform.TenantID("").ValidateScope() == nil {
		t.Error("NoTenant must be a scope and no tenant")
	}
	ctx := platform.WithPrincipal(t.Context(), platform.Principal{Tenant: platform.NoTenant, Subject: "usr_1"})
	if p, err := platform.PrincipalFrom(ctx); !errors.Is(err, platform.ErrForbidden) || p.Subject != "" {
		t.Errorf("PrincipalFrom: %v, %v", p, err)
	}
	if p, err := platform.CallerFrom(ctx); err != nil || p.Subject != "usr_1" {
		t.Errorf("CallerFrom: %v, %v", p, err)
	}
	for _, tenant := range []platform.TenantID{"", "a b"} {
		if _, err := platform.CallerFrom(platform.WithPrincipal(t.Context(), platform.Principal{Tenant: tenant})); !errors.Is(err, platform.ErrUnauthenticated) {
			t.Errorf("CallerFrom of %q: %v", tenant, err)
		}
	}
}

func TestAttribution(t *testing.T) {
	p := platform.Principal{Tenant: "org_a", Subject: "usr_1", Kind: platform.PrincipalUser}
	if actor, behalf := p.Attribution(); actor != "usr_1" || behalf != "" {
		t.Errorf("got %s for %s", actor, behalf)
	}
	p.Actor = &platform.Actor{Subject: "agt_1", Kind: platform.PrincipalAgent}
	if actor, behalf := p.Attribution(); actor != "agt_1" || behalf != "usr_1" {
		t.Errorf("got %s for %s", actor, behalf)
	}
	q := p.Clone()
	if q.Actor.Subject = "agt_2"; p.Actor.Subject != "agt_1" {
		t.Error("a clone shares its actor")
	}
}

func TestTraceParent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for s, valid := range map[string]bool{
		good:                      true,
		"01" + good[2:] + "-more": true,
		good + "-more":            false, // version 00 ends there
		good[:54]:                 false,
		"ff" + good[2:]:           false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": false,
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": false,
		"": false,
	} {
		ctx := platform.WithTraceParent(t.Context(), s)
		if got := platform.TraceParentFrom(ctx); (got == s && s != "") != valid || platform.ValidTraceParent(s) != valid {
			t.Errorf("%q: valid %v, carried %q", s, platform.ValidTraceParent(s), got)
		}
	}
	e := platform.Event{ID: "e", Source: "/x", Type: "x", Tenant: "org_a", Subject: "s", Time: time.Unix(1, 0), TraceParent: "no"}
	if e.Validate() == nil {
		t.Error("an event with a bad trace parent is valid")
	}
}
