package user_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// may fails unless the principal may, or may not, do what the permission names.
func (b *bundle) may(tb testing.TB, p platform.Principal, permission string, want bool) {
	tb.Helper()
	b.mayTo(tb, p, permission, user.Resource{}, want)
}

func (b *bundle) mayTo(tb testing.TB, p platform.Principal, permission string, r user.Resource, want bool) {
	tb.Helper()
	if got, err := b.Can(tb.Context(), p, permission, r); err != nil || got != want {
		tb.Errorf("%s with %v, %s of %+v: %v, %v", p.Subject, p.Roles, permission, r, got, err)
	}
}

// again is the principal as it is verified now.
func (b *bundle) again(tb testing.TB, email string, org platform.TenantID) platform.Principal {
	tb.Helper()
	tokens, err := b.LogIn(tb.Context(), user.LogIn{Email: email, Password: goodPassword, Organization: org})
	noError(tb, err)
	return b.verify(tb, tokens.Access)
}

func TestTeams(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	_, other := b.join(t, ann.p, "cyd@example.com", user.RoleViewer)
	ctx := t.Context()
	b.may(t, ben, "data.records.write", false)
	team, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: " Support ", Roles: []string{"member", "member"}})
	if err != nil || team.Name != "Support" || len(team.Roles) != 1 {
		t.Fatalf("%+v, %v", team, err)
	}
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID)) // is in it already
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, other.ID))
	b.may(t, ben, "data.records.write", true) // at once, without another sign-in
	first, next, err := b.TeamMembers(ctx, ann.p, team.ID, 1, "")
	noError(t, err)
	rest, end, err := b.TeamMembers(ctx, ann.p, team.ID, 1, next)
	if err != nil || len(first) != 1 || len(rest) != 1 || first[0].ID != m.ID || rest[0].ID != other.ID || end != "" {
		t.Errorf("members %+v, %+v, %v", first, rest, err)
	}
	team, err = b.UpdateTeam(ctx, ann.p, team.ID, user.TeamChange{Roles: []string{}})
	if err != nil || len(team.Roles) != 0 || team.Name != "Support" {
		t.Errorf("%+v, %v", team, err)
	}
	b.may(t, ben, "data.records.write", false)
	_, err = b.UpdateTeam(ctx, ann.p, team.ID, user.TeamChange{Roles: []string{"member"}})
	noError(t, err)
	b.may(t, ben, "data.records.write", true)
	noError(t, b.RemoveTeamMember(ctx, ann.p, team.ID, m.ID))
	b.may(t, ben, "data.records.write", false)
	want(t, b.RemoveTeamMember(ctx, ann.p, team.ID, m.ID), platform.KindNotFound, "")

	// Who joins again is in no team.
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	noError(t, b.RemoveMember(ctx, ann.p, m.ID))
	_, token, err := b.Invite(ctx, ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleViewer}})
	noError(t, err)
	own := b.again(t, "ben@example.com", "")
	_, _, err = b.AcceptInvitation(ctx, own, token)
	noError(t, err)
	b.may(t, b.again(t, "ben@example.com", ann.p.Tenant), "data.records.write", false)
	if n := b.count(t, "user_team_members"); n != 1 {
		t.Errorf("%d rows", n)
	}

	rule, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Team: team.ID, Permission: "notify.*", Effect: user.Allow})
	noError(t, err)
	want(t, b.DeleteTeam(ctx, ann.p, team.ID), platform.KindConflict, "team_in_use")
	noError(t, b.DeleteAccessRule(ctx, ann.p, rule.ID))
	noError(t, b.DeleteTeam(ctx, ann.p, team.ID))
	want(t, b.DeleteTeam(ctx, ann.p, team.ID), platform.KindNotFound, "")
	if n := b.count(t, "user_team_members"); n != 0 {
		t.Errorf("%d rows", n)
	}
	events := b.events(t)
	for _, want := range []string{"user.team.changed", "user.team.member_changed", "user.access_rule.changed"} {
		if !slices.Contains(events, want) {
			t.Errorf("no event %s in %v", want, events)
		}
	}
}

