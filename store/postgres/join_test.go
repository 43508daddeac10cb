package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

// host is a program with tables, a login and a schema of its own on the
// platform's database.
type host struct {
	db        *postgres.DB
	super     *sql.DB
	login     string
	url       string
	runtime   string
	suffix    string
	ownTables string // what its search_path is
}

func newHost(t *testing.T) *host {
	t.Helper()
	superURL := teststack.Postgres(t)
	suffix := superURL[strings.LastIndexByte(superURL, '_')+1 : strings.IndexByte(superURL, '?')]
	h := &host{
		suffix: suffix, login: "host_" + suffix, runtime: "rt_join_" + suffix, super: superuser(t, superURL),
		ownTables: "app, public",
	}
	h.db = openWith(t, postgres.Config{URL: superURL, RuntimeRole: h.runtime, SystemRole: "sys_join_" + suffix})
	must(t, h.db.Migrate(t.Context(), things()))
	h.do(t, "CREATE ROLE "+h.login+" LOGIN NOINHERIT PASSWORD 'secret'")
	h.do(t, "CREATE SCHEMA app AUTHORIZATION "+h.login)
	h.do(t, "ALTER ROLE "+h.login+" SET search_path = "+h.ownTables)
	h.do(t, "GRANT "+h.runtime+" TO "+h.login)
	h.do(t, `CREATE TABLE app.orders (id TEXT PRIMARY KEY, parent TEXT REFERENCES app.orders DEFERRABLE INITIALLY DEFERRED)`)
	h.do(t, "ALTER TABLE app.orders OWNER TO "+h.login)
	u, err := url.Parse(superURL)
	must(t, err)
	u.User = url.UserPassword(h.login, "secret")
	h.url = u.String()
	return h
}

func (h *host) do(t *testing.T, statement string) {
	t.Helper()
	if _, err := h.super.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// rows counts as somebody for whom the walls do not stand.
func (h *host) rows(t *testing.T, from string) (n int) {
	t.Helper()
	must(t, h.super.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n))
	return n
}

// holds checks how many orders, things and events have been committed.
func (h *host) holds(t *testing.T, orders, things, events int) {
	t.Helper()
	a, b, c := h.rows(t, "app.orders"), h.rows(t, "platform.things"), h.rows(t, "platform.outbox")
	if a != orders || b != things || c != events {
		t.Errorf("there are %d orders, %d things and %d events; want %d, %d and %d", a, b, c, orders, things, events)
	}
}

// hostTx is a transaction of the host's, of one of the kinds that can be joined.
type hostTx struct {
	joined           any
	exec             func(query string, args ...any) error
	text             func(query string) (string, error)
	commit, rollback func() error
}

// kinds are the ways in which a host begins a transaction.
func (h *host) kinds(t *testing.T) map[string]func(t *testing.T) hostTx {
	t.Helper()
	ctx := context.Background()
	std, err := sql.Open("pgx", h.url)
	must(t, err)
	t.Cleanup(func() { std.Close() })
	ofSQL := func(joined any, tx *sql.Tx) hostTx {
		return hostTx{
			joined: joined, commit: tx.Commit, rollback: tx.Rollback,
			exec: func(query string, args ...any) error {
				_, err := tx.ExecContext(ctx, query, args...)
				return err
			},
			text: func(query string) (s string, err error) { return s, tx.QueryRowContext(ctx, query).Scan(&s) },
		}
	}
	ofBun := func(t *testing.T) bun.Tx {
		t.Helper()
		tx, err := bun.NewDB(std, pgdialect.New()).BeginTx(ctx, nil)
		must(t, err)
		return tx
	}
	ofPGX := func(t *testing.T) pgx.Tx {
		t.Helper()
		c, err := pgx.Connect(ctx, h.url)
		must(t, err)
		t.Cleanup(func() { _ = c.Close(ctx) })
		tx, err := c.Begin(ctx)
		must(t, err)
		return tx
	}
	pgxTx := func(tx pgx.Tx, commit func(context.Context) error) hostTx {
		return hostTx{
			joined: tx,
			exec: func(query string, args ...any) error {
				_, err := tx.Exec(ctx, query, args...)
				return err
			},
			text:   func(query string) (s string, err error) { return s, tx.QueryRow(ctx, query).Scan(&s) },
			commit: func() error { return commit(ctx) }, rollback: func() error { return tx.Rollback(ctx) },
		}
	}
	return map[string]func(*testing.T) hostTx{
		"sql.Tx": func(t *testing.T) hostTx {
			t.Helper()
			tx, err := std.BeginTx(ctx, nil)
			must(t, err)
			return ofSQL(tx, tx)
		},
		"bun.Tx": func(t *testing.T) hostTx {
			t.Helper()
			tx := ofBun(t)
			return ofSQL(tx, tx.Tx)
		},
		"pointer to bun.Tx": func(t *testing.T) hostTx {
			t.Helper()
			tx := ofBun(t)
			return ofSQL(&tx, tx.Tx)
		},
		"pgx.Tx": func(t *testing.T) hostTx {
			t.Helper()
			tx := ofPGX(t)
			return pgxTx(tx, tx.Commit)
		},
		"nested pgx.Tx": func(t *testing.T) hostTx {
			t.Helper()
			outer := ofPGX(t)
			tx, err := outer.Begin(ctx)
			must(t, err)
			return pgxTx(tx, func(ctx context.Context) error { return errors.Join(tx.Commit(ctx), outer.Commit(ctx)) })
		},
	}
}

