package user_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// TestMain runs every test on SQLite and on PostgreSQL.
func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

const issuer = "https://api.example.com"

type clock = testclock.Clock

func newClock() *clock { return testclock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)) }

// bundle is a started service over a store of its own.
type bundle struct {
	*user.Service
	db    testdb.DB
	clock *clock
	place *testdb.Place
	mail  *letters // nil but for the cases of the audit
}

// open starts a service; change may alter its Config.
func open(tb testing.TB, change ...func(*user.Config)) *bundle {
	tb.Helper()
	return openAt(tb, testdb.NewPlace(tb), newClock(), change...)
}

func openAt(tb testing.TB, place *testdb.Place, c *clock, change ...func(*user.Config)) *bundle {
	tb.Helper()
	db := place.Open(tb)
	return &bundle{Service: start(tb, db, c, change...), db: db, clock: c, place: place}
}

// replica starts another process's service over the same data.
func (b *bundle) replica(tb testing.TB, change ...func(*user.Config)) *bundle {
	tb.Helper()
	db := b.place.Another(tb, b.db)
	return &bundle{Service: start(tb, db, b.clock, change...), db: db, clock: b.clock, place: b.place}
}

func start(tb testing.TB, db testdb.DB, c *clock, change ...func(*user.Config)) *user.Service {
	tb.Helper()
	cfg := user.Config{DB: db, Sealer: testseal.New(tb), Issuer: issuer, Cache: newClockCache(c), Now: c.Now}
	for _, f := range change {
		f(&cfg)
	}
	s, err := user.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.CheapPasswords()
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if cfg.Jobs != nil {
		noError(tb, cfg.Jobs.Start(tb.Context()))
		tb.Cleanup(func() { noError(tb, cfg.Jobs.Stop(context.Background())) })
	}
	tb.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			tb.Errorf("Stop: %v", err)
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

func (b *bundle) signUp(tb testing.TB, email string) person {
	tb.Helper()
	out, err := b.SignUp(tb.Context(), user.SignUp{Email: email, Password: goodPassword, Name: "Ann", Organization: "Acme of " + email})
	if err != nil {
		tb.Fatal(err)
	}
	return person{out, b.verify(tb, out.Tokens.Access)}
}

func (b *bundle) verify(tb testing.TB, credential user.Secret) platform.Principal {
	tb.Helper()
	p, err := b.Verify(tb.Context(), string(credential))
	if err != nil {
		tb.Fatalf("Verify: %v", err)
	}
	return p
}

// join makes a new user a member of the owner's organization.
func (b *bundle) join(tb testing.TB, owner platform.Principal, email string, roles ...string) (platform.Principal, user.Member) {
	tb.Helper()
	guest := b.signUp(tb, email)
	_, token, err := b.Invite(tb.Context(), owner, user.NewInvitation{Email: email, Roles: roles})
	if err != nil {
		tb.Fatal(err)
	}
	m, org, err := b.AcceptInvitation(tb.Context(), guest.p, token)
	if err != nil {
		tb.Fatal(err)
	}
	tokens, err := b.Switch(tb.Context(), guest.p, org)
	if err != nil {
		tb.Fatal(err)
	}
	return b.verify(tb, tokens.Access), m
}

// want fails unless err is of the kind and has the code, where one is given.
func want(tb testing.TB, err error, kind platform.Kind, code string) {
	tb.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != kind || code != "" && e.CodeOrKind() != code {
		tb.Errorf("got %v, want %v %s", err, kind, code)
	}
}

func noError(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// count returns the rows of a table.
func (b *bundle) count(tb testing.TB, table string) (n int) {
	tb.Helper()
	noError(tb, b.db.AcrossTenants(tb.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	}))
	return n
}

func (b *bundle) exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	noError(tb, b.db.AcrossTenants(tb.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}))
}

// events returns the types in the outbox.
func (b *bundle) events(tb testing.TB) (types []string) {
	tb.Helper()
	noError(tb, b.db.AcrossTenants(tb.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
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
