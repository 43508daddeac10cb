package storetest

import (
	"context"
	"errors"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// crossing is the suite's token.
func crossing(s store.Relational) store.Crossing {
	return s.Crossings().Grant("storetest", "the suite looks at the rows of all tenants")
}

// crossingCases are about transactions across tenants.
var crossingCases = []testCase[store.Relational]{
	{"CrossingNeedsAToken", func(p *probe, s store.Relational) {
		ran := func(context.Context, store.CrossTx) error {
			p.errorf("the function ran")
			return nil
		}
		var elsewhere store.Crossings
		for _, opts := range [][]store.TxOption{nil, {store.ReadOnly}, {store.Reserved}} {
			for code, by := range map[string]store.Crossing{
				"no_crossing": {}, "other_crossing": elsewhere.Grant("storetest", "no reason"),
			} {
				err := s.AcrossTenants(p.ctx, by, ran, opts...)
				if !errors.Is(err, &platform.Error{Kind: platform.KindInternal, Code: code}) {
					p.errorf("the token %q: got %v, want the code %s", by.Name(), err, code)
				}
			}
		}
		by := crossing(s)
		p.must(s.AcrossTenants(p.ctx, by, func(_ context.Context, tx store.CrossTx) error {
			if tx.Crossing() != by {
				p.errorf("the transaction is of the crossing %q", tx.Crossing().Name())
			}
			return nil
		}))
		if !slices.Contains(s.Crossings().List(), by) {
			p.errorf("the list lacks a token that was handed out: %v", s.Crossings().List())
		}
	}},
	{"TheKindsAreApart", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(_ context.Context, tx store.Tx) error {
			if _, both := tx.(store.CrossTx); both {
				p.errorf("a transaction of a tenant passes for one across tenants")
			}
			return nil
		}))
		p.must(s.AcrossTenants(p.ctx, crossing(s), func(_ context.Context, tx store.CrossTx) error {
			if _, both := tx.(store.Tx); both {
				p.errorf("a transaction across tenants passes for one of a tenant")
			}
			return nil
		}))
	}},
	{"NestedIsRefused", func(p *probe, s store.Relational) {
		inTenant := func(ctx context.Context, fn func(context.Context), opts ...store.TxOption) error {
			return s.InTenant(ctx, tenantA, func(ctx context.Context, _ store.Tx) error { fn(ctx); return nil }, opts...)
		}
		across := func(ctx context.Context, fn func(context.Context), opts ...store.TxOption) error {
			return s.AcrossTenants(ctx, crossing(s), func(ctx context.Context, _ store.CrossTx) error { fn(ctx); return nil }, opts...)
		}
		type begin = func(context.Context, func(context.Context), ...store.TxOption) error
		kinds := map[string]begin{"InTenant": inTenant, "AcrossTenants": across}
		for outer, begin := range kinds {
			for inner, again := range kinds {
				p.must(begin(p.ctx, func(ctx context.Context) {
					for _, opts := range [][]store.TxOption{nil, {store.ReadOnly}} {
						if again(ctx, func(context.Context) { p.errorf("%s runs inside %s", inner, outer) }, opts...) == nil {
							p.errorf("%s inside %s is no error", inner, outer)
						}
					}
				}, store.ReadOnly))
			}
		}
	}},
	{"CrossingCommitsAndRollsBack", func(p *probe, s store.Relational) {
		called := make(chan int, 8)
		write := func(id string, then error) func(context.Context, store.CrossTx) error {
			return func(ctx context.Context, tx store.CrossTx) error {
				tx.AfterCommit(func() { called <- len(called) })
				return errors.Join(put(ctx, tx, tenantA, id, 1), put(ctx, tx, tenantB, id, 1), then)
			}
		}
		p.must(s.AcrossTenants(p.ctx, crossing(s), write("kept", nil)))
		if err := s.AcrossTenants(p.ctx, crossing(s), write("lost", errRollback)); !errors.Is(err, errRollback) {
			p.errorf("the function's error is not passed on: %v", err)
		}
		if s.AcrossTenants(p.ctx, crossing(s), write("read-only", nil), store.ReadOnly) == nil {
			p.errorf("a read-only transaction writes")
		}
		if err := s.AcrossTenants(p.cancelled(), crossing(s), write("cancelled", nil)); !errors.Is(err, context.Canceled) {
			p.errorf("cancelled: got %v", err)
		}
		if a, b := p.things(s, tenantA), p.things(s, tenantB); a != 1 || b != 1 || len(called) != 1 {
			p.errorf("%d and %d rows, want 1 each; AfterCommit was called %d times, want 1", a, b, len(called))
		}
	}},
	{"CrossingEmits", func(p *probe, s store.Relational) {
		nobody := event(tenantA, "x", 1)
		nobody.Tenant = ""
		p.kind(s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
			return tx.Emit(ctx, event(tenantA, "x", 1), nobody)
		}), platform.KindNoTenant, "an event without a tenant")
		p.must(s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
			return tx.Emit(ctx, event(tenantA, "x", 1), event(tenantB, "x", 1))
		}))
		var tenants []string
		p.must(s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
			return tx.NewRaw("SELECT tenant FROM outbox ORDER BY seq").Scan(ctx, &tenants)
		}, store.ReadOnly))
		if !slices.Equal(tenants, []string{string(tenantA), string(tenantB)}) {
			p.errorf("the outbox holds events of %v", tenants)
		}
	}},
	{"CrossingOnce", func(p *probe, s store.Relational) {
		once := func(e platform.Event, group string) (news bool, err error) {
			err = s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) (err error) {
				news, err = tx.Once(ctx, group, e)
				return err
			})
			return news, err
		}
		for _, t := range []platform.TenantID{tenantA, tenantB} { // the same id in two tenants is two events
			e := event(t, "x", 1)
			e.ID = "evt_same"
			for _, want := range []bool{true, false} {
				if news, err := once(e, "g"); err != nil || news != want {
					p.errorf("%s: new is %v, want %v; %v", t, news, want, err)
				}
			}
			p.once(s, t, "g", e, false) // one inbox for both kinds of transaction
		}
		nobody := event(tenantA, "x", 2)
		nobody.Tenant = ""
		_, err := once(nobody, "g")
		p.kind(err, platform.KindNoTenant, "an event without a tenant")
	}},
	{"CrossingLocks", func(p *probe, s store.Relational) {
		const writers = 8
		parallel(writers, func(int) {
			err := s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
				if err := tx.Lock(ctx, "count"); err != nil {
					return err
				}
				var n int
				if err := tx.QueryRow(ctx, "SELECT count(*) FROM storetest_things WHERE tenant = ?", tenantA).Scan(&n); err != nil {
					return err
				}
				return put(ctx, tx, tenantA, string(rune('a'+n)), n) // two that count the same collide
			})
			if err != nil {
				p.errorf("a locked writer: %v", err)
			}
		})
		if n := p.things(s, tenantA); n != writers {
			p.errorf("%d rows, want %d", n, writers)
		}
	}},
}
