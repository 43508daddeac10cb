package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
)

// member invites somebody and returns a client of theirs in the organization,
// with the id of the membership.
func (c *client) member(s *server, at place, email, role string) (*client, string) {
	c.t.Helper()
	guest := s.signUp(email, "Of "+email)
	c.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": email, "roles": []string{role}}, nil)
	var token string
	eventually(c.t, "the mail to "+email, func() bool {
		all, err := at.letters()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, l := range all {
			if l.to == email {
				token = invitationToken.FindString(l.text)
			}
		}
		return token != ""
	})
	guest.accept(token)
	var members struct {
		Data []struct{ ID, Email string }
	}
	c.want(http.StatusOK, "GET", "/v1/members", nil, &members)
	for _, m := range members.Data {
		if m.Email == email {
			return guest, m.ID
		}
	}
	c.t.Fatalf("%s is no member", email)
	return nil, ""
}

// TestMembersAreRefused has a member and a viewer run every operation of every
// service that the server describes and that their role does not grant: each is
// refused, for the permission, whatever ids and bodies it has.
func TestMembersAreRefused(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Ann's")
		for _, role := range []string{"member", "viewer"} {
			c, _ := ann.member(s, at, role+"@example.com", role)
			refused := 0
			for _, op := range operations(t, ann) {
				if !op.above(t, ann, role) {
					continue
				}
				refused++
				if a := op.call(t, c, "x"); a.status != http.StatusForbidden {
					t.Errorf("%s as %s: %d %s", op.id, role, a.status, a.body)
				}
			}
			if refused < 30 {
				t.Errorf("only %d operations were tried as %s", refused, role)
			}
			t.Logf("%d operations refuse a %s", refused, role)
		}
	})
}

// above reports whether the operation is for operators, or needs a permission that
// the role lacks.
func (op operation) above(t *testing.T, owner *client, role string) bool {
	t.Helper()
	var r struct{ Permissions []string }
	owner.want(http.StatusOK, "GET", "/v1/roles/"+role, nil, &r)
	if len(r.Permissions) == 0 {
		t.Fatalf("%s has no permissions", role)
	}
	if op.access == "operator" {
		return true
	}
	return op.permission != "" && !slices.ContainsFunc(r.Permissions, func(p string) bool { return platform.Grants(p, op.permission) })
}

// TestAuthorizationJourney gives and takes rights by a team, by inheritance and by
// a rule; each acts on the next request, and an explanation says why.
func TestAuthorizationJourney(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Ann's")
		ben, membership := ann.member(s, at, "ben@example.com", "viewer")
		ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "films"}, nil)
		create := func(status int) {
			t.Helper()
			ben.want(status, "POST", "/v1/data/collections/films/records", map[string]any{"data": map[string]any{"title": "M"}}, nil)
		}
		create(http.StatusForbidden)
		var role, team, rule struct{ ID string }
		ann.want(http.StatusCreated, "POST", "/v1/roles", map[string]any{"name": "editor", "permissions": []string{}, "parents": []string{"member"}}, &role)
		ann.want(http.StatusCreated, "POST", "/v1/teams", map[string]any{"name": "Editors", "roles": []string{"editor"}}, &team)
		ann.want(http.StatusNoContent, "POST", "/v1/teams/"+team.ID+"/members", map[string]any{"member_id": membership}, nil)
		create(http.StatusCreated)
		ben.want(http.StatusForbidden, "POST", "/v1/teams/"+team.ID+"/members", map[string]any{"member_id": membership}, nil)
		ann.want(http.StatusCreated, "POST", "/v1/access-rules", map[string]any{"team_id": team.ID, "permission": "data.records.write", "effect": "deny"}, &rule)
		create(http.StatusForbidden)
		var why struct {
			Allowed bool
			Reason  string
			Rules   []json.RawMessage
		}
		ann.want(http.StatusOK, "POST", "/v1/authorize/explain", map[string]any{"member_id": membership, "permission": "data.records.write"}, &why)
		if why.Allowed || why.Reason != "denied" || len(why.Rules) != 2 || !strings.Contains(string(why.Rules[0]), rule.ID) ||
			!strings.Contains(string(why.Rules[1]), fmt.Sprintf(`[{"team_id":%q},{"role":"editor"},{"role":"member"}]`, team.ID)) {
			t.Errorf("explanation %+v", why)
		}
		ann.want(http.StatusNoContent, "DELETE", "/v1/access-rules/"+rule.ID, nil, nil)
		create(http.StatusCreated)
		ann.want(http.StatusOK, "PATCH", "/v1/roles/"+role.ID, map[string]any{"parents": []string{"viewer"}}, nil)
		create(http.StatusForbidden)
		var audit struct{ Data []struct{ Action string } }
		ann.want(http.StatusOK, "GET", "/v1/audit?limit=200", nil, &audit)
		for _, action := range []string{"role.created", "team.created", "team.member_added", "access_rule.created", "access_rule.deleted", "role.updated"} {
			if !slices.ContainsFunc(audit.Data, func(r struct{ Action string }) bool { return r.Action == action }) {
				t.Errorf("the audit has no %s", action)
			}
		}
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		// It is all there after a restart.
		s = start(t, at)
		ben = s.client(ben.token)
		create(http.StatusForbidden)
		ann = s.client(ann.token)
		ann.want(http.StatusOK, "PATCH", "/v1/teams/"+team.ID, map[string]any{"roles": []string{"member"}}, nil)
		create(http.StatusCreated)
	})
}
