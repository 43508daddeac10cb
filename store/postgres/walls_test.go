package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

// things are the migrations of a table with tenants and of one without.
func things() store.Migrations {
	return store.Migrations{Component: "things", Files: fstest.MapFS{"postgres/0001_things.sql": {Data: []byte(`
		CREATE TABLE things (tenant TEXT COLLATE "C" NOT NULL, id TEXT COLLATE "C" NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, id));
		CREATE TABLE shared (id TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL);
	`)}}}
}

// openThings opens a database with the tables and returns its superuser too.
func openThings(t *testing.T) (*postgres.DB, *sql.DB, string) {
	t.Helper()
	url := teststack.Postgres(t)
	db := openWith(t, postgres.Config{URL: url})
	must(t, db.Migrate(t.Context(), things()))
	return db, superuser(t, url), url
}

func superuser(t *testing.T, url string) *sql.DB {
	t.Helper()
	su, err := sql.Open("pgx", url)
	must(t, err)
	t.Cleanup(func() { su.Close() })
	return su
}

const insertThing = "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?)"

// The database refuses what a forgotten condition would let through.
func TestAForgottenConditionFindsNothing(t *testing.T) {
	db, _, _ := openThings(t)
	must(t, execute(db, acme, insertThing, acme, "x", "mine"))
	must(t, execute(db, other, insertThing, other, "y", "theirs"))

	if n := count(t, db, acme, "things"); n != 1 {
		t.Errorf("without a condition a tenant sees %d rows of 1", n)
	}
	if n := count(t, db, acme, "things WHERE tenant = ?", other); n != 0 {
		t.Errorf("a tenant that names another sees %d rows", n)
	}
	if err := execute(db, acme, insertThing, other, "z", "planted"); err == nil {
		t.Error("a tenant writes a row of another")
	}
	if err := execute(db, acme, "UPDATE things SET tenant = ?", other); err == nil {
		t.Error("a tenant gives its row to another")
	}
	must(t, execute(db, acme, "UPDATE things SET body = 'changed'"))
	must(t, execute(db, acme, "DELETE FROM things WHERE id = ?", "y"))
	if n := count(t, db, other, "things WHERE body = 'theirs'"); n != 1 {
		t.Error("a change without a condition reached another tenant")
	}
	for _, statement := range []string{
		"TRUNCATE things", "ALTER TABLE things DISABLE ROW LEVEL SECURITY", "DROP TABLE things",
		"UPDATE schema_migrations SET version = 9", "CREATE TABLE mine (n int)", "SET LOCAL ROLE platform_system",
	} {
		if err := execute(db, acme, statement); err == nil && !strings.HasPrefix(statement, "SET") {
			t.Errorf("the runtime role may %s", statement)
		}
	}
	// A tenant of one transaction is nobody's in the next on the connection.
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n); err != nil || n != 2 {
			t.Errorf("across tenants: %d rows, %v", n, err)
		}
		return nil
	}))
}

