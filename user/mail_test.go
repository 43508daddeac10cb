package user_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// The mail of an invitation has a link to the configured origin, whose token is
// made when the mail leaves: it is in no job, no row, no log and no error.
func TestTheSecretOfAMailIsInTheMailAlone(t *testing.T) {
	var (
		log   syncBuffer
		mail  letters
		tries int
		seen  []user.Mail
	)
	mail.refuse = func(m user.Mail) error {
		seen = append(seen, m)
		if tries++; tries == 1 { // the mail has arrived all the same
			return queue.RetryAfter(fmt.Errorf("the server said: %s", string(m.Link)), 1)
		}
		return nil
	}
	b := open(t, func(c *user.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		mail.in(c)
	})
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	inv, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"member"}})
	noError(t, err)
	b.clock.Advance(1) // the second try is due
	m := mail.wait(t, "ben@example.com", user.MailInvitation, 1)
	if m.Organization != ann.p.Tenant || m.OrganizationName != ann.Organization.Name || !m.Expires.Equal(inv.ExpiresAt) || m.ID != inv.ID {
		t.Errorf("the mail is %+v", m)
	}
	if len(seen) != 2 || seen[0].Link == seen[1].Link || seen[0].ID != seen[1].ID {
		t.Fatalf("%d tries", len(seen))
	}
	for _, one := range seen {
		secret := tail(tokenOf(t, one))
		if strings.Contains(b.place.Contents(t), secret) || strings.Contains(log.String(), secret) || strings.Contains(fmt.Sprintf("%v %+v", one, one), secret) {
			t.Error("the secret is in the store, the log or a printed mail")
		}
	}
	// That of the first try is good: its mail may have arrived.
	if _, _, err := b.AcceptInvitation(t.Context(), ben.p, tokenOf(t, seen[0])); err != nil {
		t.Errorf("the token of the first try: %v", err)
	}
	_, _, err = b.AcceptInvitation(t.Context(), ben.p, tokenOf(t, seen[1]))
	want(t, err, platform.KindConflict, "invitation_used")
}

// What the host's hook says of a mail is kept with the dead job, without the secret.
func TestTheCauseOfAMailHasNoSecret(t *testing.T) {
	var mail letters
	var secret string
	mail.refuse = func(m user.Mail) error {
		secret = tail(tokenOf(t, m))
		return queue.Discard(fmt.Errorf("no such mailbox for %s", string(m.Link)))
	}
	var jobs *queue.Queue
	b := open(t, func(c *user.Config) { mail.in(c); jobs = c.Jobs })
	ann := b.signUp(t, "ann@example.com")
	_, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"member"}})
	noError(t, err)
	var dead []queue.DeadJob
	eventually(t, func() bool {
		dead, err = jobs.Dead(t.Context(), ann.p.Tenant, queue.DeadQuery{})
		noError(t, err)
		return len(dead) == 1
	})
	if cause := dead[0].Cause; !strings.Contains(cause, "no such mailbox") || strings.Contains(cause, secret) || strings.Contains(b.place.Contents(t), secret) {
		t.Errorf("the cause is %q", cause)
	}
}

// A revoked invitation is not mailed.
func TestNoMailOfWhatIsGone(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	inv, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "first@example.com", Roles: []string{"member"}})
	noError(t, err)
	mail.wait(t, "first@example.com", user.MailInvitation, 1)
	noError(t, b.RevokeInvitation(t.Context(), ann.p, inv.ID))
	noError(t, b.db.InTenant(t.Context(), ann.p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return b.MailAgain(ctx, tx, inv.ID)
	}))
	eventually(t, func() bool { return b.count(t, "jobs") == 0 })
	if n := len(mail.sent("first@example.com")); n != 1 {
		t.Errorf("%d mails of a revoked invitation", n)
	}
}

func TestNewRefusesAMailWithoutAWay(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	_, err := user.New(user.Config{DB: db, Issuer: issuer, Cache: newClockCache(newClock()), Mail: (&letters{}).put})
	if err == nil || !strings.Contains(err.Error(), "Config.Jobs must be set") || !strings.Contains(err.Error(), "Links.Origin") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"app.example.com", "https://app.example.com/path", "javascript:alert(1)", "https://user@app.example.com", "https://app.example.com?x=1"} {
		if _, err := user.New(user.Config{DB: db, Issuer: issuer, Cache: newClockCache(newClock()), Links: user.Links{Origin: bad}}); err == nil {
			t.Errorf("the origin %s was taken", bad)
		}
	}
	for _, bad := range []string{"//evil.example", "invitation", `/\evil.example`, "/x#y"} {
		links := user.Links{Origin: origin, Paths: map[user.MailKind]string{user.MailInvitation: bad}}
		if _, err := user.New(user.Config{DB: db, Issuer: issuer, Cache: newClockCache(newClock()), Links: links}); err == nil {
			t.Errorf("the path %s was taken", bad)
		}
	}
}

// syncBuffer is a log that many goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually waits for what another goroutine does.
func eventually(tb testing.TB, done func() bool) {
	tb.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("it did not come")
}
