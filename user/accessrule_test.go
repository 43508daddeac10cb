package user_test

import (
	"errors"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/user"
)

func invoices(c *user.Config) { c.ResourceTypes = []string{"invoice"} }

func TestAccessRules(t *testing.T) {
	b := open(t, invoices)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	ctx := t.Context()
	team, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: "Support"})
	noError(t, err)
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	rule := func(in user.NewAccessRule) user.AccessRule {
		t.Helper()
		r, err := b.CreateAccessRule(ctx, ann.p, in)
		noError(t, err)
		got, err := b.AccessRule(ctx, ann.p, r.ID)
		if err != nil || got.Permission != in.Permission || got.Role != in.Role || got.Team != in.Team || got.Effect != in.Effect ||
			got.Resource.Type != in.Resource.Type || got.Resource.ID != in.Resource.ID || got.CreatedBy != ann.p.Subject {
			t.Fatalf("%+v, %v", got, err)
		}
		return r
	}
	deny := rule(user.NewAccessRule{Role: user.RoleMember, Permission: "data.records.delete", Effect: user.Deny})
	b.may(t, ben, "data.records.delete", false)
	b.may(t, ben, "data.records.write", true)
	// What is denied wins over what a team allows.
	allow := rule(user.NewAccessRule{Team: team.ID, Permission: "data.*", Effect: user.Allow})
	b.may(t, ben, "data.collections.write", true)
	b.may(t, ben, "data.records.delete", false)
	noError(t, b.DeleteAccessRule(ctx, ann.p, deny.ID))
	b.may(t, ben, "data.records.delete", true)
	noError(t, b.DeleteAccessRule(ctx, ann.p, allow.ID))
	b.may(t, ben, "data.collections.write", false)
	want(t, b.DeleteAccessRule(ctx, ann.p, allow.ID), platform.KindNotFound, "")

	// A rule may be limited to a type or a resource.
	one, all := user.Resource{Type: "invoice", ID: "inv_1"}, user.Resource{Type: "invoice"}
	rule(user.NewAccessRule{Team: team.ID, Permission: "host.pay", Effect: user.Allow, Resource: all})
	rule(user.NewAccessRule{Role: user.RoleMember, Permission: "host.*", Effect: user.Deny, Resource: one})
	b.may(t, ben, "host.pay", false)
	b.mayTo(t, ben, "host.pay", user.Resource{Type: "film", ID: "inv_1"}, false)
	b.mayTo(t, ben, "host.pay", user.Resource{Type: "invoice", ID: "inv_2"}, true)
	b.mayTo(t, ben, "host.pay", one, false)
	// Nothing is denied to an owner, by whatever role or team.
	rule(user.NewAccessRule{Team: team.ID, Permission: "*", Effect: user.Deny})
	_, err = b.UpdateMember(ctx, ann.p, m.ID, roles(user.RoleMember, user.RoleOwner))
	noError(t, err)
	ben = b.again(t, "ben@example.com", ben.Tenant)
	b.mayTo(t, ben, "host.pay", one, true)
	b.may(t, ben, "data.records.delete", true)
}

