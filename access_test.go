package platform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/acme/platform"
)

func TestAccessIsForOneOperationAndTenant(t *testing.T) {
	as := func(tenant platform.TenantID) context.Context {
		return platform.WithPrincipal(t.Context(), platform.Principal{Tenant: tenant, Subject: "usr_1"})
	}
	read := platform.WithAccess(as("org_a"), "data.records.read")
	for name, c := range map[string]struct {
		ctx       context.Context
		operation string
		mistake   string // a part of the error's text, "" for none
	}{
		"checked":              {read, "data.records.read", ""},
		"public":               {platform.WithAccess(t.Context(), "auth.login"), "auth.login", ""},
		"not checked":          {as("org_a"), "data.records.read", "without its access check"},
		"public, not checked":  {t.Context(), "auth.login", "without its access check"},
		"for another":          {read, "data.records.delete", "with the access check of data.records.read"},
		"of another tenant":    {platform.WithPrincipal(read, platform.Principal{Tenant: "org_b"}), "data.records.read", "another tenant"},
		"before the principal": {platform.WithPrincipal(platform.WithAccess(t.Context(), "x"), platform.Principal{Tenant: "org_a"}), "x", "another tenant"},
	} {
		err := platform.CheckAccess(c.ctx, c.operation)
		switch {
		case c.mistake == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.mistake != "" && (err == nil || platform.KindOf(err) != platform.KindInternal || !strings.Contains(err.Error(), c.mistake)):
			t.Errorf("%s: got %v, want %q", name, err, c.mistake)
		}
	}
}