// each runs a test with every kind of transaction; each has a database of its own.
func each(t *testing.T, test func(t *testing.T, h *host, begin func(*testing.T) hostTx)) {
	t.Helper()
	for _, kind := range []string{"sql.Tx", "bun.Tx", "pointer to bun.Tx", "pgx.Tx", "nested pgx.Tx"} {
		t.Run(kind, func(t *testing.T) {
			h := newHost(t)
			test(t, h, h.kinds(t)[kind])
		})
	}
}

const insertOrder = "INSERT INTO orders (id) VALUES ($1)"

// settings are what Join must give back.
func settings(t *testing.T, tx hostTx) string {
	t.Helper()
	s, err := tx.text(`SELECT concat_ws(' | ', current_user, current_setting('role'), current_setting('search_path'),
		coalesce(current_setting('app.tenant', true), ''))`)
	must(t, err)
	return s
}

// work writes a thing and emits an event.
func work(tenant platform.TenantID, n int) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Exec(ctx, insertThing, tenant, fmt.Sprint("id_", n), "it's ? here"); err != nil {
			return err
		}
		e := numbered(n)
		e.Tenant = tenant
		return tx.Emit(ctx, e)
	}
}

// What Join does commits with the host's rows, or is rolled back with them, and
// the host's statements run as the host before and after.
func TestJoinCommitsWithTheHost(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		must(t, tx.exec(insertOrder, "o1"))
		before := settings(t, tx)
		for n := range 2 { // twice in one transaction, with many events
			must(t, h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
				if joined.Tenant() != acme || !store.Joined(joined) {
					t.Errorf("the transaction is of %q, joined: %v", joined.Tenant(), store.Joined(joined))
				}
				for i := range 70 {
					must(t, joined.Emit(ctx, numbered(1000+100*n+i)))
				}
				return work(acme, n)(ctx, joined)
			}))
			if after := settings(t, tx); after != before {
				t.Errorf("the session was %s and is %s", before, after)
			}
		}
		must(t, tx.exec(insertOrder, "o2"))
		if err := tx.exec("SELECT * FROM platform.things"); err == nil {
			t.Error("the host still has the rights of the platform")
		}
		must(t, tx.rollback())
		h.holds(t, 0, 0, 0)

		tx = begin(t)
		must(t, tx.exec(insertOrder, "o1"))
		must(t, h.db.Join(t.Context(), tx.joined, acme, work(acme, 1)))
		must(t, tx.exec(insertOrder, "o2"))
		h.holds(t, 0, 0, 0)
		must(t, tx.commit())
		h.holds(t, 2, 1, 1)
		if n := count(t, h.db, other, "things"); n != 0 {
			t.Errorf("another tenant sees %d things", n)
		}
	})
}

