package storetest

import (
	"context"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

func TestCrossingFindsFaults(t *testing.T) {
	with := func(f func(store.Relational) store.Relational) func(testing.TB) store.Relational {
		return func(tb testing.TB) store.Relational {
			s := f(testdb.New(tb))
			if err := s.Migrate(context.Background(), things(1)); err != nil {
				tb.Fatal(err)
			}
			return s
		}
	}
	wrapTx := func(f func(store.CrossTx) store.CrossTx) func(testing.TB) store.Relational {
		return with(func(s store.Relational) store.Relational { return crossStore{s, f} })
	}
	finds(t, crossingCases, []broken[store.Relational]{
		{"any token will do", "CrossingNeedsAToken", with(func(s store.Relational) store.Relational { return openStore{s} })},
		{"forgets its tokens", "CrossingNeedsAToken", with(func(s store.Relational) store.Relational { return &forgetfulStore{Relational: s} })},
		{"one transaction for both kinds", "TheKindsAreApart", wrapTx(func(tx store.CrossTx) store.CrossTx { return bothTx{tx} })},
		{"joins the transaction around it", "NestedIsRefused", with(func(s store.Relational) store.Relational { return joinStore{s} })},
		{"commits what failed", "CrossingCommitsAndRollsBack", with(func(s store.Relational) store.Relational { return eagerCrossStore{s} })},
		{"read-only is ignored", "CrossingCommitsAndRollsBack", with(func(s store.Relational) store.Relational { return writingCrossStore{s} })},
		{"events of nobody get lost", "CrossingEmits", wrapTx(func(tx store.CrossTx) store.CrossTx { return muteCrossTx{tx} })},
		{"Once is never", "CrossingOnce", wrapTx(func(tx store.CrossTx) store.CrossTx { return alwaysNewCrossTx{tx} })},
	})
}

type crossFunc = func(context.Context, store.CrossTx) error

// crossStore changes the transactions that the function sees.
type crossStore struct {
	store.Relational
	wrap func(store.CrossTx) store.CrossTx
}

func (s crossStore) AcrossTenants(ctx context.Context, by store.Crossing, fn crossFunc, opts ...store.TxOption) error {
	return s.Relational.AcrossTenants(ctx, by, func(ctx context.Context, tx store.CrossTx) error { return fn(ctx, s.wrap(tx)) }, opts...)
}

// openStore lets everybody cross.
type openStore struct{ store.Relational }

func (s openStore) AcrossTenants(ctx context.Context, _ store.Crossing, fn crossFunc, opts ...store.TxOption) error {
	return s.Relational.AcrossTenants(ctx, crossing(s), fn, opts...)
}

// forgetfulStore has new crossings each time that it is asked.
type forgetfulStore struct{ store.Relational }

func (*forgetfulStore) Crossings() *store.Crossings { return new(store.Crossings) }

func (s *forgetfulStore) AcrossTenants(ctx context.Context, by store.Crossing, fn crossFunc, opts ...store.TxOption) error {
	if by == (store.Crossing{}) {
		return new(store.Crossings).Check(by)
	}
	return s.Relational.AcrossTenants(ctx, crossing(s.Relational), fn, opts...)
}

// joinStore runs what is nested as a part of what is around it.
type joinStore struct{ store.Relational }

type aroundKey struct{}

func (s joinStore) AcrossTenants(ctx context.Context, by store.Crossing, fn crossFunc, opts ...store.TxOption) error {
	if tx, ok := ctx.Value(aroundKey{}).(store.CrossTx); ok {
		return fn(ctx, tx)
	}
	return s.Relational.AcrossTenants(ctx, by, func(ctx context.Context, tx store.CrossTx) error {
		return fn(context.WithValue(ctx, aroundKey{}, tx), tx)
	}, opts...)
}

type eagerCrossStore struct{ store.Relational }

func (s eagerCrossStore) AcrossTenants(ctx context.Context, by store.Crossing, fn crossFunc, opts ...store.TxOption) error {
	var failure error
	err := s.Relational.AcrossTenants(ctx, by, func(ctx context.Context, tx store.CrossTx) error {
		failure = fn(ctx, tx)
		return nil
	}, opts...)
	if err != nil {
		return err
	}
	return failure
}

type writingCrossStore struct{ store.Relational }

func (s writingCrossStore) AcrossTenants(ctx context.Context, by store.Crossing, fn crossFunc, _ ...store.TxOption) error {
	return s.Relational.AcrossTenants(ctx, by, fn)
}

type bothTx struct{ store.CrossTx }

func (bothTx) Tenant() platform.TenantID { return tenantA }

type muteCrossTx struct{ store.CrossTx }

func (x muteCrossTx) Emit(ctx context.Context, events ...platform.Event) error {
	var kept []platform.Event
	for _, e := range events {
		if e.Tenant != "" {
			kept = append(kept, e)
		}
	}
	return x.CrossTx.Emit(ctx, kept...)
}

type alwaysNewCrossTx struct{ store.CrossTx }

func (alwaysNewCrossTx) Once(context.Context, string, platform.Event) (bool, error) { return true, nil }
