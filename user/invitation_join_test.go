package user_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// invited is the token of an invitation to a new address.
func (b *bundle) invited(t *testing.T, by platform.Principal, email, role string) user.Secret {
	t.Helper()
	_, token, err := b.Invite(t.Context(), by, user.NewInvitation{Email: email, Roles: []string{role}})
	noError(t, err)
	return token
}

// Who accepts an invitation without an account has one afterwards, is verified,
// a member and signed in, and in no other organization.
func TestJoinByInvitation(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	organizations := b.count(t, "user_organizations")
	token := b.invited(t, ann.p, "ben@example.com", user.RoleMember)
	look, err := b.PreviewInvitation(t.Context(), token)
	if err != nil || look.Organization != "Acme of ann@example.com" || look.InvitedBy != "Ann" || look.Email != "ben@example.com" || look.HasAccount || look.ExpiresAt.IsZero() {
		t.Errorf("preview %+v, %v", look, err)
	}
	in, err := b.JoinByInvitation(t.Context(), user.Joining{Token: token, Name: "Ben", Password: goodPassword})
	noError(t, err)
	ben := b.verify(t, in.Access)
	if ben.Tenant != ann.p.Tenant || len(ben.Roles) != 1 || ben.Roles[0] != user.RoleMember || in.UserID != ben.Subject {
		t.Errorf("principal %+v", ben)
	}
	me, err := b.Me(t.Context(), ben)
	if err != nil || me.User.Email != "ben@example.com" || me.User.EmailVerifiedAt.IsZero() || me.User.Name != "Ben" {
		t.Errorf("me %+v, %v", me, err)
	}
	if b.count(t, "user_organizations") != organizations {
		t.Error("an organization was made")
	}
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword})
	noError(t, err)
	_, err = b.JoinByInvitation(t.Context(), user.Joining{Token: token, Name: "Ben", Password: goodPassword})
	want(t, err, platform.KindConflict, "invitation_used")
	_, err = b.PreviewInvitation(t.Context(), token)
	want(t, err, platform.KindConflict, "invitation_used")

	// Without a password there is none to sign in with.
	_, err = b.JoinByInvitation(t.Context(), user.Joining{Token: b.invited(t, ann.p, "cyd@example.com", user.RoleViewer), Name: "Cyd"})
	noError(t, err)
	for _, guess := range []user.Secret{"", goodPassword} {
		_, err = b.LogIn(t.Context(), user.LogIn{Email: "cyd@example.com", Password: guess})
		want(t, err, platform.KindUnauthenticated, "invalid_credentials")
	}
	// What is refused leaves no account behind.
	accounts := b.count(t, "user_accounts")
	for _, bad := range []user.Joining{{Name: " "}, {Name: "Dee", Password: "password"}, {Name: "Dee", Password: "short"}} {
		bad.Token = b.invited(t, ann.p, "dee@example.com", user.RoleViewer)
		_, err = b.JoinByInvitation(t.Context(), bad)
		want(t, err, platform.KindInvalid, "")
	}
	if b.count(t, "user_accounts") != accounts {
		t.Error("an account was made")
	}
}

// A token signs nobody in who has an account: that takes what the account asks for.
func TestInvitationSignsNobodyIn(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	token := b.invited(t, ann.p, "ben@example.com", user.RoleAdmin)
	sessions := b.count(t, "user_sessions")
	_, err := b.JoinByInvitation(t.Context(), user.Joining{Token: token, Name: "Ben", Password: goodPassword})
	want(t, err, platform.KindConflict, "sign_in_first")
	if look, err := b.PreviewInvitation(t.Context(), token); err != nil || !look.HasAccount {
		t.Errorf("preview %+v, %v", look, err)
	}
	if b.count(t, "user_sessions") != sessions {
		t.Error("a session was opened")
	}
	_, org, err := b.AcceptInvitation(t.Context(), ben.p, token)
	if err != nil || org != ann.p.Tenant {
		t.Errorf("%s, %v", org, err)
	}
}

