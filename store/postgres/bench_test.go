package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

const (
	benchTenants = 100
	benchRows    = 1000 // of each tenant
)

// benchDB is a database on a server that forces commits to the disk, with rows of
// many tenants, and a pool that no policy holds for.
func benchDB(b *testing.B) (*postgres.DB, *sql.DB) {
	b.Helper()
	s := teststack.Start(b, teststack.PostgresServer)
	db := openWith(b, postgres.Config{URL: s.URLAt(s.Direct(b)), MaxConns: 16})
	must(b, db.Migrate(b.Context(), things()))
	plain, err := sql.Open("pgx", s.URLAt(s.Direct(b)))
	must(b, err)
	plain.SetMaxIdleConns(16)
	b.Cleanup(func() { plain.Close() })
	_, err = plain.Exec(fmt.Sprintf(`INSERT INTO platform.things (tenant, id, body)
		SELECT 'org_' || t, 'id_' || i, repeat('x', 200) FROM generate_series(0, %d) t, generate_series(0, %d) i`, benchTenants-1, benchRows-1))
	must(b, err)
	_, err = plain.Exec("VACUUM ANALYZE platform.things")
	must(b, err)
	return db, plain
}

func someRow() (platform.TenantID, string) {
	return platform.TenantID(fmt.Sprint("org_", rand.IntN(benchTenants))), fmt.Sprint("id_", rand.IntN(benchRows))
}

// BenchmarkReadByID compares a read by id through row-level security with the
// same query without it.
func BenchmarkReadByID(b *testing.B) {
	db, plain := benchDB(b)
	const query = "SELECT body FROM things WHERE tenant = ? AND id = ?"
	for _, c := range []struct {
		name string
		read func(context.Context, platform.TenantID, string) error
	}{
		{"without", func(ctx context.Context, tenant platform.TenantID, id string) error {
			var body string
			return plain.QueryRowContext(ctx, "SELECT body FROM platform.things WHERE tenant = $1 AND id = $2",
				pgx.QueryExecModeCacheStatement, string(tenant), id).Scan(&body)
		}},
		{"ReadRow", func(ctx context.Context, tenant platform.TenantID, id string) error {
			var body string
			return store.ReadRow(ctx, db, tenant, query, []any{string(tenant), id}, &body)
		}},
		{"InTenant", func(ctx context.Context, tenant platform.TenantID, id string) error {
			return db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
				var body string
				return tx.QueryRow(ctx, query, string(tenant), id).Scan(&body)
			}, store.ReadOnly)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					tenant, id := someRow()
					if err := c.read(b.Context(), tenant, id); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkWrite compares a transaction of one insert with the same through
// database/sql alone.
func BenchmarkWrite(b *testing.B) {
	db, plain := benchDB(b)
	var next atomic.Int64
	for _, c := range []struct {
		name  string
		write func(context.Context, platform.TenantID, string) error
	}{
		{"without", func(ctx context.Context, tenant platform.TenantID, id string) error {
			tx, err := plain.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if _, err := tx.ExecContext(ctx, "INSERT INTO platform.things (tenant, id, body) VALUES ($1, $2, $3)",
				pgx.QueryExecModeCacheStatement, string(tenant), id, "x"); err != nil {
				return err
			}
			return tx.Commit()
		}},
		{"InTenant", func(ctx context.Context, tenant platform.TenantID, id string) error {
			return db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
				_, err := tx.Exec(ctx, insertThing, string(tenant), id, "x")
				return err
			})
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					tenant, _ := someRow()
					if err := c.write(b.Context(), tenant, fmt.Sprint("new_", next.Add(1))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
