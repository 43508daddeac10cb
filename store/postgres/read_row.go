package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// ReadRow implements [store.RowReader]: the tenant is named and the row is read
// in one round trip, in the transaction that such a batch is by itself. Through
// a pool of the host, whose sessions may be in another schema, it is a
// transaction like any other.
func (db *DB) ReadRow(ctx context.Context, tenant platform.TenantID, query string, args []any, dest ...any) error {
	if err := tenant.Validate(); err != nil {
		return err
	}
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if db.cfg.URL == "" {
		return db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
			return tx.QueryRow(ctx, query, args...).Scan(dest...)
		}, store.ReadOnly)
	}
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.running.Done()
	ctx, cancel := context.WithTimeoutCause(ctx, db.cfg.Timeout, errSilent)
	defer cancel()
	c, err := db.pools.runtime.Conn(ctx)
	if err != nil {
		return translate(ctx, err)
	}
	defer c.Close()
	err = raw(c, func(p *pgx.Conn) error {
		return batch(ctx, p, tenant, db.binder.bind(query), args, dest)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return sql.ErrNoRows
	}
	return translate(ctx, err)
}

func batch(ctx context.Context, p *pgx.Conn, tenant platform.TenantID, query string, args, dest []any) error {
	b := &pgx.Batch{}
	b.Queue("SELECT set_config('app.tenant', $1, true)", string(tenant))
	b.Queue(query, args...)
	results := p.SendBatch(ctx, b)
	for range b.Len() - 1 {
		if _, err := results.Exec(); err != nil {
			return errors.Join(err, results.Close())
		}
	}
	err := results.QueryRow().Scan(dest...)
	return errors.Join(err, results.Close())
}
