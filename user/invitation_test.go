package user_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func TestInvitationOnce(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	inv, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: " BEN@example.com", Roles: []string{"member", "member", "viewer"}})
	if err != nil || inv.Email != "ben@example.com" || len(inv.Roles) != 2 {
		t.Fatalf("%+v, %v", inv, err)
	}
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)
	for range 50 {
		wg.Go(func() {
			_, org, err := b.AcceptInvitation(t.Context(), ben.p, token)
			if err == nil && org == ann.p.Tenant {
				mu.Lock()
				accepted++
				mu.Unlock()
				return
			}
			want(t, err, platform.KindConflict, "invitation_used")
		})
	}
	wg.Wait()
	if members, err := b.Members(t.Context(), ann.p); accepted != 1 || err != nil || len(members) != 2 {
		t.Errorf("accepted %d times, members %+v, %v", accepted, members, err)
	}
	_, _, err = b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"viewer"}})
	want(t, err, platform.KindConflict, "already_member")
}

func TestInvitationEnds(t *testing.T) {
	b := open(t)
	ann, ben, cyd := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com"), b.signUp(t, "cyd@example.com")
	fresh := func() (user.Invitation, user.Secret) {
		inv, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"member"}})
		noError(t, err)
		return inv, token
	}
	refused := func(p platform.Principal, token user.Secret, kind platform.Kind, code string) {
		t.Helper()
		_, _, err := b.AcceptInvitation(t.Context(), p, token)
		want(t, err, kind, code)
	}
	_, older := fresh()
	inv, token := fresh()
	refused(ben.p, older, platform.KindConflict, "invitation_revoked") // the newer one took its place
	refused(cyd.p, token, platform.KindForbidden, "other_email")
	noError(t, b.RevokeInvitation(t.Context(), ann.p, inv.ID))
	want(t, b.RevokeInvitation(t.Context(), ann.p, inv.ID), platform.KindNotFound, "")
	refused(ben.p, token, platform.KindConflict, "invitation_revoked")

	_, token = fresh()
	refused(ben.p, token[:len(token)-2]+"AA", platform.KindNotFound, "")
	refused(ben.p, "it_nonsense", platform.KindNotFound, "")
	b.clock.Advance(7 * day)
	refused(ben.p, token, platform.KindConflict, "invitation_expired")
	if open, _, err := b.Invitations(t.Context(), ann.p, 0, ""); err != nil || len(open) != 0 {
		t.Errorf("open: %+v, %v", open, err)
	}
}

// Who was demoted or removed has not left invitations behind.
func TestInvitationNeedsItsInviter(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	admin, m := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	dee := b.signUp(t, "dee@example.com")
	_, token, err := b.Invite(t.Context(), admin, user.NewInvitation{Email: "dee@example.com", Roles: []string{"admin"}})
	noError(t, err)
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleMember))
	noError(t, err)
	_, _, err = b.AcceptInvitation(t.Context(), dee.p, token)
	want(t, err, platform.KindConflict, "invitation_revoked")
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleAdmin))
	noError(t, err)
	_, _, err = b.AcceptInvitation(t.Context(), dee.p, token)
	noError(t, err)
}

// An invitation is a mail to whomever the inviter names: nobody's mailbox can
// be filled with them, and no account of an hour is good for thousands.
func TestInvitationLimits(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	invite := func(p platform.Principal, email string) error {
		_, _, err := b.Invite(t.Context(), p, user.NewInvitation{Email: email, Roles: []string{user.RoleViewer}})
		return err
	}
	for range 10 { // what is refused sends nothing and does not count
		_, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "victim@example.com", Roles: []string{"no-such-role"}})
		want(t, err, platform.KindInvalid, "")
	}
	for i := range 8 {
		switch err := invite(ann.p, "Victim@example.com"); {
		case i < 5:
			noError(t, err)
		default:
			want(t, err, platform.KindLimited, "too_many_invitations")
		}
	}
	noError(t, invite(ben.p, "victim@example.com")) // another organization's count is its own
	b.clock.Advance(time.Hour)
	noError(t, invite(ann.p, "victim@example.com"))

	// More organizations are not more mail.
	second, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	tokens, err := b.Switch(t.Context(), ann.p, second.ID)
	noError(t, err)
	there := b.verify(t, tokens.Access)
	made := 6
	for i := range 300 {
		if err = invite(there, fmt.Sprintf("person%d@example.com", i)); err != nil {
			break
		}
		made++
	}
	want(t, err, platform.KindLimited, "too_many_invitations")
	if made != 200 {
		t.Errorf("%d invitations in a day", made)
	}
	host := platform.Principal{Tenant: second.ID, Kind: platform.PrincipalSystem, Roles: []string{user.RoleOwner}}
	for range 6 {
		noError(t, invite(host, "person@example.com"))
	}
	b.clock.Advance(24 * time.Hour)
	noError(t, invite(there, "late@example.com"))
}
