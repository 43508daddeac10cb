package user_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// One signs in where one last was, else where one was first, and a named
// organization wins.
func TestSignsInWhereOneLastWas(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	second, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	logIn := func(organization platform.TenantID) platform.TenantID {
		t.Helper()
		in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: organization})
		noError(t, err)
		return in.Organization
	}
	check := func(what string, want platform.TenantID) {
		t.Helper()
		if got := logIn(""); got != want {
			t.Errorf("%s: signed in to %s, want %s", what, got, want)
		}
	}
	check("signed up", ann.p.Tenant)
	_, err = b.Switch(t.Context(), ann.p, second.ID)
	noError(t, err)
	check("switched", second.ID)
	check("again", second.ID)
	if got := logIn(ann.p.Tenant); got != ann.p.Tenant {
		t.Errorf("signed in to %s", got)
	}
	check("named the first", ann.p.Tenant)
	logIn(second.ID)
	noError(t, b.SetOrganizationStatus(t.Context(), second.ID, user.Suspended))
	check("the last is suspended", ann.p.Tenant)
}

// Whoever is in no organization has a session, which reaches what is the person's.
func TestSessionWithoutOrganization(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	b.exec(t, `DELETE FROM user_memberships WHERE tenant = ?`, string(ben.p.Tenant))
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword})
	noError(t, err)
	p := b.verify(t, in.Access)
	if p.Tenant != platform.NoTenant || p.Subject != ben.User.ID || len(p.Roles) != 0 || in.Organization != "" {
		t.Errorf("got %+v", p)
	}
	next, err := b.Refresh(t.Context(), in.Refresh)
	noError(t, err)
	if p = b.verify(t, next.Access); p.Tenant != platform.NoTenant || p.Credential != in.Session {
		t.Errorf("refreshed: %+v", p)
	}
	var w browser
	alone := w.logIn(t, b, "ben@example.com")
	if alone.Tenant != platform.NoTenant {
		t.Errorf("in a cookie: %+v", alone)
	}
	all, _, err := b.Sessions(t.Context(), p, 0, "")
	if err != nil || len(all) != 3 || len(all[1].Organizations) != 0 || !all[1].Current {
		t.Errorf("%+v, %v", all, err)
	}
	if me, err := b.Me(t.Context(), p); err != nil || me.Organization != "" || me.User.ID != ben.User.ID {
		t.Errorf("%+v, %v", me, err)
	}
	if _, err := b.Organization(t.Context(), p); err == nil {
		t.Error("a person without organization reads one")
	}
	want(t, second(b.Switch(t.Context(), p, ann.p.Tenant)), platform.KindForbidden, "not_a_member")

	_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleViewer}})
	noError(t, err)
	_, org, err := b.AcceptInvitation(t.Context(), p, token)
	noError(t, err)
	switched, err := b.Switch(t.Context(), p, org)
	noError(t, err)
	if p := b.verify(t, switched.Access); p.Tenant != ann.p.Tenant || p.Credential != in.Session {
		t.Errorf("switched: %+v", p)
	}
	noError(t, b.LogOut(t.Context(), p))
	for _, gone := range []user.Secret{next.Access, switched.Access} {
		want(t, second(b.Verify(t.Context(), string(gone))), platform.KindUnauthenticated, "")
	}
	noError(t, b.LogOut(t.Context(), alone))
	isOut(t, b, w.cookie)
}

