package postgres

import (
	"context"
	"fmt"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// Migrate implements [store.Relational]. One process at a time applies what is
// missing, each file in a transaction with the walls of its tables; others wait.
// It returns a [*WallError] where the walls between tenants have a hole, a
// [*NewerError], a [*ChangedError], and a [*MissingError] where there is no pool
// of the owner.
func (db *DB) Migrate(ctx context.Context, m store.Migrations) error {
	by := sqltx.Migrator{
		Dialect: "postgres", Now: db.cfg.Now, InTx: db.asOwner,
		InReadTx: func(ctx context.Context, fn func(context.Context, store.Queries) error) error {
			return db.AcrossTenants(ctx, db.cross.migrate, func(ctx context.Context, tx store.CrossTx) error {
				return fn(ctx, tx)
			}, store.ReadOnly)
		},
		Exists: `SELECT to_regclass('schema_migrations') IS NOT NULL`,
		After:  db.protect,
	}
	if !db.cfg.migrates() {
		by.InTx = nil
	}
	if err := sqltx.Migrate(ctx, by, m); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := db.AcrossTenants(ctx, db.cross.verify, db.checkWalls, store.ReadOnly); err != nil {
		return fmt.Errorf("postgres: migrate %q: %w", m.Component, err)
	}
	return nil
}

// asOwner runs fn in a transaction of the owner beside which no other process
// migrates. It has no time limit of its own: a new index may take long.
func (db *DB) asOwner(ctx context.Context, fn func(context.Context, store.Queries) error) error {
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.running.Done()
	begin := "BEGIN; SET LOCAL search_path = " + db.cfg.Schema + "; SET LOCAL idle_in_transaction_session_timeout = 0"
	return db.once(ctx, db.pools.owner, begin, sqltx.Config{}, sqltx.AcrossTenants(db.cross.migrate, func(ctx context.Context, tx store.CrossTx) error {
		if err := tx.Lock(ctx, "migrate"); err != nil {
			return err
		}
		return fn(ctx, tx)
	}))
}