// The settings come back as the host had changed them, for the rest of its
// transaction and for its session.
func TestJoinGivesTheSessionBack(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		h.do(t, "CREATE ROLE clerk_"+h.suffix)
		h.do(t, fmt.Sprintf("GRANT clerk_%s TO %s", h.suffix, h.login))
		for _, prepare := range []string{
			"SELECT 1",
			"SET LOCAL search_path = 'it''s', \"$user\", app",
			"SET search_path = app",
			"SET LOCAL app.tenant = 'the host''s \\ own'",
			"SET app.tenant = 'the host''s'",
			"SET LOCAL ROLE clerk_" + h.suffix,
			"SET ROLE clerk_" + h.suffix,
		} {
			tx := begin(t)
			must(t, tx.exec(prepare))
			before := settings(t, tx)
			must(t, h.db.Join(t.Context(), tx.joined, acme, work(acme, 1)))
			if after := settings(t, tx); after != before {
				t.Errorf("after %s the session was %s and is %s", prepare, before, after)
			}
			failed := errors.New("no")
			if err := h.db.Join(t.Context(), tx.joined, other, func(context.Context, store.Tx) error { return failed }); !errors.Is(err, failed) {
				t.Errorf("got %v", err)
			}
			if after := settings(t, tx); after != before {
				t.Errorf("after %s and a failure the session was %s and is %s", prepare, before, after)
			}
			must(t, tx.rollback())
		}
		h.holds(t, 0, 0, 0)
	})
}

// Row-level security holds inside, also where the host's login is a superuser.
func TestJoinIsBehindTheWall(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		must(t, execute(h.db, other, insertThing, other, "theirs", ""))
		h.do(t, "ALTER ROLE "+h.login+" SUPERUSER")
		tx := begin(t)
		must(t, h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			var n int
			if err := joined.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n); err != nil || n != 0 {
				t.Errorf("without a condition %d rows of another tenant are seen, %v", n, err)
			}
			return nil
		}))
		err := h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			_, err := joined.Exec(ctx, insertThing, other, "planted", "")
			return err
		})
		if err == nil {
			t.Error("a row of another tenant was written")
		}
		err = h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			e := numbered(1)
			e.Tenant = other
			return joined.Emit(ctx, e)
		})
		if platform.KindOf(err) != platform.KindNoTenant {
			t.Errorf("an event of another tenant: %v", err)
		}
		err = h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			_, err := joined.Exec(ctx, "SELECT * FROM app.orders")
			return err
		})
		if err == nil {
			t.Error("the host's tables are in reach of the platform's code")
		}
		must(t, tx.exec(insertOrder, "o1"))
		must(t, tx.commit())
		h.holds(t, 1, 1, 0)
	})
}

// Whatever way fn fails, its work is undone and the host goes on.
func TestJoinThatFails(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		must(t, tx.exec(insertOrder, "o1"))
		before := settings(t, tx)
		failed := errors.New("no")
		ended, cancel := context.WithCancel(t.Context())
		for name, c := range map[string]struct {
			ctx  context.Context
			fn   func(context.Context, store.Tx) error
			want func(error) bool
		}{
			"an error": {t.Context(), func(ctx context.Context, joined store.Tx) error {
				return errors.Join(work(acme, 1)(ctx, joined), failed)
			}, func(err error) bool { return errors.Is(err, failed) }},
			"a statement that fails": {t.Context(), func(ctx context.Context, joined store.Tx) error {
				return errors.Join(work(acme, 1)(ctx, joined), work(acme, 1)(ctx, joined))
			}, func(err error) bool { return platform.KindOf(err) == platform.KindConflict }},
			"a hidden failure": {t.Context(), func(ctx context.Context, joined store.Tx) error {
				_, _ = joined.Exec(ctx, "SELECT 1/0")
				return nil
			}, func(err error) bool {
				return err != nil && strings.Contains(err.Error(), "although a statement had failed")
			}},
			"a hidden failure and an event": {t.Context(), func(ctx context.Context, joined store.Tx) error {
				_, _ = joined.Exec(ctx, "SELECT 1/0")
				return joined.Emit(ctx, numbered(1))
			}, func(err error) bool {
				return err != nil && strings.Contains(err.Error(), "although a statement had failed")
			}},
			"a context that ends": {ended, func(ctx context.Context, joined store.Tx) error {
				defer cancel()
				return work(acme, 1)(ctx, joined)
			}, func(err error) bool { return errors.Is(err, context.Canceled) }},
			"AfterCommit": {t.Context(), func(ctx context.Context, joined store.Tx) error {
				joined.AfterCommit(func() { t.Error("it was called") })
				return work(acme, 1)(ctx, joined)
			}, func(err error) bool { return errors.Is(err, postgres.ErrAfterCommit) }},
			"a transaction inside": {t.Context(), func(ctx context.Context, _ store.Tx) error {
				return h.db.InTenant(ctx, acme, work(acme, 1))
			}, func(err error) bool { return errors.Is(err, postgres.ErrNested) }},
			"a Join inside": {t.Context(), func(ctx context.Context, _ store.Tx) error {
				return h.db.Join(ctx, tx.joined, acme, work(acme, 1))
			}, func(err error) bool { return errors.Is(err, postgres.ErrNested) }},
		} {
			if err := h.db.Join(c.ctx, tx.joined, acme, c.fn); !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
			if after := settings(t, tx); after != before {
				t.Errorf("after %s the session was %s and is %s", name, before, after)
			}
		}
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
				must(t, work(acme, 1)(ctx, joined))
				panic("boom")
			})
		}()
		if after := settings(t, tx); after != before {
			t.Errorf("after a panic the session was %s and is %s", before, after)
		}
		must(t, tx.exec(insertOrder, "o2"))
		must(t, tx.commit())
		h.holds(t, 2, 0, 0)
	})
}

