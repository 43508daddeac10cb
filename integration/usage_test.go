package integration

import (
	"net/http"
	"testing"
)

// TestUsageIsVisible reads what an organization has used, as it is used.
func TestUsageIsVisible(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, "--access-log=false", "--limit", "members=7,requests=500")
		ann, bob := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")
		ann.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": "carol@example.com", "roles": []string{"member"}}, nil)
		type usage struct {
			Used  int64
			Limit *int64
		}
		of := func(c *client) map[string]usage {
			t.Helper()
			var report struct {
				Data []struct {
					Name string
					usage
				}
				Unavailable []string
			}
			c.want(http.StatusOK, "GET", "/v1/usage", nil, &report)
			if len(report.Unavailable) > 0 {
				t.Errorf("unavailable: %v", report.Unavailable)
			}
			all := map[string]usage{}
			for i, u := range report.Data {
				if all[u.Name] = u.usage; i > 0 && report.Data[i-1].Name >= u.Name {
					t.Errorf("%s comes after %s", u.Name, report.Data[i-1].Name)
				}
			}
			return all
		}
		mine, other := of(ann), of(bob)
		for name, want := range map[string][3]int64{"members": {2, 1, 7}, "requests": {2, 1, 500}} {
			m, o := mine[name], other[name]
			if m.Limit == nil || m.Used != want[0] || o.Used != want[1] || *m.Limit != want[2] {
				t.Errorf("%s: %+v, another organization's %+v, want %v", name, m, o, want)
			}
		}
		s.client("").want(http.StatusUnauthorized, "GET", "/v1/usage", nil, nil)
	})
}
