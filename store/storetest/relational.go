package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Relational tests a [store.Relational], its outbox and its inbox.
func Relational(t *testing.T, open func(testing.TB) store.Relational) {
	t.Helper()
	run(t, func(tb testing.TB) store.Relational {
		s := open(tb)
		if err := s.Migrate(context.Background(), things(1)); err != nil {
			tb.Fatal(err)
		}
		return s
	}, slices.Concat(relationalCases, crossingCases))
}

// things are the migrations of the table that the cases use, up to a version.
func things(versions int) store.Migrations {
	files := fstest.MapFS{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		all := []string{
			"CREATE TABLE storetest_things (tenant TEXT NOT NULL, id TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (tenant, id));\n",
			"ALTER TABLE storetest_things ADD COLUMN note TEXT;\n",
		}
		for i, text := range all[:versions] {
			files[fmt.Sprintf("%s/%04d_things.sql", dialect, i+1)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return store.Migrations{Component: "storetest", Files: files}
}

var errRollback = errors.New("storetest: roll back")

var relationalCases = []testCase[store.Relational]{
	{"CommitsAndRollsBack", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "kept", 1) }))
		err := s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			p.must(put(ctx, tx, tenantA, "lost", 1))
			return errRollback
		})
		if !errors.Is(err, errRollback) {
			p.errorf("the function's error is not passed on: %v", err)
		}
		if n := p.things(s, tenantA); n != 1 {
			p.errorf("%d rows, want 1", n)
		}
	}},
	{"APanicRollsBack", func(p *probe, s store.Relational) {
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					p.errorf("the panic is not passed on: %v", r)
				}
			}()
			_ = s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
				_ = put(ctx, tx, tenantA, "lost", 1)
				panic("boom")
			})
		}()
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "kept", 1) }))
		if n := p.things(s, tenantA); n != 1 {
			p.errorf("%d rows, want 1", n)
		}
	}},
	{"ReadsItsOwnWrites", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			if err := put(ctx, tx, tenantA, "x", 7); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow(ctx, "SELECT n FROM storetest_things WHERE tenant = ? AND id = ?", tenantA, "x").Scan(&n); err != nil || n != 7 {
				p.errorf("got %d, %v", n, err)
			}
			if err := tx.NewSelect().Table("storetest_things").Column("n").Where("tenant = ? AND id = ?", tenantA, "x").Scan(ctx, &n); err != nil || n != 7 {
				p.errorf("by the builder: got %d, %v", n, err)
			}
			return nil
		}))
	}},
	{"CountsEveryConcurrentUpdate", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "n", 0) }))
		var failed atomic.Int32
		parallel(32, func(i int) {
			for k := range 10 {
				err := s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
					if _, err := tx.Exec(ctx, "UPDATE storetest_things SET n = n + 1 WHERE tenant = ? AND id = ?", tenantA, "n"); err != nil {
						return err
					}
					if (i+k)%5 == 0 { // one in five gives up: the others must not feel it
						return errRollback
					}
					return nil
				})
				if errors.Is(err, errRollback) {
					failed.Add(1)
				} else if err != nil {
					p.errorf("InTenant: %v", err)
				}
			}
		})
		var n int
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			return tx.QueryRow(ctx, "SELECT n FROM storetest_things WHERE tenant = ? AND id = ?", tenantA, "n").Scan(&n)
		}, store.ReadOnly))
		if want := 320 - int(failed.Load()); n != want {
			p.errorf("got %d, want %d", n, want)
		}
	}},
	{"AReaderSeesASnapshot", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "a", 1) }))
		count := func(ctx context.Context, tx store.Tx) (n int) {
			p.must(tx.QueryRow(ctx, "SELECT count(*) FROM storetest_things WHERE tenant = ?", tenantA).Scan(&n))
			return n
		}
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			before := count(ctx, tx)
			wrote := make(chan error)
			go func() { // a writer goes on beside a reader
				wrote <- s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "b", 1) })
			}()
			p.must(<-wrote)
			if after := count(ctx, tx); after != before {
				p.errorf("the snapshot changed from %d to %d rows", before, after)
			}
			return nil
		}, store.ReadOnly))
		if n := p.things(s, tenantA); n != 2 {
			p.errorf("%d rows, want 2", n)
		}
	}},
	{"AReaderCannotWrite", func(p *probe, s store.Relational) {
		for name, write := range map[string]func(context.Context, store.Tx) error{
			"Exec": func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "x", 1) },
			"Emit": func(ctx context.Context, tx store.Tx) error { return tx.Emit(ctx, event(tenantA, "s", 1)) },
			"Once": func(ctx context.Context, tx store.Tx) error {
				_, err := tx.Once(ctx, "g", event(tenantA, "s", 1))
				return err
			},
		} {
			if err := s.InTenant(p.ctx, tenantA, write, store.ReadOnly); err == nil {
				p.errorf("%s works in a read-only transaction", name)
			}
		}
		if n := p.things(s, tenantA); n != 0 {
			p.errorf("%d rows were written", n)
		}
	}},
	{"Tenant", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(_ context.Context, tx store.Tx) error {
			if tx.Tenant() != tenantA {
				p.errorf("Tenant is %q", tx.Tenant())
			}
			return nil
		}))
		for _, t := range badTenants {
			err := s.InTenant(p.ctx, t, func(context.Context, store.Tx) error {
				p.errorf("the function ran for tenant %q", t)
				return nil
			})
			p.kind(err, platform.KindNoTenant, "a bad tenant")
		}
	}},
	{"ADuplicateKeyIsAConflict", func(p *probe, s store.Relational) {
		same := func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantA, "same", 1) }
		p.must(s.InTenant(p.ctx, tenantA, same))
		p.kind(s.InTenant(p.ctx, tenantA, same), platform.KindConflict, "the same key again")
		p.must(s.InTenant(p.ctx, tenantB, func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, tenantB, "same", 1) }))
	}},
	{"Cancelled", func(p *probe, s store.Relational) {
		err := s.InTenant(p.cancelled(), tenantA, func(context.Context, store.Tx) error {
			p.errorf("the function ran")
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			p.errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(p.ctx)
		err = s.InTenant(ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			p.must(put(ctx, tx, tenantA, "lost", 1))
			cancel()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || p.things(s, tenantA) != 0 {
			p.errorf("cancelled half way: got %v and %d rows", err, p.things(s, tenantA))
		}
	}},
	{"AfterCommit", func(p *probe, s store.Relational) {
		called := make(chan int, 8)
		_ = s.InTenant(p.ctx, tenantA, func(_ context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { called <- 0 })
			return errRollback
		})
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { called <- 1 })
			tx.AfterCommit(func() { called <- 2 })
			return put(ctx, tx, tenantA, "x", 1)
		}))
		if a, b := <-called, <-called; a != 1 || b != 2 {
			p.errorf("called %d, %d; want 1, 2", a, b)
		}
	}},
	{"EmitCommitsWithTheChange", func(p *probe, s store.Relational) {
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			return errors.Join(put(ctx, tx, tenantA, "x", 1), tx.Emit(ctx, event(tenantA, "x", 1), event(tenantA, "x", 2)))
		}))
		_ = s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			return errors.Join(tx.Emit(ctx, event(tenantA, "x", 3)), errRollback)
		})
		var ids []string
		p.must(s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
			return tx.NewRaw("SELECT id FROM outbox ORDER BY seq").Scan(ctx, &ids)
		}, store.ReadOnly))
		if len(ids) != 2 || ids[0] != event(tenantA, "x", 1).ID || ids[1] != event(tenantA, "x", 2).ID {
			p.errorf("the outbox holds %v", ids)
		}
	}},
	{"EmitKeepsTheTrace", func(p *probe, s store.Relational) {
		const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		bare := event(tenantA, "x", 2)
		bare.TraceParent, bare.OnBehalfOf = "", ""
		p.must(s.InTenant(platform.WithTraceParent(p.ctx, trace), tenantA, func(ctx context.Context, tx store.Tx) error {
			return tx.Emit(ctx, event(tenantA, "x", 1), bare)
		}))
		var rows []struct{ TraceParent, OnBehalfOf string }
		p.must(s.AcrossTenants(p.ctx, crossing(s), func(ctx context.Context, tx store.CrossTx) error {
			return tx.NewRaw("SELECT trace_parent, on_behalf_of FROM outbox ORDER BY seq").Scan(ctx, &rows)
		}, store.ReadOnly))
		own := event(tenantA, "x", 1)
		if len(rows) != 2 || rows[0].TraceParent != own.TraceParent || rows[0].OnBehalfOf != own.OnBehalfOf ||
			rows[1].TraceParent != trace || rows[1].OnBehalfOf != "" {
			p.errorf("the outbox holds %+v", rows)
		}
	}},
	{"EmitRefuses", func(p *probe, s store.Relational) {
		bad := event(tenantA, "x", 1)
		bad.ID = ""
		for what, e := range map[string]platform.Event{"another tenant's event": event(tenantB, "x", 1), "an event without an id": bad} {
			err := s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error { return tx.Emit(ctx, e) })
			if err == nil {
				p.errorf("%s is emitted", what)
			}
		}
	}},
	{"EmitAfterTheEnd", func(p *probe, s store.Relational) {
		var ended store.Tx
		p.must(s.InTenant(p.ctx, tenantA, func(_ context.Context, tx store.Tx) error {
			ended = tx
			return nil
		}))
		if ended.Emit(p.ctx, event(tenantA, "x", 1)) == nil {
			p.errorf("a transaction that has ended takes an event, which nobody will ever see")
		}
	}},
	{"OnceIsOnce", func(p *probe, s store.Relational) {
		e := event(tenantA, "x", 1)
		var effects atomic.Int32
		parallel(16, func(int) {
			var news bool
			err := s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) (err error) {
				news, err = tx.Once(ctx, "g", e)
				return err
			})
			if err != nil {
				p.errorf("Once: %v", err)
			} else if news {
				effects.Add(1)
			}
		})
		if effects.Load() != 1 {
			p.errorf("the event was new %d times", effects.Load())
		}
		p.once(s, tenantA, "another group", e, true)
		p.once(s, tenantB, "g", event(tenantB, "x", 1), true)
		second := e
		second.ID = "evt_other"
		_ = s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Once(ctx, "g", second)
			return errors.Join(err, errRollback)
		})
		p.once(s, tenantA, "g", second, true) // what was rolled back has not happened
	}},
	{"MigratesOnceAndForward", func(p *probe, s store.Relational) {
		parallel(4, func(int) {
			if err := s.Migrate(p.ctx, things(2)); err != nil {
				p.errorf("Migrate: %v", err)
			}
		})
		p.must(s.InTenant(p.ctx, tenantA, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO storetest_things (tenant, id, n, note) VALUES (?, ?, ?, ?)", tenantA, "x", 1, "new column")
			return err
		}))
		if err := s.Migrate(p.ctx, things(1)); err == nil {
			p.errorf("a database that is newer than the program is not refused")
		}
	}},
	{"Ping", func(p *probe, s store.Relational) {
		p.must(s.Ping(p.ctx))
		if s.Ping(p.cancelled()) == nil {
			p.errorf("a cancelled Ping is good")
		}
	}},
}

func put(ctx context.Context, tx store.Queries, tenant platform.TenantID, id string, n int) error {
	_, err := tx.Exec(ctx, "INSERT INTO storetest_things (tenant, id, n) VALUES (?, ?, ?)", tenant, id, n)
	return err
}

// things counts a tenant's rows.
func (p *probe) things(s store.Relational, tenant platform.TenantID) (n int) {
	p.must(s.InTenant(p.ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		err := tx.QueryRow(ctx, "SELECT count(*) FROM storetest_things WHERE tenant = ?", tenant).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly))
	return n
}

func (p *probe) once(s store.Relational, tenant platform.TenantID, group string, e platform.Event, want bool) {
	p.must(s.InTenant(p.ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		got, err := tx.Once(ctx, group, e)
		if got != want {
			p.errorf("%s in group %q: new is %v, want %v", e.ID, group, got, want)
		}
		return err
	}))
}
