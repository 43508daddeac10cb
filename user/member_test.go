package user_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func roles(names ...string) user.MemberChange { return user.MemberChange{Roles: names} }

func TestMembers(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	all, err := b.Members(t.Context(), ann.p)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	owners, err := b.Members(t.Context(), ann.p, user.RoleOwner, "none")
	if err != nil || len(owners) != 1 || owners[0].Email != "ann@example.com" {
		t.Errorf("%+v, %v", owners, err)
	}
	one, err := b.Member(t.Context(), ann.p, ben.Subject)
	if err != nil || one.ID != m.ID || one.Email != "ben@example.com" {
		t.Errorf("%+v, %v", one, err)
	}
	_, err = b.Member(t.Context(), platform.System(platform.TenantID("org_other"), "test"), ben.Subject)
	want(t, err, platform.KindNotFound, "")

	// A change of roles acts on the next call.
	want(t, b.Authorize(t.Context(), ben, "user.audit.read"), platform.KindForbidden, "forbidden")
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleAdmin))
	noError(t, err)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	ben = b.verify(t, tokens.Access)
	noError(t, b.Authorize(t.Context(), ben, "user.audit.read"))
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleViewer))
	noError(t, err)
	want(t, b.Authorize(t.Context(), b.verify(t, tokens.Access), "user.audit.read"), platform.KindForbidden, "forbidden")

	suspended, active := user.Suspended, user.Active
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, user.MemberChange{Status: &suspended})
	noError(t, err)
	_, err = b.Verify(t.Context(), string(tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Refresh(t.Context(), tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, user.MemberChange{Status: &active})
	noError(t, err)
	_, err = b.Verify(t.Context(), string(tokens.Access))
	want(t, err, platform.KindUnauthenticated, "") // the session ended for good
}

func TestRemoveMember(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	b.verify(t, tokens.Access)
	_, key, err := b.CreateAPIKey(t.Context(), ben, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	b.verify(t, key)
	noError(t, b.RemoveMember(t.Context(), ann.p, m.ID))
	for _, c := range []user.Secret{tokens.Access, key} {
		_, err := b.Verify(t.Context(), string(c))
		want(t, err, platform.KindUnauthenticated, "")
	}
	_, err = b.Refresh(t.Context(), tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Switch(t.Context(), ben, ann.p.Tenant)
	want(t, err, platform.KindForbidden, "")
	// Whoever comes back does not find the old key alive.
	_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleAdmin}})
	noError(t, err)
	_, _, err = b.AcceptInvitation(t.Context(), ben, token)
	noError(t, err)
	_, err = b.Verify(t.Context(), string(key))
	want(t, err, platform.KindUnauthenticated, "")
	// One may leave.
	noError(t, b.LeaveOrganization(t.Context(), ben, ann.p.Tenant))
}

