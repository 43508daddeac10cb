package user_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func TestRoles(t *testing.T) {
	b := open(t, func(c *user.Config) {
		c.Roles = map[string][]string{"support": {"host.tickets.*"}, user.RoleMember: {"host.tickets.read"}}
	})
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	noError(t, b.Authorize(t.Context(), ben, "host.tickets.read"))

	role, err := b.CreateRole(t.Context(), ann.p, user.NewRole{Name: "curator", Permissions: []string{"data.collections.*", "data.collections.*"}})
	if err != nil || len(role.Permissions) != 1 {
		t.Fatalf("%+v, %v", role, err)
	}
	for _, name := range []string{"curator", "owner", "support"} {
		_, err = b.CreateRole(t.Context(), ann.p, user.NewRole{Name: name, Permissions: []string{"data.*"}})
		want(t, err, platform.KindConflict, "role_taken")
	}
	_, err = b.CreateRole(t.Context(), ann.p, user.NewRole{Name: "Bad name", Permissions: []string{"data..x"}})
	want(t, err, platform.KindInvalid, "")
	all, err := b.Roles(t.Context(), ann.p)
	names := []string{}
	for _, r := range all {
		names = append(names, r.Name)
	}
	if err != nil || !slices.Equal(names, []string{"admin", "member", "owner", "support", "viewer", "curator"}) {
		t.Errorf("roles %v, %v", names, err)
	}

	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles("curator"))
	noError(t, err)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	ben = b.verify(t, tokens.Access)
	noError(t, b.Authorize(t.Context(), ben, "data.collections.write"))
	want(t, b.Authorize(t.Context(), ben, "data.records.read"), platform.KindForbidden, "")
	want(t, b.DeleteRole(t.Context(), ann.p, role.ID), platform.KindConflict, "role_in_use")

	// What a role means changes at once.
	_, err = b.UpdateRole(t.Context(), ann.p, role.ID, user.RoleChange{Permissions: []string{"data.records.read"}})
	noError(t, err)
	noError(t, b.Authorize(t.Context(), ben, "data.records.read"))
	want(t, b.Authorize(t.Context(), ben, "data.collections.write"), platform.KindForbidden, "")

	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleViewer))
	noError(t, err)
	noError(t, b.DeleteRole(t.Context(), ann.p, role.ID))
	want(t, b.DeleteRole(t.Context(), ann.p, role.ID), platform.KindNotFound, "")
	want(t, b.Authorize(t.Context(), ben, "data.records.read"), platform.KindForbidden, "")
	for _, name := range []string{"owner", "support"} {
		want(t, b.DeleteRole(t.Context(), ann.p, name), platform.KindConflict, "role_built_in")
	}
}

// Names of roles are no patterns: one is not in use because of another.
func TestRoleUsedExactly(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for _, name := range []string{"a_b", "axb", "xa_b", "a_bx"} {
		_, err := b.CreateRole(t.Context(), ann.p, user.NewRole{Name: name, Permissions: []string{"data.*"}})
		noError(t, err)
	}
	_, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"axb", "xa_b", "a_bx"}})
	noError(t, err)
	all, err := b.Roles(t.Context(), ann.p)
	noError(t, err)
	for _, r := range all {
		switch r.Name {
		case "a_b":
			noError(t, b.DeleteRole(t.Context(), ann.p, r.ID))
		case "axb", "xa_b", "a_bx":
			want(t, b.DeleteRole(t.Context(), ann.p, r.ID), platform.KindConflict, "role_in_use")
		}
	}
}

