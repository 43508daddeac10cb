package user_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

func openInterrupted(t *testing.T) (*bundle, *testdb.Interruption) {
	t.Helper()
	i := &testdb.Interruption{}
	return open(t, func(c *user.Config) { c.NewID = i.NewID }), i
}

// living counts what a query finds.
func (b *bundle) living(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, query, args...).Scan(&n)
	}, store.ReadOnly))
	return n
}

const livingSessions = `SELECT count(*) FROM user_sessions x JOIN user_session_grants g ON g.session = x.id
	WHERE x.user_id = ? AND g.organization = ? AND x.revoked_at = 0 AND g.revoked_at = 0`

// Whoever ends the sessions that there are ends one that is being opened, too.
func TestSessionOpenedMeanwhile(t *testing.T) {
	password, suspended := user.Secret("another good one 77"), user.Suspended
	for name, c := range map[string]struct {
		end  func(b *bundle, owner, guest platform.Principal, m user.Member) error
		left int // of guest's sessions in the organization
	}{
		"a new password": {func(b *bundle, _, guest platform.Principal, _ user.Member) error {
			_, err := b.UpdateMe(context.Background(), guest, user.MeChange{Password: &password, CurrentPassword: goodPassword})
			return err
		}, 1}, // the one that changed it
		"a member removed": {func(b *bundle, owner, _ platform.Principal, m user.Member) error {
			return b.RemoveMember(context.Background(), owner, m.ID)
		}, 0},
		"a member suspended": {func(b *bundle, owner, _ platform.Principal, m user.Member) error {
			_, err := b.UpdateMember(context.Background(), owner, m.ID, user.MemberChange{Status: &suspended})
			return err
		}, 0},
		"a user suspended": {func(b *bundle, _, guest platform.Principal, _ user.Member) error {
			return b.SetUserStatus(context.Background(), guest.Subject, user.Suspended)
		}, 0},
	} {
		for how, open := range map[string]func(b *bundle, guest platform.Principal) error{
			"log in": func(b *bundle, guest platform.Principal) error {
				_, err := b.LogIn(context.Background(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: guest.Tenant})
				return err
			},
			"switch": func(b *bundle, guest platform.Principal) error {
				_, err := b.Switch(context.Background(), guest, guest.Tenant)
				return err
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				b, i := openInterrupted(t)
				ann := b.signUp(t, "ann@example.com")
				ben, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
				b.clock.Advance(time.Second)
				errOpen, errEnd := i.During(t, b.place, "grt",
					func() error { return open(b, ben) },
					func() error { return c.end(b, ann.p, ben, m) })
				noError(t, errOpen)
				noError(t, errEnd)
				if n := b.living(t, livingSessions, ben.Subject, string(ben.Tenant)); n != c.left {
					t.Errorf("%d sessions, want %d", n, c.left)
				}
			})
		}
	}
}