func TestBadAccessRules(t *testing.T) {
	b := open(t, invoices)
	ann := b.signUp(t, "ann@example.com")
	good := user.NewAccessRule{Role: "viewer", Permission: "data.*", Effect: user.Deny}
	for what, change := range map[string]func(*user.NewAccessRule){
		"nobody":        func(r *user.NewAccessRule) { r.Role = "" },
		"two":           func(r *user.NewAccessRule) { r.Team = "tea_x" },
		"owner":         func(r *user.NewAccessRule) { r.Role = "owner" },
		"no such role":  func(r *user.NewAccessRule) { r.Role = "none" },
		"no such team":  func(r *user.NewAccessRule) { r.Role, r.Team = "", "tea_x" },
		"no permission": func(r *user.NewAccessRule) { r.Permission = "" },
		"half a word":   func(r *user.NewAccessRule) { r.Permission = "data.rec*" },
		"no effect":     func(r *user.NewAccessRule) { r.Effect = "" },
		"no known type": func(r *user.NewAccessRule) { r.Resource.Type = "film" },
		"no type":       func(r *user.NewAccessRule) { r.Resource.ID = "1" },
		"attributes": func(r *user.NewAccessRule) {
			r.Resource = user.Resource{Type: "invoice", Attributes: map[string]string{"a": "b"}}
		},
		"no description": func(r *user.NewAccessRule) { r.Description = "\xff" },
	} {
		in := good
		change(&in)
		if _, err := b.CreateAccessRule(t.Context(), ann.p, in); platform.KindOf(errOr(err)) != platform.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 200 {
		_, err := b.CreateAccessRule(t.Context(), ann.p, good)
		noError(t, err)
	}
	_, err := b.CreateAccessRule(t.Context(), ann.p, good)
	want(t, err, platform.KindConflict, "too_many_rules")
}

// Nobody gets more by teams, by what roles inherit, or by taking away what denies.
func TestNoSelfEscalation(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ctx := t.Context()
	// Ben keeps people, roles and teams, and one of his teams may not delete.
	_, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "keeper", Permissions: []string{"user.*", "data.records.*"}})
	noError(t, err)
	strong, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "strong", Permissions: []string{"host.*"}})
	noError(t, err)
	weak, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "weak", Permissions: []string{"data.records.read"}})
	noError(t, err)
	ben, benMember := b.join(t, ann.p, "ben@example.com", "keeper")
	_, err = b.CreateRole(ctx, ann.p, user.NewRole{Name: "reader", Permissions: []string{"data.records.read"}})
	noError(t, err)
	_, eveMember := b.join(t, ann.p, "eve@example.com", "reader")
	team := func(name string, roles ...string) string {
		t.Helper()
		made, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: name, Roles: roles})
		noError(t, err)
		return made.ID
	}
	strongTeam, careful, plain := team("strong", "strong"), team("careful"), team("plain", "weak")
	denies, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Team: careful, Permission: "data.records.delete", Effect: user.Deny})
	noError(t, err)
	allows, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Role: "weak", Permission: "host.secret", Effect: user.Allow})
	noError(t, err)
	noError(t, b.AddTeamMember(ctx, ann.p, careful, benMember.ID))
	noError(t, b.AddTeamMember(ctx, ann.p, strongTeam, eveMember.ID))
	b.may(t, ben, "data.records.delete", false)
	b.may(t, ben, "data.records.write", true)

	status := user.Suspended
	for what, f := range map[string]func() error{
		"team with a strong role": func() error {
			return second(b.CreateTeam(ctx, ben, user.NewTeam{Name: "x", Roles: []string{"strong"}}))
		},
		"team that gets a strong role": func() error {
			return second(b.UpdateTeam(ctx, ben, careful, user.TeamChange{Roles: []string{"strong"}}))
		},
		"strong team that loses a role": func() error { return second(b.UpdateTeam(ctx, ben, strongTeam, user.TeamChange{Roles: []string{}})) },
		"strong team deleted":           func() error { return b.DeleteTeam(ctx, ben, strongTeam) },
		"other into a strong team":      func() error { return b.AddTeamMember(ctx, ben, strongTeam, eveMember.ID) },
		"other out of a strong team":    func() error { return b.RemoveTeamMember(ctx, ben, strongTeam, eveMember.ID) },
		"into a team that is allowed":   func() error { return b.AddTeamMember(ctx, ben, plain, eveMember.ID) },
		"other out of what denies":      func() error { return b.RemoveTeamMember(ctx, ben, careful, eveMember.ID) },
		"deny removed":                  func() error { return b.DeleteAccessRule(ctx, ben, denies.ID) },
		"allow removed":                 func() error { return b.DeleteAccessRule(ctx, ben, allows.ID) },
		"allow of what is denied": func() error {
			return second(b.CreateAccessRule(ctx, ben, user.NewAccessRule{Role: "keeper", Permission: "data.records.delete", Effect: user.Allow}))
		},
		"allow over what is denied": func() error {
			return second(b.CreateAccessRule(ctx, ben, user.NewAccessRule{Role: "keeper", Permission: "data.records.*", Effect: user.Allow}))
		},
		"allow of what is not held": func() error {
			return second(b.CreateAccessRule(ctx, ben, user.NewAccessRule{Role: "keeper", Permission: "host.x", Effect: user.Allow}))
		},
		"deny of what is not held": func() error {
			return second(b.CreateAccessRule(ctx, ben, user.NewAccessRule{Role: "admin", Permission: "host.x", Effect: user.Deny}))
		},
		"role that inherits a strong one": func() error {
			return second(b.CreateRole(ctx, ben, user.NewRole{Name: "x", Parents: []string{"strong"}}))
		},
		"role that inherits by a rule": func() error {
			return second(b.CreateRole(ctx, ben, user.NewRole{Name: "x", Parents: []string{"weak"}}))
		},
		"role made to inherit": func() error {
			return second(b.UpdateRole(ctx, ben, weak.ID, user.RoleChange{Parents: []string{"strong"}}))
		},
		"strong role freed of parents": func() error {
			return second(b.UpdateRole(ctx, ben, strong.ID, user.RoleChange{Parents: []string{}}))
		},
		"role of what is denied": func() error {
			return second(b.CreateRole(ctx, ben, user.NewRole{Name: "x", Permissions: []string{"data.records.delete"}}))
		},
		"key of what is denied": func() error {
			_, _, err := b.CreateAPIKey(ctx, ben, user.NewAPIKey{Name: "x", Scopes: []string{"data.records.*"}})
			return err
		},
		"invitation to what is denied": func() error {
			_, _, err := b.Invite(ctx, ben, user.NewInvitation{Email: "zoe@example.com", Roles: []string{"keeper"}})
			return err
		},
		"invitation to what a rule allows": func() error {
			_, _, err := b.Invite(ctx, ben, user.NewInvitation{Email: "zoe@example.com", Roles: []string{"weak"}})
			return err
		},
		"member of a strong team changed": func() error {
			return second(b.UpdateMember(ctx, ben, eveMember.ID, user.MemberChange{Status: &status}))
		},
		"member of a strong team removed":   func() error { return b.RemoveMember(ctx, ben, eveMember.ID) },
		"member given what a rule allows":   func() error { return second(b.UpdateMember(ctx, ben, eveMember.ID, roles("weak"))) },
		"role deleted that a rule is about": func() error { return b.DeleteRole(ctx, ben, weak.ID) },
	} {
		err := f()
		if platform.KindOf(errOr(err)) != platform.KindForbidden || codeOf(err) != "above_own_rights" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"himself into a team":   b.AddTeamMember(ctx, ben, plain, benMember.ID),
		"himself out of a team": b.RemoveTeamMember(ctx, ben, careful, benMember.ID),
		"the owner herself":     b.AddTeamMember(ctx, ann.p, plain, mustMember(t, b, ann).ID),
	} {
		if codeOf(err) != "own_membership" {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.may(t, ben, "data.records.delete", false)
	b.may(t, ben, "host.x", false)

	// The last owner stays, whatever is denied to whom.
	_, err = b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Team: careful, Permission: "*", Effect: user.Deny})
	noError(t, err)
	annMember := mustMember(t, b, ann)
	noError(t, b.AddTeamMember(ctx, platform.System(ann.p.Tenant, "host"), careful, annMember.ID))
	b.may(t, ann.p, "user.roles.write", true)
	want(t, b.LeaveOrganization(ctx, ann.p, ann.p.Tenant), platform.KindConflict, "last_owner")
	noError(t, b.DeleteAccessRule(ctx, ann.p, denies.ID))
}

