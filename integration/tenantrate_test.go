package integration

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// TestOrganizationsOfACreatorShareARate asks as two organizations of one
// creator at once, and as another's.
func TestOrganizationsOfACreatorShareARate(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		const limit = 60
		s := start(t, at, "--access-log=false", "--sign-in-limit", "0", "--limit", "requests=60")
		ann, bob := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")
		began := time.Now()
		var org struct{ ID string }
		ann.want(http.StatusCreated, "POST", "/v1/organizations", map[string]string{"name": "Ann's other"}, &org)
		var in tokens
		ann.want(http.StatusOK, "POST", "/v1/auth/switch", map[string]string{"organization": org.ID}, &in)
		other := s.client(in.AccessToken)
		key := ann // an API key of the first organization is one more principal
		var made struct{ Key string }
		if a := ann.do("POST", "/v1/api-keys", map[string]any{"name": "k", "scopes": []string{"me.get"}}); a.status == http.StatusCreated {
			a.into(t, &made)
			key = s.client(made.Key)
		}
		clients := []*client{ann, other, key}
		got := countStatuses(t, 3*limit, func(i int) (answer, error) {
			return clients[i%len(clients)].try(context.Background(), "GET", "/v1/me", "", nil)
		})
		if time.Since(began) > 50*time.Second {
			t.Skip("a new minute may have begun")
		}
		// Three calls of the share came before.
		if got[200] != limit-3 || got[429] != 2*limit+3 {
			t.Errorf("of %d requests of one share: %v, want %d", 3*limit, got, limit-3)
		}
		a := ann.do("GET", "/v1/me", nil)
		if policies := a.header.Values("RateLimit-Policy"); a.status != 429 || a.header.Get("Retry-After") == "" || len(policies) != 2 || policies[1] != `"organization";q=60;w=60` {
			t.Errorf("over the limit: %d %v", a.status, a.header)
		}
		if a := bob.do("GET", "/v1/me", nil); a.status != 200 {
			t.Errorf("the organization of another creator: %d %s", a.status, a.body)
		}
	})
}