// A person ends one of their devices, the others, or all of them, in every
// organization that the device was in, and each is told.
func TestRevokeSessions(t *testing.T) {
	b := open(t)
	other := b.replica(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	next, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	phone, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	there, err := b.Switch(t.Context(), b.verify(t, phone.Access), next.ID)
	noError(t, err)
	var w browser
	p := w.logIn(t, b, "ann@example.com", ann.p.Tenant)
	mine := func(want int) {
		t.Helper()
		if all, _, err := b.Sessions(t.Context(), p, 0, ""); err != nil || len(all) != want {
			t.Errorf("%+v, %v; want %d", all, err, want)
		}
	}
	mine(3)
	noError(t, b.RevokeSession(t.Context(), p, phone.Session))
	for _, gone := range []user.Secret{phone.Access, there.Access} {
		_, err := b.Verify(t.Context(), string(gone))
		want(t, err, platform.KindUnauthenticated, "")
		other.ForgetCredentials()
		_, err = other.Verify(t.Context(), string(gone))
		want(t, err, platform.KindUnauthenticated, "")
	}
	for _, gone := range []user.Secret{phone.Refresh, there.Refresh} {
		_, err := b.Refresh(t.Context(), gone)
		want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
	}
	mine(2)
	in, err := b.Switch(w.ctx(t), p, next.ID)
	noError(t, err)
	w.cookie = in.Cookie
	for _, org := range []platform.TenantID{ann.p.Tenant, next.ID} {
		q := w.who(t, b)
		q.Tenant = org
		records, _, err := b.Audit(t.Context(), q, user.AuditFilter{Action: "session.revoked"}, 0, "")
		if err != nil || len(records) != 1 || records[0].Target != phone.Session {
			t.Errorf("%s: %+v, %v", org, records, err)
		}
	}
	if n := slices.Index(b.events(t), "user.session.ended"); n < 0 {
		t.Error("no event tells of it")
	}
	noError(t, b.RevokeSessions(t.Context(), p, false))
	mine(1)
	w.who(t, b)
	want(t, second(b.Verify(t.Context(), string(ann.Tokens.Access))), platform.KindUnauthenticated, "")
	noError(t, b.RevokeSessions(t.Context(), p, true))
	mine(0)
	isOut(t, b, w.cookie)
	b.verify(t, ben.Tokens.Access)
}

// A session from before grants is a device with one of them: its refresh token and
// its access token work on.
func TestSessionsFromBeforeGrants(t *testing.T) {
	db := migratedTo(t, "0001_init.sql", "0002_creators.sql", "0003_devices.sql", "0004_email_verified.sql", "0005_sign_in.sql", "0006_operators.sql")
	c := newClock()
	secret, tagKey := []byte(strings.Repeat("s", 32)), []byte(strings.Repeat("k", 32))
	hash := sha256.Sum256(secret)
	at := c.Now().UnixMicro()
	noError(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		for _, s := range []struct {
			query string
			args  []any
		}{
			{`INSERT INTO user_accounts (id, email, name, status, created_at, updated_at) VALUES ('usr_a', 'a@example.com', 'A', 'active', 1, 1)`, nil},
			{`INSERT INTO user_organizations (tenant, name, status, authz_version, created_at, updated_at) VALUES ('org_1', '1', 'active', 1, 1, 1)`, nil},
			{`INSERT INTO user_memberships (tenant, id, user_id, roles, status, created_at, updated_at) VALUES ('org_1', 'mem_1', 'usr_a', '["owner"]', 'active', 1, 1)`, nil},
			{
				`INSERT INTO user_sessions (id, user_id, organization, created_at, last_used_at, idle_until, ends_at, revoked_at, generation, tag_key,
				token_hash, parent_hash, nonce, rotated_at, signed_in_at, methods) VALUES ('ses_1', 'usr_a', 'org_1', ?, ?, ?, ?, 0, 3, ?, ?, ?, ?, ?, ?, '["pwd"]')`,
				[]any{at, at, at + int64(time.Hour/time.Microsecond), at + 2*int64(time.Hour/time.Microsecond), tagKey, hash[:], []byte{}, []byte{}, at, at},
			},
		} {
			if _, err := tx.Exec(ctx, s.query, s.args...); err != nil {
				return err
			}
		}
		return nil
	}))
	b := &bundle{Service: start(t, db, c), db: db, clock: c}
	tokens, err := b.Refresh(t.Context(), user.FormatRefresh("ses_1", secret, tagKey))
	noError(t, err)
	p := b.verify(t, tokens.Access)
	if p.Credential != "ses_1" || p.Tenant != "org_1" || !p.SignedInAt.Equal(c.Now()) {
		t.Errorf("got %+v", p)
	}
	all, _, err := b.Sessions(t.Context(), p, 0, "")
	if err != nil || len(all) != 1 || all[0].ID != "ses_1" || !slices.Equal(all[0].Organizations, []platform.TenantID{"org_1"}) {
		t.Errorf("%+v, %v", all, err)
	}
}