func TestRoleLimits(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	many := make([]string, 499)
	for i := range many {
		many[i] = fmt.Sprintf("data.p%d", i)
	}
	big, err := b.CreateRole(t.Context(), ann.p, user.NewRole{Name: "big", Permissions: many})
	noError(t, err)
	_, err = b.CreateRole(t.Context(), ann.p, user.NewRole{Name: "more", Permissions: []string{"data.a", "data.b"}})
	want(t, err, platform.KindConflict, "too_many_roles")
	_, err = b.UpdateRole(t.Context(), ann.p, big.ID, user.RoleChange{Permissions: slices.Concat(many, []string{"data.x", "data.y"})})
	if err == nil {
		t.Error("a role of 501 permissions")
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, permission string
		want                bool
	}{
		{"*", "data.records.read", true},
		{"data.*", "data.records.read", true},
		{"data.records.*", "data.records.read", true},
		{"data.records.read", "data.records.read", true},
		{"data.records.read", "data.records.readall", false},
		{"data.*", "data", false},
		{"data.*", "database.read", false},
		{"data.*", "data.", false},
		{"data.rec*", "data.records.read", false},
		{"", "", true},
		{"data.records.*", "data.*", false},
	} {
		if got := platform.Grants(c.pattern, c.permission); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.permission, got)
		}
	}
	if user.Covers([]string{"data.*"}, []string{"*"}) || !user.Covers([]string{"data.*", "user.a"}, []string{"data.x.*", "user.a"}) || user.Covers(nil, []string{"a"}) {
		t.Error("covers")
	}
}

// What is covered grants no more.
func TestCovers(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "ab", "c"})
	permission := rapid.Custom(func(t *rapid.T) string {
		p := word.Draw(t, "w")
		for range rapid.IntRange(0, 2).Draw(t, "n") {
			p += "." + word.Draw(t, "w")
		}
		return p
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return "*"
		case 1, 2, 3:
			return permission.Draw(t, "p") + ".*"
		}
		return permission.Draw(t, "p")
	})
	rapid.Check(t, func(t *rapid.T) {
		p := permission.Draw(t, "permission")
		wide, narrow := rapid.SliceOfN(pattern, 0, 4).Draw(t, "wide"), rapid.SliceOfN(pattern, 0, 4).Draw(t, "narrow")
		if !user.Covers(wide, narrow) {
			return
		}
		grants := func(patterns []string) bool {
			return slices.ContainsFunc(patterns, func(x string) bool { return platform.Grants(x, p) })
		}
		if grants(narrow) && !grants(wide) {
			t.Fatalf("%v covers %v but does not grant %s", wide, narrow, p)
		}
	})
}

func TestAuthorize(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for _, c := range []struct {
		roles, scopes []string
		permission    string
		ok            bool
	}{
		{[]string{"owner"}, nil, "anything.at.all", true},
		{[]string{"admin"}, nil, "user.audit.read", true},
		{[]string{"admin"}, nil, "host.secret", false},
		{[]string{"member"}, nil, "data.records.write", true},
		{[]string{"member"}, nil, "data.collections.write", false},
		{[]string{"viewer", "member"}, nil, "data.records.write", true},
		{[]string{"viewer"}, nil, "data.records.write", false},
		{nil, nil, "data.records.read", false},
		{[]string{"none"}, nil, "data.records.read", false},
		{[]string{"r:owner"}, nil, "data.records.read", false},
		{[]string{"owner"}, []string{"data.*"}, "data.records.read", true},
		{[]string{"owner"}, []string{"data.*"}, "user.members.read", false},
		{[]string{"owner"}, []string{}, "data.records.read", false},
		{[]string{"viewer"}, []string{"*"}, "data.records.write", false},
	} {
		p := platform.Principal{Tenant: ann.p.Tenant, Subject: "usr_x", Roles: c.roles, Scopes: c.scopes}
		err := b.Authorize(t.Context(), p, c.permission)
		if c.ok != (err == nil) {
			t.Errorf("%v %v %s: %v", c.roles, c.scopes, c.permission, err)
		}
		if err != nil {
			want(t, err, platform.KindForbidden, "forbidden")
		}
	}
	if err := b.Authorize(t.Context(), platform.Principal{Roles: []string{"owner"}}, "x"); platform.KindOf(errOr(err)) != platform.KindUnauthenticated {
		t.Errorf("a principal without a tenant: %v", err)
	}
}
