package user_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// The invitations that a credential or a member made end with it, in the same
// transaction, and no others do.
func TestInvitationsEndWithTheirMaker(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *bundle, person, user.Member, user.APIKey){
		"key revoked": func(t *testing.T, b *bundle, ann person, _ user.Member, key user.APIKey) {
			t.Helper()
			noError(t, b.RevokeAPIKey(t.Context(), ann.p, key.ID))
		},
		"member removed": func(t *testing.T, b *bundle, ann person, m user.Member, _ user.APIKey) {
			t.Helper()
			noError(t, b.RemoveMember(t.Context(), ann.p, m.ID))
		},
		"member suspended": func(t *testing.T, b *bundle, ann person, m user.Member, _ user.APIKey) {
			t.Helper()
			status := user.Suspended
			_, err := b.UpdateMember(t.Context(), ann.p, m.ID, user.MemberChange{Status: &status})
			noError(t, err)
		},
		"user suspended": func(t *testing.T, b *bundle, _ person, m user.Member, _ user.APIKey) {
			t.Helper()
			noError(t, b.SetUserStatus(t.Context(), m.UserID, user.Suspended))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			ann := b.signUp(t, "ann@example.com")
			ben, member := b.join(t, ann.p, "ben@example.com", "admin")
			key, secret, err := b.CreateAPIKey(t.Context(), ben, user.NewAPIKey{Name: "CI", Scopes: []string{"data.*", "analytics.*", "notify.*", "user.*"}})
			noError(t, err)
			tokens := map[string]user.Secret{}
			for by, p := range map[string]platform.Principal{"ann": ann.p, "ben": ben, "key": b.verify(t, secret)} {
				_, token, err := b.Invite(t.Context(), p, user.NewInvitation{Email: "by-" + by + "@example.com", Roles: []string{"member"}})
				noError(t, err)
				tokens[by] = token
			}
			end(t, b, ann, member, key)
			var left []string
			open, _, err := b.Invitations(t.Context(), ann.p, 0, "")
			noError(t, err)
			for _, inv := range open {
				left = append(left, strings.TrimSuffix(strings.TrimPrefix(inv.Email, "by-"), "@example.com"))
			}
			slices.Sort(left)
			stay := []string{"ann"}
			if name == "key revoked" {
				stay = []string{"ann", "ben"}
			}
			if !slices.Equal(left, stay) {
				t.Fatalf("open are those by %v, want %v", left, stay)
			}
			ended := 3 - len(stay)
			records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "invitation.revoked"}, 0, "")
			if err != nil || len(records) != ended {
				t.Errorf("%d records, %v, want %d", len(records), err, ended)
			}
			events := slices.DeleteFunc(b.events(t), func(kind string) bool { return kind != "user.invitation.revoked" })
			if len(events) != ended {
				t.Errorf("%d events, want %d", len(events), ended)
			}
			for by, token := range tokens {
				guest := b.signUp(t, "by-"+by+"@example.com")
				_, _, err := b.AcceptInvitation(t.Context(), guest.p, token)
				if slices.Contains(stay, by) {
					noError(t, err)
				} else {
					want(t, err, platform.KindConflict, "invitation_revoked")
				}
			}
		})
	}
}

// A key that was revoked a moment ago, and is still taken for good by another
// process, makes no invitation that the revocation has missed.
func TestRevokedKeyInvitesNobody(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, secret, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "CI", Scopes: []string{"user.*"}})
	noError(t, err)
	p := b.verify(t, secret)
	noError(t, b.RevokeAPIKey(t.Context(), ann.p, key.ID))
	_, _, err = b.Invite(t.Context(), p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"member"}})
	want(t, err, platform.KindUnauthenticated, "invalid_token")
}
