package user_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func TestTransferOrganization(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, benMember := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	cyd, cydMember := b.join(t, ann.p, "cyd@example.com", user.RoleMember)
	annMember, err := b.Member(t.Context(), ann.p, ann.p.Subject)
	noError(t, err)
	stranger := b.signUp(t, "eve@example.com")
	strangerMember, err := b.Member(t.Context(), stranger.p, stranger.p.Subject)
	noError(t, err)

	refused := func(kind platform.Kind, code string, p platform.Principal, in user.Transfer) {
		t.Helper()
		_, err := b.TransferOrganization(t.Context(), p, in)
		want(t, err, kind, code)
	}
	refused(platform.KindNotFound, "", ann.p, user.Transfer{Member: strangerMember.ID})
	refused(platform.KindInvalid, "", ann.p, user.Transfer{Member: annMember.ID})
	refused(platform.KindInvalid, "", ann.p, user.Transfer{Member: benMember.ID, Roles: []string{user.RoleOwner}})
	refused(platform.KindInvalid, "", ann.p, user.Transfer{Member: benMember.ID, Roles: []string{"none"}})
	refused(platform.KindInvalid, "", ann.p, user.Transfer{Member: benMember.ID, Roles: []string{user.RoleAdmin}, Leave: true})
	suspended, active := user.Suspended, user.Active
	_, err = b.UpdateMember(t.Context(), ann.p, benMember.ID, user.MemberChange{Status: &suspended})
	noError(t, err)
	refused(platform.KindConflict, "member_inactive", ann.p, user.Transfer{Member: benMember.ID})
	_, err = b.UpdateMember(t.Context(), ann.p, benMember.ID, user.MemberChange{Status: &active})
	noError(t, err)
	// An admin's "user.*" is not the role owner, and an old sign-in is too old.
	_, err = b.UpdateMember(t.Context(), ann.p, cydMember.ID, roles(user.RoleAdmin))
	noError(t, err)
	admin, err := b.LogIn(t.Context(), user.LogIn{Email: "cyd@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	refused(platform.KindForbidden, "owner_required", b.verify(t, admin.Access), user.Transfer{Member: benMember.ID})
	b.clock.Advance(16 * time.Minute)
	refused(platform.KindUnauthenticated, "reauthentication_required", ann.p, user.Transfer{Member: benMember.ID})

	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	owner := b.verify(t, in.Access)
	heir, err := b.TransferOrganization(t.Context(), owner, user.Transfer{Member: benMember.ID})
	if err != nil || !slices.Contains(heir.Roles, user.RoleOwner) || heir.UserID != ben.Subject {
		t.Fatalf("%+v, %v", heir, err)
	}
	if now := b.verify(t, in.Access); !slices.Equal(now.Roles, []string{user.RoleAdmin}) {
		t.Errorf("the old owner is %v", now.Roles)
	}
	refused(platform.KindForbidden, "owner_required", owner, user.Transfer{Member: cydMember.ID})

	// Who hands it over may leave at once.
	in, err = b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	_, err = b.TransferOrganization(t.Context(), b.verify(t, in.Access), user.Transfer{Member: cydMember.ID, Leave: true})
	noError(t, err)
	_, err = b.Verify(t.Context(), string(in.Access))
	want(t, err, platform.KindUnauthenticated, "")
	owners, err := b.Members(t.Context(), owner, user.RoleOwner)
	if err != nil || len(owners) != 1 || owners[0].UserID != cyd.Subject {
		t.Errorf("owners %+v, %v", owners, err)
	}
}

// 50 transfers at once leave one owner who was not there before.
func TestTransferAtOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	var heirs []user.Member
	for i := range 5 {
		_, m := b.join(t, ann.p, fmt.Sprintf("heir%d@example.com", i), user.RoleViewer)
		heirs = append(heirs, m)
	}
	var (
		wg   sync.WaitGroup
		done atomic.Int64
	)
	for i := range 50 {
		wg.Go(func() {
			_, err := b.TransferOrganization(t.Context(), ann.p, user.Transfer{Member: heirs[i%len(heirs)].ID, Leave: i%2 == 0})
			if err == nil {
				done.Add(1)
				return
			}
			want(t, err, platform.KindForbidden, "")
		})
	}
	wg.Wait()
	owners, err := b.Members(t.Context(), platform.System(ann.p.Tenant, "test"), user.RoleOwner)
	if done.Load() != 1 || err != nil || len(owners) != 1 || owners[0].UserID == ann.p.Subject {
		t.Errorf("%d transfers, owners %+v, %v", done.Load(), owners, err)
	}
}

// Leaving ends what the member had there, and only there.
func TestLeaveOrganization(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, _ := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	_, key, err := b.CreateAPIKey(t.Context(), ben, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	token := b.invited(t, ben, "cyd@example.com", user.RoleViewer)
	there, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	all, _, err := b.Organizations(t.Context(), ben, 10, "")
	noError(t, err)
	bens := slices.DeleteFunc(all, func(o user.Organization) bool { return o.ID == ann.p.Tenant })[0].ID
	own, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: bens})
	noError(t, err)
	b.verify(t, key)
	home := b.verify(t, own.Access)

	want(t, b.LeaveOrganization(t.Context(), home, "org_none"), platform.KindNotFound, "")
	want(t, b.LeaveOrganization(t.Context(), home, "no name"), platform.KindNotFound, "")
	noError(t, b.LeaveOrganization(t.Context(), home, ann.p.Tenant))
	want(t, b.LeaveOrganization(t.Context(), home, ann.p.Tenant), platform.KindNotFound, "")
	for _, c := range []user.Secret{there.Access, key} {
		_, err := b.Verify(t.Context(), string(c))
		want(t, err, platform.KindUnauthenticated, "")
	}
	_, err = b.Refresh(t.Context(), there.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.PreviewInvitation(t.Context(), token)
	want(t, err, platform.KindConflict, "invitation_revoked")
	b.verify(t, own.Access)
	want(t, b.LeaveOrganization(t.Context(), home, home.Tenant), platform.KindConflict, "last_owner")
	if events := b.events(t); !slices.Contains(events, "user.member.removed") || b.count(t, "user_former_members") != 1 {
		t.Errorf("events %v", events)
	}
	// Who comes back is a member like any other.
	_, _, err = b.AcceptInvitation(t.Context(), home, b.invited(t, ann.p, "ben@example.com", user.RoleViewer))
	noError(t, err)
}