func TestNoEscalation(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	annMember, err := b.Member(t.Context(), ann.p, ann.p.Subject)
	noError(t, err)
	admin, adminMember := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	_, cyd := b.join(t, ann.p, "cyd@example.com", user.RoleMember)
	key, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "narrow", Scopes: []string{"user.*"}})
	noError(t, err)
	narrow := b.verify(t, credential) // an owner's key for user.* alone
	ctx := t.Context()
	for name, err := range map[string]error{
		"grants owner":           second(b.UpdateMember(ctx, admin, cyd.ID, roles(user.RoleOwner))),
		"changes the owner":      second(b.UpdateMember(ctx, admin, annMember.ID, roles(user.RoleViewer))),
		"removes the owner":      b.RemoveMember(ctx, admin, annMember.ID),
		"invites an owner":       second(invite(b, admin, user.RoleOwner)),
		"makes a role of *":      second(b.CreateRole(ctx, admin, user.NewRole{Name: "root", Permissions: []string{"*"}})),
		"makes a role of others": second(b.CreateRole(ctx, admin, user.NewRole{Name: "root", Permissions: []string{"data.*", "host.secrets.read"}})),
		"makes a key of *":       third(b.CreateAPIKey(ctx, admin, user.NewAPIKey{Name: "x", Scopes: []string{"*"}})),
		"key makes a wider key":  third(b.CreateAPIKey(ctx, narrow, user.NewAPIKey{Name: "x", Scopes: []string{"data.*"}})),
		"key grants admin":       second(b.UpdateMember(ctx, narrow, cyd.ID, roles(user.RoleAdmin))),
		"key invites an owner":   second(invite(b, narrow, user.RoleOwner)),
		"rotates an owner's key": third(b.RotateAPIKey(ctx, admin, key.ID, 0)),
		"removes itself":         b.RemoveMember(ctx, admin, adminMember.ID),
		"takes the ownership":    second(b.TransferOrganization(ctx, admin, user.Transfer{Member: cyd.ID})),
		"key takes ownership":    second(b.TransferOrganization(ctx, narrow, user.Transfer{Member: cyd.ID})),
		"key leaves":             b.LeaveOrganization(ctx, narrow, narrow.Tenant),
		"own roles":              second(b.UpdateMember(ctx, admin, adminMember.ID, roles(user.RoleAdmin, user.RoleMember))),
		"own roles of an owner":  second(b.UpdateMember(ctx, ann.p, annMember.ID, roles(user.RoleOwner, user.RoleMember))),
		"key does account work":  second(b.UpdateMe(ctx, narrow, user.MeChange{})),
		"key lists sessions":     third(b.Sessions(ctx, narrow, 0, "")),
		"key switches":           second(b.Switch(ctx, narrow, ann.p.Tenant)),
		"key founds":             second(b.CreateOrganization(ctx, narrow, "Mine")),
		"key logs out":           b.LogOut(ctx, narrow),
	} {
		if platform.KindOf(errOr(err)) != platform.KindForbidden {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err = b.UpdateMember(ctx, admin, cyd.ID, roles("none"))
	want(t, err, platform.KindInvalid, "")
	_, err = b.UpdateMember(ctx, admin, cyd.ID, roles(user.RoleAdmin))
	noError(t, err)
	// A demotion acts although the admin's principal still says otherwise.
	_, err = b.UpdateMember(ctx, ann.p, adminMember.ID, roles(user.RoleViewer))
	noError(t, err)
	_, err = b.UpdateMember(ctx, admin, cyd.ID, roles(user.RoleMember))
	want(t, err, platform.KindForbidden, "above_own_rights")
}

func invite(b *bundle, p platform.Principal, role string) (user.Invitation, error) {
	inv, _, err := b.Invite(context.Background(), p, user.NewInvitation{Email: "dee@example.com", Roles: []string{role}})
	return inv, err
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// However many owners take each other's role at once, one remains.
func TestLastOwner(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	m, err := b.Member(t.Context(), ann.p, ann.p.Subject)
	noError(t, err)
	want(t, b.RemoveMember(t.Context(), ann.p, m.ID), platform.KindForbidden, "own_membership")
	want(t, b.LeaveOrganization(t.Context(), ann.p, ann.p.Tenant), platform.KindConflict, "last_owner")
	system := platform.Principal{Tenant: ann.p.Tenant, Kind: platform.PrincipalSystem, Roles: []string{user.RoleOwner}}
	suspended := user.Suspended
	for _, change := range []user.MemberChange{roles(user.RoleAdmin), {Status: &suspended}} {
		_, err = b.UpdateMember(t.Context(), system, m.ID, change)
		want(t, err, platform.KindConflict, "last_owner")
	}
	b.verify(t, ann.Tokens.Access)

	const owners = 6
	people, ids := []platform.Principal{ann.p}, []string{m.ID}
	for i := range owners - 1 {
		p, m := b.join(t, ann.p, fmt.Sprintf("owner%d@example.com", i), user.RoleOwner)
		people, ids = append(people, p), append(ids, m.ID)
	}
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() { _ = b.RemoveMember(context.Background(), p, ids[(i+1)%owners]) })
		wg.Go(func() { _ = b.LeaveOrganization(context.Background(), p, ann.p.Tenant) })
	}
	wg.Wait()
	left, err := b.Members(t.Context(), ann.p, user.RoleOwner)
	if err != nil || len(left) == 0 {
		t.Fatalf("%+v, %v", left, err)
	}
}