func TestBadTeams(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ctx := t.Context()
	for _, in := range []user.NewTeam{
		{Name: ""},
		{Name: "x", Description: "\x00"},
		{Name: "x", Roles: []string{"owner"}},
		{Name: "x", Roles: []string{"none"}},
		{Name: "x", Roles: make([]string, 21)},
	} {
		_, err := b.CreateTeam(ctx, ann.p, in)
		want(t, err, platform.KindInvalid, "")
	}
	for i := range 100 {
		_, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: fmt.Sprint("team ", i)})
		noError(t, err)
	}
	_, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: "one more"})
	want(t, err, platform.KindConflict, "too_many_teams")
	all, err := b.Teams(ctx, ann.p)
	if err != nil || len(all) != 100 {
		t.Fatalf("%d teams, %v", len(all), err)
	}
	_, err = b.UpdateTeam(ctx, ann.p, all[0].ID, user.TeamChange{Name: &all[1].Name})
	want(t, err, platform.KindConflict, "team_taken")
	want(t, b.AddTeamMember(ctx, ann.p, all[0].ID, "mem_none"), platform.KindNotFound, "")
	want(t, b.AddTeamMember(ctx, ann.p, "tea_none", "mem_none"), platform.KindNotFound, "")
}

// Of many at once that make the same team one succeeds, and a member is in it once.
func TestTeamsAtOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, m := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	made := atOnce(t, 50, "team_taken", func(int) error {
		return second(b.CreateTeam(t.Context(), ann.p, user.NewTeam{Name: "Support"}))
	})
	all, err := b.Teams(t.Context(), ann.p)
	if err != nil || made != 1 || len(all) != 1 {
		t.Fatalf("made %d, %+v, %v", made, all, err)
	}
	if n := atOnce(t, 50, "", func(int) error { return b.AddTeamMember(t.Context(), ann.p, all[0].ID, m.ID) }); n != 50 {
		t.Errorf("%d succeeded", n)
	}
	if n := b.count(t, "user_team_members"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestInheritance(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	ctx := t.Context()
	role := func(name string, parents ...string) user.Role {
		t.Helper()
		r, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: name, Permissions: []string{"host." + name}, Parents: parents})
		noError(t, err)
		return r
	}
	first := role("r0")
	for i := range 4 {
		role(fmt.Sprint("r", i+1), fmt.Sprint("r", i))
	}
	deepest := role("r5", "r4", user.RoleMember)
	_, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "r6", Parents: []string{"r5"}})
	want(t, err, platform.KindInvalid, "invalid")
	_, err = b.UpdateMember(ctx, ann.p, m.ID, roles("r5"))
	noError(t, err)
	ben = b.again(t, "ben@example.com", ben.Tenant)
	for _, p := range []string{"host.r0", "host.r5", "data.records.write"} {
		b.may(t, ben, p, true)
	}
	for what, parents := range map[string][]string{"a circle": {"r5"}, "itself": {"r0"}, "owner": {"owner"}, "unknown": {"none"}} {
		if _, err := b.UpdateRole(ctx, ann.p, first.ID, user.RoleChange{Parents: parents}); platform.KindOf(errOr(err)) != platform.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	want(t, b.DeleteRole(ctx, ann.p, first.ID), platform.KindConflict, "role_in_use")
	// What is taken from a parent is taken from all below it.
	_, err = b.UpdateRole(ctx, ann.p, first.ID, user.RoleChange{Permissions: []string{"host.other"}})
	noError(t, err)
	b.may(t, ben, "host.r0", false)
	b.may(t, ben, "host.other", true)
	_, err = b.UpdateRole(ctx, ann.p, deepest.ID, user.RoleChange{Parents: []string{}})
	noError(t, err)
	b.may(t, ben, "host.other", false)
	b.may(t, ben, "data.records.write", false)
	b.may(t, ben, "host.r5", true)
	only, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "only", Parents: []string{"viewer"}})
	if err != nil || len(only.Permissions) != 0 {
		t.Errorf("a role of parents alone: %+v, %v", only, err)
	}
	_, err = b.CreateRole(ctx, ann.p, user.NewRole{Name: "nothing"})
	want(t, err, platform.KindInvalid, "")
}