func mustMember(t *testing.T, b *bundle, of person) user.Member {
	t.Helper()
	m, err := b.Member(t.Context(), of.p, of.p.Subject)
	noError(t, err)
	return m
}

// What changes in one process acts in another when the message arrives, though
// what is in its memory would be good for a minute: roles of members, teams, what
// roles inherit and rules, decided by the index or by casbin.
func TestRulesReachOtherProcesses(t *testing.T) {
	for name, model := range map[string]string{"index": "", "casbin": user.DefaultAccessModel} {
		t.Run(name, func(t *testing.T) {
			bus := memory.NewPubSub()
			shared := func(c *user.Config) { c.PubSub, c.VerifyTTL, c.AccessModel = bus, time.Minute, model }
			a := open(t, shared)
			other := a.replica(t, shared)
			changeRules(t, a, other, func(what string, done func() bool) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); !done(); {
					if time.Now().After(deadline) {
						t.Fatalf("%s did not reach the other process", what)
					}
				}
			})
		})
	}
}

// Where processes tell each other nothing, VerifyTTL is the bound.
func TestRulesAreBounded(t *testing.T) {
	for name, model := range map[string]string{"index": "", "casbin": user.DefaultAccessModel} {
		t.Run(name, func(t *testing.T) {
			shared := func(c *user.Config) { c.AccessModel = model }
			a := open(t, shared)
			changeRules(t, a, a.replica(t, shared), func(what string, done func() bool) {
				t.Helper()
				if a.clock.Advance(5 * time.Second); !done() {
					t.Errorf("%s did not reach the other process", what)
				}
			})
		})
	}
}