// A key that is being made dies with the membership.
func TestKeyMadeMeanwhile(t *testing.T) {
	b, i := openInterrupted(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	errMake, errRemove := i.During(t, b.place, "key",
		func() error { return makeKey(b, ben) },
		func() error { return b.RemoveMember(context.Background(), ann.p, m.ID) })
	noError(t, errMake)
	noError(t, errRemove)
	if n := b.living(t, `SELECT count(*) FROM user_api_keys WHERE revoked_at = 0`); n != 0 {
		t.Errorf("%d living keys of one who has left", n)
	}
}

func makeKey(b *bundle, p platform.Principal) error {
	_, _, err := b.CreateAPIKey(context.Background(), p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.records.read"}})
	return err
}

func TestKeyLimit(t *testing.T) {
	b, i := openInterrupted(t)
	ann := b.signUp(t, "ann@example.com")
	noError(t, b.db.InTenant(t.Context(), ann.p.Tenant, func(ctx context.Context, tx store.Tx) error {
		for n := range user.MaxKeys - 1 {
			if _, err := tx.Exec(ctx, `INSERT INTO user_api_keys (tenant, id, user_id, name, scopes, hash, previous_hash, previous_until,
				created_at, expires_at, last_used_at, revoked_at) VALUES (?, ?, ?, 'n', '[]', ?, ?, 0, 1, 0, 0, 0)`,
				string(ann.p.Tenant), fmt.Sprintf("key_%d", n), ann.p.Subject, []byte{1}, []byte{}); err != nil {
				return err
			}
		}
		return nil
	}))
	errFirst, errSecond := i.During(t, b.place, "key",
		func() error { return makeKey(b, ann.p) }, func() error { return makeKey(b, ann.p) })
	noError(t, errFirst)
	want(t, errSecond, platform.KindConflict, "too_many_keys")
}

func TestRoleNameTakenMeanwhile(t *testing.T) {
	b, i := openInterrupted(t)
	ann := b.signUp(t, "ann@example.com")
	make := func() error {
		_, err := b.CreateRole(context.Background(), ann.p, user.NewRole{Name: "auditor", Permissions: []string{"user.audit.read"}})
		return err
	}
	errFirst, errSecond := i.During(t, b.place, "rol", make, make)
	noError(t, errFirst)
	want(t, errSecond, platform.KindConflict, "role_taken")
}

// Two invitations of one address: the older ends. Whoever accepts at the moment
// when another invitation is made is a member all the same, and no open
// invitation is left for a member.
func TestInvitationMadeMeanwhile(t *testing.T) {
	b, i := openInterrupted(t)
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	invite := func() error {
		_, _, err := b.Invite(context.Background(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleMember}})
		return err
	}
	errFirst, errSecond := i.During(t, b.place, "inv", invite, invite)
	noError(t, errFirst)
	noError(t, errSecond)
	const open = `SELECT count(*) FROM user_invitations WHERE accepted_at = 0 AND revoked_at = 0`
	if n := b.living(t, open); n != 1 {
		t.Errorf("%d open invitations of one address", n)
	}
	_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleMember}})
	noError(t, err)
	errFirst, errSecond = i.During(t, b.place, "mem",
		func() error { return third(b.AcceptInvitation(context.Background(), ben.p, token)) }, invite)
	noError(t, errFirst)
	want(t, errSecond, platform.KindConflict, "already_member")
	if n := b.living(t, open); n != 0 {
		t.Errorf("%d open invitations of a member", n)
	}
}

// A token makes one member, however often it is shown at once.
func TestInvitationAcceptedAtOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{user.RoleMember}})
	noError(t, err)
	accepted := atOnce(t, 16, "invitation_used", func(int) error {
		return third(b.AcceptInvitation(context.Background(), ben.p, token))
	})
	members, err := b.Members(t.Context(), ann.p)
	if err != nil || accepted != 1 || len(members) != 2 {
		t.Errorf("accepted %d times, %d members, %v", accepted, len(members), err)
	}
}

func TestSignUpAtOnce(t *testing.T) {
	b := open(t)
	made := atOnce(t, 8, "email_taken", func(int) error {
		return second(b.SignUp(context.Background(), user.SignUp{Email: "ann@example.com", Password: goodPassword, Name: "Ann", Organization: "Acme"}))
	})
	if n := b.living(t, `SELECT count(*) FROM user_organizations`); made != 1 || n != 1 {
		t.Errorf("made %d times, %d organizations", made, n)
	}
}

// atOnce calls f n times at once and returns how often it succeeded; the other
// errors must have the code.
func atOnce(t *testing.T, n int, code string, f func(i int) error) int64 {
	t.Helper()
	var (
		wg sync.WaitGroup
		ok atomic.Int64
	)
	for i := range n {
		wg.Go(func() {
			err := f(i)
			var e *platform.Error
			switch {
			case err == nil:
				ok.Add(1)
			case !errors.As(err, &e) || e.CodeOrKind() != code:
				t.Errorf("got %v, want %s", err, code)
			}
		})
	}
	wg.Wait()
	return ok.Load()
}

// Processes that find at the same time that a signing key is due make one.
func TestRotationInManyProcesses(t *testing.T) {
	a := open(t)
	processes := []*bundle{a, a.replica(t), a.replica(t), a.replica(t)}
	ann := a.signUp(t, "ann@example.com")
	for range 3 {
		a.clock.Advance(31 * day)
		if n := atOnce(t, len(processes), "", func(i int) error {
			return second(processes[i].LogIn(context.Background(), user.LogIn{Email: "ann@example.com", Password: goodPassword}))
		}); n != int64(len(processes)) {
			t.Errorf("%d of %d could sign", n, len(processes))
		}
		if n := a.living(t, `SELECT count(*) FROM user_signing_keys WHERE active_at <= ? AND retire_at > ?`,
			a.clock.Now().UnixMicro(), a.clock.Now().UnixMicro()); n != 1 {
			t.Errorf("%d keys sign at once", n)
		}
	}
	tokens, err := processes[1].LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	for _, p := range processes {
		if got := p.verify(t, tokens.Access); got.Subject != ann.p.Subject {
			t.Errorf("got %v", got)
		}
	}
}