// 50 uses of one token at once make one account, one membership and one session.
func TestJoinOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	token := b.invited(t, ann.p, "ben@example.com", user.RoleMember)
	before := b.everyRow(t)
	var (
		wg     sync.WaitGroup
		joined atomic.Int64
	)
	for i := range 50 {
		wg.Go(func() {
			_, err := b.JoinByInvitation(t.Context(), user.Joining{Token: token, Name: fmt.Sprint("Ben ", i)})
			if err == nil {
				joined.Add(1)
				return
			}
			want(t, err, platform.KindConflict, "invitation_used")
		})
	}
	wg.Wait()
	members, err := b.Members(t.Context(), ann.p)
	if joined.Load() != 1 || err != nil || len(members) != 2 || b.count(t, "user_accounts") != 2 || b.count(t, "user_sessions") != 2 {
		t.Errorf("%d joined, members %+v, %v; rows before %s, after %s", joined.Load(), members, err, before, b.everyRow(t))
	}
}

// Each reason for which a token is refused has a code of its own, for who holds it.
func TestInvitationRefusals(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	all := func(token user.Secret, status int, code string) {
		t.Helper()
		for _, c := range []struct{ path, body string }{
			{"/v1/invitations/preview", fmt.Sprintf(`{"token":%q}`, string(token))},
			{"/v1/auth/invitation", fmt.Sprintf(`{"token":%q,"name":"Ben","password":%q}`, string(token), goodPassword)},
		} {
			if got, answer := call(t, h, "", "POST", c.path, c.body); got != status || !strings.Contains(answer, `"`+code+`"`) {
				t.Errorf("%s: %d %s, want %d %s", c.path, got, answer, status, code)
			}
		}
	}
	older := b.invited(t, ann.p, "ben@example.com", user.RoleMember)
	token := b.invited(t, ann.p, "ben@example.com", user.RoleMember)
	all(older, http.StatusConflict, "invitation_revoked")
	all(token[:len(token)-2]+"AA", http.StatusNotFound, "not_found")
	all("it_nonsense", http.StatusNotFound, "not_found")
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Suspended))
	all(token, http.StatusConflict, "organization_closed")
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Active))
	b.clock.Advance(7 * day)
	all(token, http.StatusConflict, "invitation_expired")
	if b.count(t, "user_accounts") != 1 {
		t.Error("an account was made")
	}
}

// Who joins an organization that requires a second factor has no session before
// one is added.
func TestJoinWhereAFactorIsRequired(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	token := b.invited(t, ann.p, "ben@example.com", user.RoleMember)
	b.exec(t, `UPDATE user_organizations SET require_factor = 1`)
	body := fmt.Sprintf(`{"token":%q,"name":"Ben","password":%q}`, string(token), goodPassword)
	_, first, _ := repeated(t, h, "", "a-key-of-ben-for-joining", "/v1/auth/invitation", body)
	if !strings.Contains(first, `"sign_in"`) || !strings.Contains(first, `"enroll":true`) || strings.Contains(first, `"access_token":"ey`) {
		t.Errorf("joined with %s", first)
	}
	if _, again, replayed := repeated(t, h, "", "a-key-of-ben-for-joining", "/v1/auth/invitation", body); again != first || !replayed {
		t.Errorf("the second answer %s is not %s", again, first)
	}
	if n := b.count(t, "user_sessions"); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// An invitation to a further address of a person is theirs where it is verified,
// makes no second account, and verifies no other address.
func TestInvitationToAFurtherAddress(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	token := b.invited(t, ann.p, "ben@work.example", user.RoleMember)
	claim := func(verified int) {
		b.exec(t, `DELETE FROM user_emails`)
		b.exec(t, `INSERT INTO user_emails (user_id, email, verified_at, created_at) VALUES (?, 'ben@work.example', ?, 1)`, ben.User.ID, verified)
	}
	claim(0)
	_, _, err := b.AcceptInvitation(t.Context(), ben.p, token)
	want(t, err, platform.KindForbidden, "other_email")
	claim(1)
	_, err = b.JoinByInvitation(t.Context(), user.Joining{Token: token, Name: "Ben"})
	want(t, err, platform.KindConflict, "sign_in_first")
	_, _, err = b.AcceptInvitation(t.Context(), ben.p, token)
	noError(t, err)
	if verified, err := b.EmailVerified(t.Context(), ben.User.ID); err != nil || verified {
		t.Errorf("the primary address is verified: %t, %v", verified, err)
	}
}
