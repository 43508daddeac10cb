package integration

import (
	"net/http"
	"testing"
)

// TestScansBesideANeighbour has one tenant ask for scans on 16 connections, and
// on more than may wait. All it is told is an answer, or to come again later, and
// the requests of another tenant, scans too, are all answered. How fast is
// measured by TestNeighbours.
func TestScansBesideANeighbour(t *testing.T) {
	for _, s := range setups {
		if s.name != embedded && s.name != "postgres" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			p := &pair{t: t}
			server := start(t, s.place(t), "--rate-limit", "0")
			p.a, p.b = server.signUp("a@example.com", "Attacker"), server.signUp("b@example.com", "Neighbour")
			p.a.fillMany(6000)
			p.fillFew()
			for _, a := range attacks {
				var asked answers
				stop := p.attack(a, attackers, &asked)
				for range 50 {
					p.b.want(http.StatusOK, "GET", "/v1/data/collections/few/records/one", nil, nil)
					p.b.want(http.StatusOK, "GET", "/v1/data/collections/few/records?sort=n", nil, nil)
				}
				stop()
				if asked.ok.Load() == 0 {
					t.Errorf("%s: the scans of a tenant are all refused", a.name)
				}
			}
			p.b.fillMany(3000)
			var asked answers
			stop := p.attack(attacks[1], 100, &asked)
			eventually(t, "a refusal", func() bool { return asked.limited.Load() > 0 })
			for _, a := range attacks {
				p.b.want(http.StatusOK, a.method, a.path, a.body, nil)
			}
			stop()
		})
	}
}