// changeRules changes all that decides in one process and looks at both.
func changeRules(t *testing.T, a, other *bundle, until func(what string, done func() bool)) {
	t.Helper()
	ctx := t.Context()
	ann := a.signUp(t, "ann@example.com")
	_, m := a.join(t, ann.p, "ben@example.com", user.RoleViewer)
	tokens, err := a.LogIn(ctx, user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	may := func(b *bundle) bool {
		p, err := b.Verify(ctx, string(tokens.Access))
		noError(t, err)
		ok, err := b.Can(ctx, p, "data.records.write", user.Resource{})
		noError(t, err)
		return ok
	}
	check := func(what string, want bool, err error) {
		t.Helper()
		noError(t, err)
		if may(a) != want {
			t.Errorf("%s does not act in the process that has made it", what)
		}
		until(what, func() bool { return may(other) == want })
	}
	check("the beginning", false, nil)
	_, err = a.UpdateMember(ctx, ann.p, m.ID, roles(user.RoleMember))
	check("a role that a member gets", true, err)
	_, err = a.UpdateMember(ctx, ann.p, m.ID, roles(user.RoleViewer))
	check("a role that a member loses", false, err)
	team, err := a.CreateTeam(ctx, ann.p, user.NewTeam{Name: "Support", Roles: []string{user.RoleMember}})
	check("a team without him", false, err)
	check("a team that he joins", true, a.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	rule, err := a.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Team: team.ID, Permission: "data.records.write", Effect: user.Deny})
	check("a rule that denies", false, err)
	check("its removal", true, a.DeleteAccessRule(ctx, ann.p, rule.ID))
	role, err := a.CreateRole(ctx, ann.p, user.NewRole{Name: "clerk", Parents: []string{user.RoleMember}})
	noError(t, err)
	_, err = a.UpdateTeam(ctx, ann.p, team.ID, user.TeamChange{Roles: []string{"clerk"}})
	check("a role that inherits", true, err)
	_, err = a.UpdateRole(ctx, ann.p, role.ID, user.RoleChange{Parents: []string{user.RoleViewer}})
	check("a role that inherits no more", false, err)
	_, err = a.UpdateRole(ctx, ann.p, role.ID, user.RoleChange{Permissions: []string{"data.*"}})
	check("a role that grants", true, err)
	check("a team that he leaves", false, a.RemoveTeamMember(ctx, ann.p, team.ID, m.ID))
}

func codeOf(err error) string {
	var e *platform.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.CodeOrKind()
}
