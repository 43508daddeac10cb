package user_test

import (
	"slices"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// A token says when and how its person signed in; renewing it or going to
// another organization does not make that newer.
func TestSignInIsCarried(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	began := b.clock.Now()
	check := func(what string, access user.Secret, at time.Time) {
		t.Helper()
		p := b.verify(t, access)
		if !p.SignedInAt.Equal(at) || !slices.Equal(p.Methods, []string{"pwd"}) {
			t.Errorf("%s: signed in at %s by %v, want %s by pwd", what, p.SignedInAt, p.Methods, at)
		}
	}
	check("sign-up", ann.Tokens.Access, began)

	b.clock.Advance(time.Hour)
	renewed, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
	check("refresh", renewed.Access, began)

	p := b.verify(t, renewed.Access)
	other, err := b.CreateOrganization(t.Context(), p, "Other")
	noError(t, err)
	switched, err := b.Switch(t.Context(), p, other.ID)
	noError(t, err)
	check("switch", switched.Access, began)
	again, err := b.Refresh(t.Context(), switched.Refresh)
	noError(t, err)
	check("refresh after a switch", again.Access, began)

	login, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	check("login", login.Access, b.clock.Now())

	// A session from before sign-ins were noted is never fresh.
	b.exec(t, `UPDATE user_sessions SET signed_in_at = 0, methods = '[]'`)
	old, err := b.Refresh(t.Context(), login.Refresh)
	noError(t, err)
	if p := b.verify(t, old.Access); p.SignedInWithin(100*365*24*time.Hour, b.clock.Now()) || len(p.Methods) != 0 {
		t.Errorf("signed in at %s by %v", p.SignedInAt, p.Methods)
	}
}

// Nobody signs in with an API key.
func TestKeysAreNeverFresh(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, secret, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	if p := b.verify(t, secret); p.SignedInWithin(time.Hour, b.clock.Now()) || p.Methods != nil {
		t.Errorf("signed in at %s by %v", p.SignedInAt, p.Methods)
	}
}

// A person who has chosen no organization reaches what is theirs, and no
// organization's data.
func TestPersonWithoutOrganization(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	alone := platform.Principal{Tenant: platform.NoTenant, Subject: ann.User.ID, Kind: platform.PrincipalUser, SignedInAt: b.clock.Now()}
	me, err := b.Me(t.Context(), alone)
	noError(t, err)
	if me.User.ID != ann.User.ID || me.Organization != "" {
		t.Errorf("got %+v", me)
	}
	name, password := "Ann B", user.Secret("another tractor 9 umbrella")
	_, err = b.UpdateMe(t.Context(), alone, user.MeChange{Name: &name, Password: &password, CurrentPassword: goodPassword})
	noError(t, err)
	_, err = b.Verify(t.Context(), string(ann.Tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "password.changed"}, 10, "")
	noError(t, err)
	if len(records) != 1 || records[0].Actor != ann.User.ID {
		t.Errorf("the organization's audit has %+v", records)
	}
	org, err := b.CreateOrganization(t.Context(), alone, "Second")
	noError(t, err)
	all, _, err := b.Organizations(t.Context(), alone, 10, "")
	noError(t, err)
	if len(all) != 2 || org.Name != "Second" {
		t.Errorf("got %+v", all)
	}
	_, _, err = b.Sessions(t.Context(), alone, 10, "")
	noError(t, err)
	for what, call := range map[string]func() error{
		"members":      func() error { _, err := b.Members(t.Context(), alone); return err },
		"organization": func() error { _, err := b.Organization(t.Context(), alone); return err },
		"audit":        func() error { _, _, err := b.Audit(t.Context(), alone, user.AuditFilter{}, 10, ""); return err },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Who acts for a person stands in the audit as the actor, with the person.
func TestAuditNamesTheActor(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	by := ann.p.Clone()
	by.Actor = &platform.Actor{Subject: "agt_1", Kind: platform.PrincipalAgent}
	_, err := b.UpdateOrganization(t.Context(), by, user.OrganizationChange{Name: ptr("Renamed")})
	noError(t, err)
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "organization.renamed"}, 10, "")
	noError(t, err)
	if len(records) != 1 || records[0].Actor != "agt_1" || records[0].ActorKind != platform.PrincipalAgent ||
		records[0].Detail["on_behalf_of"] != ann.User.ID {
		t.Errorf("got %+v", records)
	}
	_, err = b.VerifyAudit(t.Context(), ann.p)
	noError(t, err)
}
