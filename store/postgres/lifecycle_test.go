package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

// code is what an error for callers is known by.
func code(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// calls are those that need the server.
func calls(db *postgres.DB) map[string]func(context.Context) error {
	nothing := func(context.Context, store.Tx) error { return nil }
	files := fstest.MapFS{"postgres/0001_x.sql": {Data: []byte("CREATE TABLE x (tenant TEXT PRIMARY KEY);")}}
	return map[string]func(context.Context) error{
		"InTenant": func(ctx context.Context) error { return db.InTenant(ctx, acme, nothing) },
		"AcrossTenants": func(ctx context.Context) error {
			return db.AcrossTenants(ctx, crossing(db), func(context.Context, store.CrossTx) error { return nil })
		},
		"ReadRow": func(ctx context.Context) error { return db.ReadRow(ctx, acme, "SELECT 1", nil, new(int)) },
		"Migrate": func(ctx context.Context) error {
			return db.Migrate(ctx, store.Migrations{Component: "x", Files: files})
		},
		"Ping":  db.Ping,
		"Check": db.Check,
	}
}

// New asks no server. Before Start every call says so, and a store that was never
// started can be stopped.
func TestNotStarted(t *testing.T) {
	db, err := postgres.New(postgres.Config{URL: "postgres://nobody@nowhere.invalid/d"})
	must(t, err)
	for name, call := range calls(db) {
		if err := call(t.Context()); code(err) != "store_not_started" || platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for range 2 {
		must(t, db.Stop(t.Context()))
	}
	if err := db.Start(t.Context()); code(err) != "store_closed" {
		t.Errorf("a start after Stop: %v", err)
	}
}

// A Start that fails leaves no connection open, and may be repeated once its cause
// is gone.
func TestStartAgain(t *testing.T) {
	url := teststack.Postgres(t)
	admin, err := sql.Open("pgx", url)
	must(t, err)
	defer admin.Close()
	alter := func(statement string) {
		t.Helper()
		_, err := admin.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, openWith(t, postgres.Config{URL: url}).Close())
	alter("CREATE VIEW platform.spy AS SELECT * FROM platform.outbox")
	const name = "lifecycle"
	db, err := postgres.New(postgres.Config{URL: url + parameter(url) + "application_name=" + name})
	must(t, err)
	for range 2 {
		var wall *postgres.WallError
		if err := db.Start(t.Context()); !errors.As(err, &wall) {
			t.Fatalf("got %v", err)
		}
		// The server takes a moment to see that a connection was closed.
		for n := 1; n != 0; {
			must(t, admin.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n))
		}
	}
	for name, call := range calls(db) {
		if err := call(t.Context()); code(err) != "store_not_started" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	alter("DROP VIEW platform.spy")
	must(t, db.Start(t.Context()))
	must(t, db.Start(t.Context()))
	must(t, db.Check(t.Context()))
	must(t, db.Close())
	for name, call := range calls(db) {
		if err := call(t.Context()); code(err) != "store_closed" {
			t.Errorf("%s after Close: got %v", name, err)
		}
	}
}

func parameter(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// The pools of a host may be pgx's own, through its adapter of database/sql.
func TestPoolsOfPgx(t *testing.T) {
	url := teststack.Postgres(t)
	must(t, openWith(t, postgres.Config{URL: url}).Close()) // makes the roles
	pool := func(role string) *sql.DB {
		cfg, err := pgxpool.ParseConfig(url)
		must(t, err)
		if role != "" {
			cfg.ConnConfig.RuntimeParams["role"] = role
		}
		p, err := pgxpool.NewWithConfig(t.Context(), cfg)
		must(t, err)
		t.Cleanup(p.Close)
		db := stdlib.OpenDBFromPool(p)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	runtime := pool("platform_runtime")
	opened, err := postgres.Config{Runtime: runtime, System: pool("platform_system"), Owner: pool("")}.Open(store.Env{})
	must(t, err)
	db := opened.(*postgres.DB)
	must(t, db.Start(t.Context()))
	must(t, db.Migrate(t.Context(), things()))
	must(t, execute(db, acme, "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?)", string(acme), "one", ""))
	if n := count(t, db, other, "things"); n != 0 {
		t.Errorf("another tenant sees %d rows", n)
	}
	if n := count(t, db, acme, "things"); n != 1 {
		t.Errorf("the tenant sees %d rows", n)
	}
	must(t, db.Close())
	must(t, runtime.PingContext(t.Context())) // it is the host's
}

// An opener says what is wrong before the start, and shows no password.
func TestOpenRefuses(t *testing.T) {
	for want, opener := range map[string]store.RelationalOpener{
		"not one of PostgreSQL": postgres.Open("postgres://u:hunter2@h:port/d"),
		"Schema":                postgres.Config{URL: "postgres://u:hunter2@h/d", Schema: "A"}.Open,
		"RuntimeURL":            postgres.Config{URL: "postgres://h/d", RuntimeURL: "http://u:hunter2@h", SystemURL: "postgres://h/d"}.Open,
	} {
		db, err := opener(store.Env{})
		if db != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, %v; want %q", db, err, want)
		}
	}
}
