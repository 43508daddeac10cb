package user_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://api.example.com"

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bundle is a started service over a file of its own.
type bundle struct {
	*user.Service
	db    *sqlite.DB
	clock *clock
	path  string
}

// open starts a service; change may alter its Config.
func open(t testing.TB, change ...func(*user.Config)) *bundle {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.db"), newClock(), change...)
}

func openAt(t testing.TB, path string, c *clock, change ...func(*user.Config)) *bundle {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &bundle{Service: start(t, db, c, change...), db: db, clock: c, path: path}
}

func start(t testing.TB, db *sqlite.DB, c *clock, change ...func(*user.Config)) *user.Service {
	t.Helper()
	cfg := user.Config{DB: db, Issuer: issuer, Cache: memory.NewCache(1 << 20), Now: c.Now}
	for _, f := range change {
		f(&cfg)
	}
	s, err := user.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.CheapPasswords()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

const goodPassword = "violet tractor 9 umbrella"

// person is a signed-up user with an organization of their own.
type person struct {
	user.SignedUp
	p platform.Principal
}

func (b *bundle) signUp(t testing.TB, email string) person {
	t.Helper()
	out, err := b.SignUp(t.Context(), user.SignUp{Email: email, Password: goodPassword, Name: "Ann", Organization: "Acme of " + email})
	if err != nil {
		t.Fatal(err)
	}
	return person{out, b.verify(t, out.Tokens.Access)}
}

func (b *bundle) verify(t testing.TB, credential user.Secret) platform.Principal {
	t.Helper()
	p, err := b.Verify(t.Context(), string(credential))
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return p
}

// join makes a new user a member of the owner's organization.
func (b *bundle) join(t testing.TB, owner platform.Principal, email string, roles ...string) (platform.Principal, user.Member) {
	t.Helper()
	guest := b.signUp(t, email)
	_, token, err := b.Invite(t.Context(), owner, user.NewInvitation{Email: email, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	m, org, err := b.AcceptInvitation(t.Context(), guest.p, token)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := b.Switch(t.Context(), guest.p, org)
	if err != nil {
		t.Fatal(err)
	}
	return b.verify(t, tokens.Access), m
}

// want fails unless err is of the kind and has the code, where one is given.
func want(t testing.TB, err error, kind platform.Kind, code string) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != kind || code != "" && e.CodeOrKind() != code {
		t.Errorf("got %v, want %v %s", err, kind, code)
	}
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// count returns the rows of a table.
func (b *bundle) count(t testing.TB, table string) (n int) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), func(ctx context.Context, tx store.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	}))
	return n
}

func (b *bundle) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}))
}

// events returns the types in the outbox.
func (b *bundle) events(t testing.TB) (types []string) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), func(ctx context.Context, tx store.Tx) error {
		types = nil
		rows, err := tx.Query(ctx, `SELECT type FROM outbox ORDER BY seq`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one string
			if err := rows.Scan(&one); err != nil {
				return err
			}
			types = append(types, one)
		}
		return rows.Err()
	}))
	return types
}
