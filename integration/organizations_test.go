package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// One user makes as many organizations as the limit says, at once too.
func TestOrganizationsOfAUserHaveALimit(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, "--limit", "organizations=5")
		ann := s.signUp("ann@example.com", "First")
		var (
			wg   sync.WaitGroup
			made atomic.Int64
		)
		for i := range 20 {
			wg.Go(func() {
				a := ann.do("POST", "/v1/organizations", map[string]string{"name": fmt.Sprint("Number ", i)})
				switch {
				case a.status == http.StatusCreated:
					made.Add(1)
				case a.status != http.StatusForbidden || !strings.Contains(string(a.body), `"limit_exceeded"`):
					t.Errorf("got %d %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		if made.Load() != 4 { // and that of the sign-up
			t.Errorf("%d were made", made.Load())
		}
		s.signUp("ben@example.com", "Ben's").want(http.StatusCreated, "POST", "/v1/organizations", map[string]string{"name": "Second"}, nil)
	})
}

// Whoever revokes a key revokes what it has offered.
func TestInvitationsEndWithTheirKey(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Acme")
		var key struct{ ID, Key string }
		ann.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "CI", "scopes": []string{"*"}}, &key)
		robot := s.client(key.Key)
		for c, email := range map[*client]string{ann: "ben@example.com", robot: "cy@example.com"} {
			c.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": email, "roles": []string{"member"}}, nil)
		}
		ann.want(http.StatusNoContent, "DELETE", "/v1/api-keys/"+key.ID, nil, nil)
		var open struct{ Data []struct{ Email string } }
		ann.want(http.StatusOK, "GET", "/v1/invitations", nil, &open)
		if len(open.Data) != 1 || open.Data[0].Email != "ben@example.com" {
			t.Errorf("open are %+v", open.Data)
		}
	})
}
