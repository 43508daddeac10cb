package user_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/user"
)

func TestSignUpAndLogIn(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "  Ann@Example.com ")
	if ann.User.Email != "ann@example.com" || ann.p.Subject != ann.User.ID || ann.p.Tenant != ann.Organization.ID {
		t.Errorf("got %+v, %+v", ann.User, ann.p)
	}
	if len(ann.p.Roles) != 1 || ann.p.Roles[0] != user.RoleOwner || ann.p.Scopes != nil || ann.p.Kind != platform.PrincipalUser {
		t.Errorf("principal %+v", ann.p)
	}
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ANN@example.com", Password: goodPassword})
	noError(t, err)
	p := b.verify(t, tokens.Access)
	if p.Credential == ann.p.Credential || p.Tenant != ann.p.Tenant {
		t.Errorf("the login has the session of the sign-up: %+v", p)
	}
	me, err := b.Me(t.Context(), p)
	if err != nil || me.User != ann.User || me.Organization != ann.Organization.ID {
		t.Errorf("Me: %+v, %v", me, err)
	}
}

func TestSignUpRefuses(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	in := user.SignUp{Email: "ANN@EXAMPLE.com ", Password: goodPassword, Name: "Other", Organization: "Other"}
	_, err := b.SignUp(t.Context(), in)
	want(t, err, platform.KindConflict, "email_taken")
	if n := b.count(t, "user_organizations"); n != 1 {
		t.Errorf("%d organizations after a refused sign-up", n)
	}
	_, err = b.SignUp(t.Context(), user.SignUp{Email: "no address", Password: "short", Name: "\n", Organization: ""})
	var e *platform.Error
	if !errors.As(err, &e) || len(e.Fields) != 4 {
		t.Errorf("not all bad fields are named: %v", err)
	}
	if strings.Contains(err.Error(), "no address") {
		t.Errorf("the value is repeated: %v", err)
	}
}

// A transaction that fails at its end leaves nothing, nor an event.
func TestSignUpIsOneTransaction(t *testing.T) {
	b := open(t)
	b.place.Alter(t, b.db, `ALTER TABLE user_audit RENAME TO user_audit_away`)
	if _, err := b.SignUp(t.Context(), user.SignUp{Email: "ann@example.com", Password: goodPassword, Name: "Ann", Organization: "Acme"}); err == nil {
		t.Fatal("no error")
	}
	for _, table := range []string{"user_accounts", "user_passwords", "user_organizations", "user_memberships", "user_sessions", "outbox"} {
		if n := b.count(t, table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	b.place.Alter(t, b.db, `ALTER TABLE user_audit_away RENAME TO user_audit`)
	b.signUp(t, "ann@example.com")
	if got := b.events(t); !slices.Equal(got, []string{"user.signed_up", "user.organization.created", "user.member.joined"}) {
		t.Errorf("events %v", got)
	}
}

func TestNormalizeEmail(t *testing.T) {
	for in, out := range map[string]string{
		" A.B+c@Example.COM\t": "a.b+c@example.com",
		"e\u0301@example.com":  "\u00e9@example.com",
		"ann":                  "", "ann@": "", "@example.com": "", "a b@example.com": "", "Ann <a@example.com>": "",
		"a@b@c": "", "a@[127.0.0.1]": "", "": "", "a\x00@example.com": "", `"a b"@example.com`: "",
	} {
		if got, ok := user.NormalizeEmail(in); ok != (out != "") || ok && got != out {
			t.Errorf("%q: got %q %v, want %q", in, got, ok, out)
		}
	}
}

func TestUpdateMe(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	other, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	b.verify(t, other.Access)

	name, password := "Anna", user.Secret("another good one 77")
	u, err := b.UpdateMe(t.Context(), ann.p, user.MeChange{Name: &name})
	if err != nil || u.Name != name {
		t.Fatalf("%+v, %v", u, err)
	}
	for _, wrong := range []user.Secret{"", "wrong password"} {
		_, err = b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: wrong})
		want(t, err, platform.KindInvalid, "")
	}
	_, err = b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
	noError(t, err)

	b.verify(t, ann.Tokens.Access)
	_, err = b.Verify(t.Context(), string(other.Access))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Refresh(t.Context(), other.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: password})
	noError(t, err)
}