// The transaction that fn was given is dead afterwards.
func TestJoinEndsItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		var kept store.Tx
		must(t, h.db.Join(t.Context(), tx.joined, acme, func(_ context.Context, joined store.Tx) error {
			kept = joined
			return nil
		}))
		if _, err := kept.Exec(t.Context(), "SELECT 1"); !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, sql.ErrConnDone) {
			t.Errorf("a statement after Join: %v", err)
		}
		must(t, tx.commit())
		err := h.db.Join(t.Context(), tx.joined, acme, work(acme, 1))
		if !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("Join of a transaction that has ended: %v", err)
		}
		h.holds(t, 0, 0, 0)
	})
}

// A constraint that the host deferred fails at its commit, and takes the
// platform's rows and events with it.
func TestJoinAndADeferredConstraint(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		must(t, tx.exec("INSERT INTO orders (id, parent) VALUES ('o1', 'missing')"))
		must(t, h.db.Join(t.Context(), tx.joined, acme, work(acme, 1)))
		if err := tx.commit(); err == nil {
			t.Error("the commit succeeded")
		}
		h.holds(t, 0, 0, 0)

		tx = begin(t)
		must(t, tx.exec("INSERT INTO orders (id, parent) VALUES ('o1', 'later')"))
		must(t, h.db.Join(t.Context(), tx.joined, acme, work(acme, 1)))
		must(t, tx.exec(insertOrder, "later"))
		must(t, tx.commit())
		h.holds(t, 2, 1, 1)
	})
}

// What Join refuses leaves the host's transaction as it was.
func TestJoinRefuses(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		never := func(context.Context, store.Tx) error {
			t.Error("the function was called")
			return nil
		}
		tx := begin(t)
		if err := h.db.Join(t.Context(), tx.joined, "it's", never); platform.KindOf(err) != platform.KindNoTenant {
			t.Errorf("a bad tenant: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.db.Join(ctx, tx.joined, acme, never); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context: %v", err)
		}
		// A login that may not take the role is told what to run.
		h.do(t, "REVOKE "+h.runtime+" FROM "+h.login)
		err := h.db.Join(t.Context(), tx.joined, acme, never)
		if want := fmt.Sprintf("GRANT %s TO %q", h.runtime, h.login); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q in it", err, want)
		}
		must(t, tx.exec(insertOrder, "o1"))
		must(t, tx.commit())
		h.do(t, "GRANT "+h.runtime+" TO "+h.login)

		tx = begin(t)
		_ = tx.exec("SELECT 1/0")
		if err := h.db.Join(t.Context(), tx.joined, acme, never); err == nil || !strings.Contains(err.Error(), "has failed before") {
			t.Errorf("in a failed transaction: %v", err)
		}
		must(t, tx.rollback())

		tx = begin(t)
		must(t, tx.exec("SET TRANSACTION READ ONLY"))
		err = h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error { return joined.Emit(ctx, numbered(1)) })
		if err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("in a transaction that only reads: %v", err)
		}
		must(t, tx.rollback())

		h.do(t, "ALTER SCHEMA platform RENAME TO gone")
		tx = begin(t)
		if err := h.db.Join(t.Context(), tx.joined, acme, never); err == nil || !strings.Contains(err.Error(), "without the tables of schema platform") {
			t.Errorf("in another database: %v", err)
		}
		must(t, tx.rollback())
		h.do(t, "ALTER SCHEMA gone RENAME TO platform")
		h.holds(t, 1, 0, 0)
	})
	h := newHost(t)
	for name, tx := range map[string]any{
		"nil": nil, "a nil sql.Tx": (*sql.Tx)(nil), "a zero bun.Tx": bun.Tx{}, "a nil bun.Tx": (*bun.Tx)(nil), "a pool": h.super,
	} {
		if err := h.db.Join(t.Context(), tx, acme, work(acme, 1)); err == nil || !strings.Contains(err.Error(), "give a *sql.Tx, a bun.Tx or a pgx.Tx") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection that cannot be given back as it was is not given back: the host's
// transaction ends rather than go on as another role.
func TestJoinThatCannotGiveBack(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		must(t, tx.exec(insertOrder, "o1"))
		err := h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			_, err := joined.Exec(ctx, "RELEASE SAVEPOINT platform_join")
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "the host's transaction was ended") {
			t.Errorf("got %v", err)
		}
		if err := tx.exec(insertOrder, "o2"); err == nil {
			t.Error("the host's transaction goes on")
		}
		_ = tx.commit()
		h.holds(t, 0, 0, 0)
	})
}

