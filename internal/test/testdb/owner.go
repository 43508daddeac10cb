package testdb

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform/store"
)

// Alter runs a statement as the owner of the tables, such as one that takes a
// table away: a fault of ours.
func (p *Place) Alter(tb testing.TB, db DB, statement string) {
	tb.Helper()
	if p.path == "" {
		p.asOwner(tb, func(ctx context.Context, db *sql.Conn) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		})
		return
	}
	err := db.AcrossTenants(tb.Context(), Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, statement)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Contents is all that the store holds, one way or another: who looks for a
// secret in it finds it where it is.
func (p *Place) Contents(tb testing.TB) string {
	tb.Helper()
	var out strings.Builder
	if p.path == "" {
		p.asOwner(tb, func(ctx context.Context, db *sql.Conn) error {
			tables, err := column(ctx, db, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema")
			if err != nil {
				return err
			}
			for _, table := range strings.Split(tables, "\n") {
				rows, err := column(ctx, db, "SELECT t::text FROM "+table+" t")
				if err != nil {
					return err
				}
				out.WriteString(rows + "\n")
			}
			return nil
		})
		return out.String()
	}
	files, err := filepath.Glob(p.path + "*") // with its write-ahead log
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out.Write(raw)
	}
	return out.String()
}

// Waiting reports whether a transaction waits for another. On SQLite, where there
// is one at a time, it is true.
func (p *Place) Waiting(tb testing.TB) bool {
	tb.Helper()
	if p.path != "" {
		return true
	}
	var n int
	p.asOwner(tb, func(ctx context.Context, db *sql.Conn) error {
		return db.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	})
	return n > 0
}

// column returns the values of the first column of an answer, a line each.
func column(ctx context.Context, db *sql.Conn, query string) (string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), rows.Err()
}

// asOwner hands f a connection of the database's superuser, for whom the walls
// between tenants do not stand.
func (p *Place) asOwner(tb testing.TB, f func(context.Context, *sql.Conn) error) {
	tb.Helper()
	ctx := context.Background()
	db, err := sql.Open("pgx", p.url) // teststack has registered the driver
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "SET search_path = platform"); err != nil {
		tb.Fatal(err)
	}
	if err := f(ctx, c); err != nil {
		tb.Fatal(err)
	}
}
