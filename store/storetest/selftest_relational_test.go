package storetest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

func TestRelationalFindsFaults(t *testing.T) {
	with := func(f func(store.Relational) store.Relational) func(testing.TB) store.Relational {
		return func(tb testing.TB) store.Relational {
			s := f(testdb.New(tb))
			if err := s.Migrate(context.Background(), things(1)); err != nil {
				tb.Fatal(err)
			}
			return s
		}
	}
	wrapTx := func(f func(store.Tx) store.Tx) func(testing.TB) store.Relational {
		return with(func(s store.Relational) store.Relational { return txStore{s, f} })
	}
	finds(t, relationalCases, []broken[store.Relational]{
		{"commits what failed", "CommitsAndRollsBack", with(func(s store.Relational) store.Relational { return eagerStore{s} })},
		{"commits before a panic", "APanicRollsBack", with(func(s store.Relational) store.Relational { return panicStore{s} })},
		{"any tenant will do", "Tenant", with(func(s store.Relational) store.Relational { return laxStore{s} })},
		{"read-only is ignored", "AReaderCannotWrite", with(func(s store.Relational) store.Relational { return writingStore{s} })},
		{"a cancelled call goes on", "Cancelled", with(func(s store.Relational) store.Relational { return deafStore{s} })},
		{"an older program is let in", "MigratesOnceAndForward", with(func(s store.Relational) store.Relational { return forgivingStore{s} })},
		{"each row is committed alone", "CommitsAndRollsBack", with(func(s store.Relational) store.Relational { return autocommitStore{s} })},
		{"Once is never", "OnceIsOnce", wrapTx(func(tx store.Tx) store.Tx { return alwaysNewTx{tx} })},
		{"events get lost", "EmitCommitsWithTheChange", wrapTx(func(tx store.Tx) store.Tx { return muteTx{tx} })},
		{"events get lost after the end", "EmitAfterTheEnd", wrapTx(func(tx store.Tx) store.Tx { return muteTx{tx} })},
		{"AfterCommit is called before", "AfterCommit", wrapTx(func(tx store.Tx) store.Tx { return hastyTx{tx} })},
		{"says the wrong tenant", "Tenant", wrapTx(func(tx store.Tx) store.Tx { return nobodyTx{tx} })},
	})
}

type txFunc = func(context.Context, store.Tx) error

// txStore changes the transactions that the function sees.
type txStore struct {
	store.Relational
	wrap func(store.Tx) store.Tx
}

func (s txStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	return s.Relational.InTenant(ctx, t, func(ctx context.Context, tx store.Tx) error { return fn(ctx, s.wrap(tx)) }, opts...)
}

type eagerStore struct{ store.Relational }

func (s eagerStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	var failure error
	err := s.Relational.InTenant(ctx, t, func(ctx context.Context, tx store.Tx) error {
		failure = fn(ctx, tx)
		return nil
	}, opts...)
	if err != nil {
		return err
	}
	return failure
}

type panicStore struct{ store.Relational }

func (s panicStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	var caught any
	err := s.Relational.InTenant(ctx, t, func(ctx context.Context, tx store.Tx) error {
		defer func() { caught = recover() }()
		return fn(ctx, tx)
	}, opts...)
	if caught != nil {
		panic(caught)
	}
	return err
}

type laxStore struct{ store.Relational }

func (s laxStore) InTenant(ctx context.Context, _ platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	return s.Relational.InTenant(ctx, tenantA, fn, opts...)
}

type writingStore struct{ store.Relational }

func (s writingStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, _ ...store.TxOption) error {
	return s.Relational.InTenant(ctx, t, fn)
}

type deafStore struct{ store.Relational }

func (s deafStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	return s.Relational.InTenant(context.WithoutCancel(ctx), t, fn, opts...)
}

type forgivingStore struct{ store.Relational }

func (s forgivingStore) Migrate(ctx context.Context, m store.Migrations) error {
	_ = s.Relational.Migrate(ctx, m)
	return nil
}

// autocommitStore gives each statement a transaction of its own.
type autocommitStore struct{ store.Relational }

func (s autocommitStore) InTenant(ctx context.Context, t platform.TenantID, fn txFunc, opts ...store.TxOption) error {
	if store.NewTxOptions(opts).ReadOnly {
		return s.Relational.InTenant(ctx, t, fn, opts...)
	}
	return fn(ctx, autocommitTx{s: s.Relational, tenant: t})
}

type autocommitTx struct {
	store.Tx
	s      store.Relational
	tenant platform.TenantID
}

func (x autocommitTx) Exec(ctx context.Context, query string, args ...any) (r sql.Result, err error) {
	err = x.s.InTenant(ctx, x.tenant, func(ctx context.Context, tx store.Tx) error {
		r, err = tx.Exec(ctx, query, args...)
		return err
	})
	return r, err
}

type alwaysNewTx struct{ store.Tx }

func (alwaysNewTx) Once(context.Context, string, platform.Event) (bool, error) { return true, nil }

type muteTx struct{ store.Tx }

func (muteTx) Emit(context.Context, ...platform.Event) error { return nil }

type hastyTx struct{ store.Tx }

func (hastyTx) AfterCommit(f func()) { f() }

type nobodyTx struct{ store.Tx }

func (nobodyTx) Tenant() platform.TenantID { return "" }