// A server that is lost in between ends the host's transaction.
func TestJoinLosesTheServer(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		tx := begin(t)
		must(t, tx.exec(insertOrder, "o1"))
		err := h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) error {
			must(t, work(acme, 1)(ctx, joined))
			h.do(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+h.login+"'")
			return nil
		})
		if platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("got %v", err)
		}
		if err := tx.commit(); err == nil {
			t.Error("the host's commit succeeded")
		}
		h.holds(t, 0, 0, 0)
	})
}

// Rows that fn reads have the same Go types in every kind of transaction.
func TestJoinReadsAllTypes(t *testing.T) {
	each(t, func(t *testing.T, h *host, begin func(*testing.T) hostTx) { //nolint:thelper // the body of a test
		read := func(ctx context.Context, tx store.Tx) (string, error) {
			rows, err := tx.Query(ctx, `SELECT true, 2::int2, 4::int4, 8::int8, 1.5::float4, 2.5::float8, 'text', '\xff00'::bytea, NULL,
				'{"a":1}'::json, '{"a":1}'::jsonb, date '2026-11-30', timestamp '2026-11-30 10:00:00',
				timestamptz '2026-11-30 10:00:00+00', 12.50::numeric, ARRAY['a','b'], 7::oid WHERE ? = 'x'`, "x")
			if err != nil {
				return "", err
			}
			defer rows.Close()
			columns, err := rows.Columns()
			if err != nil || !rows.Next() {
				return "", errors.Join(err, rows.Err(), errors.New("no row"))
			}
			values := make([]any, len(columns))
			dest := make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				return "", err
			}
			var out strings.Builder
			for _, v := range values {
				fmt.Fprintf(&out, "%T %v; ", v, v)
			}
			return out.String(), rows.Err()
		}
		var want, got string
		must(t, h.db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) (err error) {
			want, err = read(ctx, tx)
			return err
		}))
		tx := begin(t)
		must(t, h.db.Join(t.Context(), tx.joined, acme, func(ctx context.Context, joined store.Tx) (err error) {
			if got, err = read(ctx, joined); err != nil {
				return err
			}
			// The vocabulary of bun, and what has no row.
			var ids []string
			must(t, work(acme, 1)(ctx, joined))
			if err := joined.NewSelect().Table("things").Column("id").Where("tenant = ?", acme).Scan(ctx, &ids); err != nil || len(ids) != 1 {
				t.Errorf("bun reads %v, %v", ids, err)
			}
			if err := joined.QueryRow(ctx, "SELECT id FROM things WHERE id = ?", "none").Scan(new(string)); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("no row: %v", err)
			}
			if err := joined.Lock(ctx, "name"); err != nil {
				t.Errorf("lock: %v", err)
			}
			first, err := joined.Once(ctx, "group", numbered(1))
			second, err2 := joined.Once(ctx, "group", numbered(1))
			if !first || second || err != nil || err2 != nil {
				t.Errorf("once: %v, %v, %v, %v", first, second, err, err2)
			}
			return nil
		}))
		must(t, tx.commit())
		if got != want {
			t.Errorf("Join reads\n%s\nInTenant reads\n%s", got, want)
		}
	})
}

// Wake reaches who waits for emitted events and who waits for any work.
func TestWake(t *testing.T) {
	db := open(t)
	calls := ""
	defer db.OnEmit(func() { calls += "e" })()
	remove := db.OnWake(func() { calls += "w" })
	db.Wake()
	remove()
	db.Wake()
	if calls != "ewe" {
		t.Errorf("calls: %q", calls)
	}
}
