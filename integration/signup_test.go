package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

// TestKillDuringSignUps kills the server while people sign up, are invited and
// join, and looks into the store: there is no half of an organization, and
// whoever was told that they are in is in.
func TestKillDuringSignUps(t *testing.T) { everywhere(t, killDuringSignUps) }

func killDuringSignUps(t *testing.T, set setup, at place) {
	flags := []string{"--sign-in-limit", "0"}
	s := start(t, at, flags...)
	owner := s.signUp("ann@example.com", "Ann's")
	book := guestBook{signedUp: map[string]bool{}, joined: map[string]bool{}}
	rounds := 3
	if set.name == embedded {
		rounds = 6
	}
	for round := range rounds {
		book.crowd(s, owner, round)
		inspect(t, at, &book)
		s = start(t, at, flags...)
		owner = s.logIn("ann@example.com")
	}
	for _, email := range slices.Sorted(maps.Keys(book.signedUp))[:3] {
		s.logIn(email)
	}
	t.Logf("%d kills; %d signed up, %d of them joined", rounds, len(book.signedUp), len(book.joined))
	if len(book.signedUp) < 2*rounds || len(book.joined) < 3 {
		t.Error("the crowd was too small to prove anything")
	}
}

// guestBook is who was told what.
type guestBook struct {
	mu       sync.Mutex
	signedUp map[string]bool
	joined   map[string]bool
}

func (g *guestBook) note(m map[string]bool, email string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m[email] = true
}

// size is how many have signed up.
func (g *guestBook) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.signedUp)
}

// crowd has people sign up and join the owner's organization until the server
// is killed among them.
func (g *guestBook) crowd(s *server, owner *client, round int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := g.size()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; g.one(ctx, s, owner, fmt.Sprintf("p%d-%d-%d@example.com", round, w, i)); i++ {
			}
		})
	}
	for deadline := time.Now().Add(patience); g.size() < before+4 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
	s.kill()
	cancel()
	wg.Wait()
}

// one is the way of one person; it reports whether the server was there to the
// end of it.
func (g *guestBook) one(ctx context.Context, s *server, owner *client, email string) bool {
	post := func(c *client, path string, body map[string]any, into any) bool {
		raw, err := json.Marshal(body)
		if err != nil {
			return false
		}
		a, err := c.try(ctx, "POST", path, "application/json", bytes.NewReader(raw))
		return err == nil && a.status/100 == 2 && json.Unmarshal(a.body, into) == nil
	}
	var invitation struct{ ID string }
	if !post(owner, "/v1/invitations", map[string]any{"email": email, "roles": []string{"member"}}, &invitation) {
		return false
	}
	person := s.client("")
	var in struct{ Tokens tokens }
	if !post(person, "/v1/auth/signup", map[string]any{
		"email": email, "password": password, "name": "P", "organization": "Of " + email,
	}, &in) {
		return false
	}
	g.note(g.signedUp, email)
	person.token = in.Tokens.AccessToken
	token, ok := s.at.invited(ctx, email)
	var accepted struct{ Organization string }
	if !ok || !post(person, "/v1/invitations/accept", map[string]any{"token": token}, &accepted) {
		return false
	}
	g.note(g.joined, email)
	return true
}

// halves are questions that must find nothing.
var halves = map[string]string{
	"a user without a password":           `user_accounts a WHERE NOT EXISTS (SELECT 1 FROM user_passwords p WHERE p.user_id = a.id)`,
	"a user without an organization":      `user_accounts a WHERE NOT EXISTS (SELECT 1 FROM user_memberships m WHERE m.user_id = a.id)`,
	"an organization without a member":    `user_organizations o WHERE NOT EXISTS (SELECT 1 FROM user_memberships m WHERE m.tenant = o.tenant)`,
	"a membership without a user":         `user_memberships m WHERE NOT EXISTS (SELECT 1 FROM user_accounts a WHERE a.id = m.user_id)`,
	"a membership without its house":      `user_memberships m WHERE NOT EXISTS (SELECT 1 FROM user_organizations o WHERE o.tenant = m.tenant)`,
	"a session without a user":            `user_sessions s WHERE NOT EXISTS (SELECT 1 FROM user_accounts a WHERE a.id = s.user_id)`,
	"an accepted invitation and no guest": `user_invitations i WHERE accepted_at > 0 AND NOT EXISTS (SELECT 1 FROM user_memberships m WHERE m.tenant = i.tenant AND m.user_id = i.accepted_by)`,
	"a sign-up without its audit entry":   `user_accounts a WHERE NOT EXISTS (SELECT 1 FROM user_audit t WHERE t.action = 'user.signed_up' AND t.target = a.id)`,
}

// noEvent is one more, where the stream is a table.
const noEvent = `user_accounts a WHERE NOT EXISTS (SELECT 1 FROM outbox e WHERE e.type = 'user.signed_up' AND e.subject = a.id)
		AND NOT EXISTS (SELECT 1 FROM event_log e WHERE e.type = 'user.signed_up' AND e.subject = a.id)`

// inspect looks into the store that a killed server left.
func inspect(t *testing.T, at place, g *guestBook) {
	t.Helper()
	db, done := at.relational(t)
	defer done()
	none := func(what, from string) {
		if n := ask(t, db, `SELECT count(*) FROM `+from); n != 0 {
			t.Errorf("after a kill there is %s: %d", what, n)
		}
	}
	for what, from := range halves {
		none(what, from)
	}
	if at.of("--kafka") == "" {
		none("a sign-up without its event", noEvent)
	}
	for email := range g.signedUp {
		if ask(t, db, `SELECT count(*) FROM user_accounts WHERE email = ?`, email) != 1 {
			t.Errorf("%s signed up and has no account", email)
		}
	}
	for email := range g.joined { // of their own organization, and of the owner's
		if n := ask(t, db, `SELECT count(*) FROM user_memberships m JOIN user_accounts a ON a.id = m.user_id WHERE a.email = ?`, email); n != 2 {
			t.Errorf("%s joined and has %d memberships, want 2", email, n)
		}
	}
}

func ask(t *testing.T, db store.Relational, query string, args ...any) (n int) {
	t.Helper()
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, query, args...).Scan(&n)
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