// A read by one round trip stands behind the same wall.
func TestReadRow(t *testing.T) {
	db, _, _ := openThings(t)
	must(t, execute(db, acme, insertThing, acme, "x", "mine"))
	var body string
	must(t, store.ReadRow(t.Context(), db, acme, "SELECT body FROM things WHERE tenant = ? AND id = ?", []any{acme, "x"}, &body))
	if body != "mine" {
		t.Errorf("got %q", body)
	}
	err := store.ReadRow(t.Context(), db, other, "SELECT body FROM things WHERE id = ?", []any{"x"}, &body)
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("another tenant gets %v", err)
	}
	if n := count(t, db, acme, "things WHERE current_setting('app.tenant') <> ?", acme); n != 0 {
		t.Error("the tenant of a read is still set in a later transaction")
	}
	if err := store.ReadRow(t.Context(), db, "a'b", "SELECT 1", nil, &body); platform.KindOf(err) != platform.KindNoTenant {
		t.Errorf("a bad tenant: %v", err)
	}
	for _, id := range []string{"a\x00b", "\xff"} {
		err := store.ReadRow(t.Context(), db, acme, "SELECT body FROM things WHERE tenant = ? AND id = ?", []any{acme, id}, &body)
		if platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("an id that is no text: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.ReadRow(ctx, db, acme, "SELECT 1", nil, &body); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Each hole in the wall keeps the next process from starting and the next
// migration from ending.
func TestHolesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ make, names string }{
		"row-level security is off":        {"ALTER TABLE platform.things DISABLE ROW LEVEL SECURITY", "table things"},
		"it is not forced":                 {"ALTER TABLE platform.things NO FORCE ROW LEVEL SECURITY", "table things does not force"},
		"a policy is gone":                 {"DROP POLICY platform_tenant ON platform.things", "table things lacks"},
		"a policy lets all through":        {"ALTER POLICY platform_tenant ON platform.things USING (true)", "table things has the policy platform_tenant"},
		"a policy lets all be written":     {"ALTER POLICY platform_tenant ON platform.things WITH CHECK (true)", "table things has the policy platform_tenant"},
		"another policy adds rows":         {"CREATE POLICY more ON platform.things USING (true)", "table things has the policy more"},
		"the system's policy is for all":   {"ALTER POLICY platform_system ON platform.things TO PUBLIC", "table things has the policy platform_system"},
		"a table came another way":         {"CREATE TABLE platform.strange (tenant TEXT, id TEXT)", "table strange has no"},
		"a view":                           {"CREATE VIEW platform.seen AS SELECT * FROM platform.things", "seen is a view"},
		"TRUNCATE is granted":              {"GRANT TRUNCATE ON platform.things TO %[1]s", "table things may be truncated"},
		"the role bypasses":                {"ALTER ROLE %[1]s BYPASSRLS", "role %[1]s has BYPASSRLS"},
		"the role is a superuser":          {"ALTER ROLE %[1]s SUPERUSER", "role %[1]s is a superuser"},
		"the role owns a table":            {"ALTER TABLE platform.things OWNER TO %[1]s", "role %[1]s owns things"},
		"the role is in the system role":   {"GRANT %[2]s TO %[1]s", "role %[1]s is a member of %[2]s"},
		"the role is in one that bypasses": {"CREATE ROLE bypasser_%[3]s BYPASSRLS; GRANT bypasser_%[3]s TO %[1]s", "role %[1]s is a member of bypasser_%[3]s"},
	} {
		t.Run(name, func(t *testing.T) {
			// Roles belong to the server, so each case has roles of its own.
			url := teststack.Postgres(t)
			suffix := url[strings.LastIndexByte(url, '_')+1 : strings.IndexByte(url, '?')]
			cfg := postgres.Config{URL: url, RuntimeRole: "rt_" + suffix, SystemRole: "sys_" + suffix}
			db := openWith(t, cfg)
			must(t, db.Migrate(t.Context(), things()))
			su := superuser(t, url)
			fill := func(text string) string {
				if !strings.Contains(text, "%") {
					return text
				}
				return fmt.Sprintf(text+"%.0[1]s%.0[2]s%.0[3]s", cfg.RuntimeRole, cfg.SystemRole, suffix)
			}
			_, err := su.ExecContext(t.Context(), fill(c.make))
			must(t, err)
			t.Cleanup(func() { // the roles outlive the database
				_, _ = su.Exec("ALTER ROLE " + cfg.RuntimeRole + " NOSUPERUSER NOBYPASSRLS")
			})

			again, err := started(t.Context(), cfg)
			if err == nil {
				err = errors.Join(errors.New("it opens"), again.Close())
			}
			var wall *postgres.WallError
			if !errors.As(err, &wall) || !strings.Contains(err.Error(), fill(c.names)) {
				t.Errorf("Open: %v; want a hole with %q", err, fill(c.names))
			}
		})
	}
}

// Random operations of two tenants, conditions left out at random, never meet.
func TestRandomOperationsStayApart(t *testing.T) {
	db, _, _ := openThings(t)
	const operations = 10_000
	r := rand.New(rand.NewPCG(1, 2))
	tenants := []platform.TenantID{acme, other, "org_third"}
	ctx := t.Context()
	for done := 0; done < operations; {
		me := tenants[r.IntN(len(tenants))]
		err := db.InTenant(ctx, me, func(ctx context.Context, tx store.Tx) error {
			for range 50 {
				done++
				named := tenants[r.IntN(len(tenants))] // most often somebody else
				id := fmt.Sprint(r.IntN(40))
				switch r.IntN(5) {
				case 0:
					if _, err := tx.Exec(ctx, "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body",
						me, id, string(me)); err != nil {
						return err
					}
				case 1:
					if _, err := tx.Exec(ctx, "UPDATE things SET body = ? WHERE id = ?", string(me), id); err != nil {
						return err
					}
				case 2:
					res, err := tx.Exec(ctx, "DELETE FROM things WHERE tenant = ? AND id = ?", named, id)
					if err != nil {
						return err
					}
					if n, _ := res.RowsAffected(); n != 0 && named != me {
						t.Errorf("%s deleted a row of %s", me, named)
					}
				default:
					rows, err := tx.Query(ctx, "SELECT tenant, body FROM things WHERE id >= ?", id)
					if err != nil {
						return err
					}
					for rows.Next() {
						var tenant, body string
						must(t, rows.Scan(&tenant, &body))
						if tenant != string(me) || body != string(me) {
							t.Errorf("%s sees a row of %s written by %s", me, tenant, body)
						}
					}
					if err := errors.Join(rows.Err(), rows.Close()); err != nil {
						return err
					}
				}
			}
			return nil
		})
		must(t, err)
	}
}

