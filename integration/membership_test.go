package integration

import (
	"net/http"
	"strings"
	"testing"
)

// A person without an account comes by an invitation, is handed the organization,
// and the old owner leaves it.
func TestMembershipJourney(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Acme")
		ann.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": "ben@example.com", "roles": []string{"member"}}, nil)
		token := at.invitation(t, "ben@example.com")
		stranger := s.client("")
		var look struct {
			Organization string
			InvitedBy    string `json:"invited_by"`
			Email        string
			HasAccount   bool `json:"has_account"`
		}
		stranger.want(http.StatusOK, "POST", "/v1/invitations/preview", map[string]any{"token": token}, &look)
		if look.Organization != "Acme" || look.InvitedBy == "" || look.Email != "ben@example.com" || look.HasAccount {
			t.Errorf("the preview is %+v", look)
		}
		var in tokens
		stranger.want(http.StatusOK, "POST", "/v1/auth/invitation", map[string]any{"token": token, "name": "Ben", "password": password}, &in)
		if a := stranger.do("POST", "/v1/auth/invitation", map[string]any{"token": token, "name": "Ben", "password": password}); a.status != http.StatusConflict || !strings.Contains(string(a.body), `"invitation_used"`) {
			t.Errorf("a second use: %d %s", a.status, a.body)
		}
		ben := s.client(in.AccessToken)
		var organizations struct{ Data []struct{ ID, Name string } }
		ben.want(http.StatusOK, "GET", "/v1/organizations", nil, &organizations)
		if len(organizations.Data) != 1 || organizations.Data[0].Name != "Acme" {
			t.Fatalf("ben is in %+v", organizations.Data)
		}
		acme := organizations.Data[0].ID
		if a := ben.want(http.StatusOK, "GET", "/v1/me", nil, nil); !strings.Contains(string(a.body), `"email_verified_at"`) {
			t.Errorf("not verified: %s", a.body)
		}

		if a := ann.do("DELETE", "/v1/me/organizations/"+acme, nil); a.status != http.StatusConflict || !strings.Contains(string(a.body), `"last_owner"`) {
			t.Errorf("the last owner leaves: %d %s", a.status, a.body)
		}
		var members struct {
			Data []struct{ ID, Email string }
		}
		ann.want(http.StatusOK, "GET", "/v1/members", nil, &members)
		for _, m := range members.Data {
			if m.Email == "ben@example.com" {
				if a := ben.do("POST", "/v1/organization/transfer", map[string]any{"member": m.ID}); a.status != http.StatusForbidden {
					t.Errorf("a member takes it: %d %s", a.status, a.body)
				}
				ann.want(http.StatusOK, "POST", "/v1/organization/transfer", map[string]any{"member": m.ID}, nil)
			}
		}
		if a := ben.want(http.StatusOK, "GET", "/v1/me", nil, nil); !strings.Contains(string(a.body), `"owner"`) {
			t.Errorf("ben is %s", a.body)
		}
		ann.want(http.StatusNoContent, "DELETE", "/v1/me/organizations/"+acme, nil, nil)
		if a := ann.do("GET", "/v1/members", nil); a.status != http.StatusUnauthorized {
			t.Errorf("who has left: %d %s", a.status, a.body)
		}
	})
}

// invitation waits for the mail to an address and returns the token in it.
func (at place) invitation(t *testing.T, email string) (token string) {
	t.Helper()
	eventually(t, "the mail to "+email, func() bool {
		all, err := at.letters()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if l.to == email {
				token = invitationToken.FindString(l.text)
			}
		}
		return token != ""
	})
	return token
}