func TestSuspendedUser(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, key, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	b.verify(t, key)
	noError(t, b.SetUserStatus(t.Context(), ann.User.ID, user.Suspended))
	for _, c := range []user.Secret{ann.Tokens.Access, key} {
		_, err = b.Verify(t.Context(), string(c))
		want(t, err, platform.KindUnauthenticated, "invalid_token")
	}
	_, err = b.Refresh(t.Context(), ann.Tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
	noError(t, b.SetUserStatus(t.Context(), ann.User.ID, user.Active))
	b.verify(t, key)
	want(t, b.SetUserStatus(t.Context(), "usr_none", user.Active), platform.KindNotFound, "")
}

func TestSuspendedOrganization(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	_, key, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	b.verify(t, key)
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Suspended))
	for _, c := range []user.Secret{ann.Tokens.Access, key} {
		_, err = b.Verify(t.Context(), string(c))
		want(t, err, platform.KindUnauthenticated, "")
	}
	_, err = b.Refresh(t.Context(), ann.Tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	want(t, err, platform.KindForbidden, "not_a_member")
	alone, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	if p := b.verify(t, alone.Access); p.Tenant != platform.NoTenant || alone.Organization != "" {
		t.Errorf("signed in to %+v", p)
	}
	b.verify(t, ben.Tokens.Access)
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Active))
	b.verify(t, ann.Tokens.Access)
}

// After a restart everybody is who they were.
func TestRestart(t *testing.T) {
	place, c := testdb.NewPlace(t), newClock()
	db := place.Open(t)
	cfg := user.Config{DB: db, Sealer: testseal.New(t), Issuer: issuer, Cache: memory.NewCache(1 << 20), Now: c.Now}
	first, err := user.New(cfg)
	noError(t, err)
	first.CheapPasswords()
	noError(t, first.Start(t.Context()))
	b := &bundle{Service: first, db: db, clock: c}
	ann := b.signUp(t, "ann@example.com")
	_, key, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	b.verify(t, key)
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: "wrong"})
	want(t, err, platform.KindUnauthenticated, "")
	noError(t, first.Stop(t.Context()))
	noError(t, db.Close())

	b = openAt(t, place, c)
	p := b.verify(t, ann.Tokens.Access)
	b.verify(t, key)
	_, err = b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
	keys, _, err := b.APIKeys(t.Context(), p, 0, "")
	if err != nil || len(keys) != 1 || !keys[0].LastUsedAt.Equal(c.Now()) {
		t.Errorf("the last use is not written by Stop: %+v, %v", keys, err)
	}
	failed, _, err := b.Audit(t.Context(), p, user.AuditFilter{Action: "login.failed"}, 0, "")
	if err != nil || len(failed) != 1 || failed[0].Target != p.Subject {
		t.Errorf("the failed login is not written by Stop: %+v, %v", failed, err)
	}
}

func TestCancelled(t *testing.T) {
	b := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.SignUp(ctx, user.SignUp{Email: "ann@example.com", Password: goodPassword, Name: "Ann", Organization: "Acme"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := b.count(t, "user_accounts"); n != 0 {
		t.Errorf("%d users", n)
	}
}

func TestConfig(t *testing.T) {
	_, err := user.New(user.Config{AccessTTL: time.Hour * 2, KeyPrefix: "rt", Roles: map[string][]string{"Bad Name": {"a..b"}}})
	for _, field := range []string{"DB", "Sealer", "Issuer", "Cache", "AccessTTL", "KeyPrefix", "Roles[Bad Name]"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field+" ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}