// Three logins and pools of a host work as one URL does.
func TestThreeLoginsAndPoolsOfTheHost(t *testing.T) {
	ownerURL := teststack.Postgres(t)
	su := superuser(t, ownerURL)
	suffix := ownerURL[strings.LastIndexByte(ownerURL, '_')+1 : strings.IndexByte(ownerURL, '?')]
	login := func(role string) (name, address string) {
		name = role + "_" + suffix
		_, err := su.ExecContext(t.Context(), "CREATE ROLE "+name+" LOGIN PASSWORD 'secret'")
		must(t, err)
		u, err := url.Parse(ownerURL)
		must(t, err)
		u.User = url.UserPassword(name, "secret")
		return name, u.String()
	}
	runtimeRole, runtimeURL := login("login_rt")
	systemRole, systemURL := login("login_sys")

	cfg := postgres.Config{URL: ownerURL, RuntimeURL: runtimeURL, SystemURL: systemURL, RuntimeRole: runtimeRole, SystemRole: systemRole}
	db := openWith(t, cfg)
	must(t, db.Migrate(t.Context(), things()))
	must(t, execute(db, acme, insertThing, acme, "x", "mine"))

	hosted := postgres.Config{Runtime: superuser(t, runtimeURL), System: superuser(t, systemURL), RuntimeRole: runtimeRole, SystemRole: systemRole}
	host := openWith(t, hosted)
	must(t, host.Migrate(t.Context(), things())) // nothing is missing
	if n := count(t, host, acme, "things"); n != 1 {
		t.Errorf("through the host's pool a tenant sees %d rows", n)
	}
	if n := count(t, host, other, "things"); n != 0 {
		t.Errorf("through the host's pool another tenant sees %d rows", n)
	}
	var body string
	must(t, host.ReadRow(t.Context(), acme, "SELECT body FROM things WHERE id = ?", []any{"x"}, &body))
	var missing *postgres.MissingError
	if err := host.Migrate(t.Context(), store.Migrations{Component: "new", Files: fstest.MapFS{
		"postgres/0001_new.sql": {Data: []byte("CREATE TABLE new (n int);")},
	}}); !errors.As(err, &missing) {
		t.Errorf("a missing migration without an owner: %v", err)
	}

	swapped := hosted
	swapped.Runtime, swapped.System = hosted.System, hosted.Runtime
	var wall *postgres.WallError
	if _, err := started(t.Context(), swapped); !errors.As(err, &wall) {
		t.Errorf("the pools are swapped: %v", err)
	}
}

// An owner that is no superuser, as managed databases give it, is enough.
func TestAnOwnerWithoutPowers(t *testing.T) {
	superURL := teststack.Postgres(t)
	su := superuser(t, superURL)
	database := superURL[strings.LastIndexByte(superURL, '/')+1 : strings.IndexByte(superURL, '?')]
	owner := "owner_" + database
	for _, statement := range []string{
		"CREATE ROLE " + owner + " LOGIN CREATEROLE PASSWORD 'secret'",
		"ALTER DATABASE " + database + " OWNER TO " + owner,
	} {
		_, err := su.ExecContext(t.Context(), statement)
		must(t, err)
	}
	u, err := url.Parse(superURL)
	must(t, err)
	u.User = url.UserPassword(owner, "secret")
	cfg := postgres.Config{URL: u.String(), RuntimeRole: "rt_" + database, SystemRole: "sys_" + database}
	for range 2 { // the second finds all in place
		db, err := started(t.Context(), cfg)
		must(t, err)
		must(t, db.Migrate(t.Context(), things()))
		must(t, execute(db, acme, insertThing+" ON CONFLICT DO NOTHING", acme, "x", "mine"))
		if n := count(t, db, other, "things"); n != 0 {
			t.Errorf("another tenant sees %d rows", n)
		}
		if n := count(t, db, acme, "things"); n != 1 {
			t.Errorf("the tenant sees %d rows", n)
		}
		must(t, db.Close())
	}
}
