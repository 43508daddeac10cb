package reseal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/reseal"
	"github.com/acme/platform/store/seal"
)

// TestMain runs every test on SQLite and on PostgreSQL.
func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// vault is a table of secrets in a store of the test's.
type vault struct {
	t      *testing.T
	db     testdb.DB
	cross  store.Crossing
	table  reseal.Table
	sealer *seal.Sealer
}

func open(t *testing.T) *vault {
	t.Helper()
	v := &vault{t: t, db: testdb.New(t), table: reseal.Table{Name: "vault", Column: "sealed", Key: []string{"tenant", "id"}}}
	v.cross = testdb.Crossing(v.db)
	files := fstest.MapFS{
		"sqlite/0001_vault.sql":   {Data: []byte(`CREATE TABLE vault (tenant TEXT NOT NULL, id TEXT NOT NULL, sealed BLOB, PRIMARY KEY (tenant, id))`)},
		"postgres/0001_vault.sql": {Data: []byte(`CREATE TABLE vault (tenant TEXT COLLATE "C" NOT NULL, id TEXT COLLATE "C" NOT NULL, sealed BYTEA, PRIMARY KEY (tenant, id))`)},
	}
	must(t, v.db.Migrate(t.Context(), store.Migrations{Component: "vault", Files: files}))
	var err error
	v.sealer, err = seal.New(seal.Config{Keys: seal.Memory("")})
	must(t, err)
	return v
}

// put keeps secrets of two tenants, n each.
func (v *vault) put(n int) {
	v.t.Helper()
	for _, tenant := range []platform.TenantID{"org_a", "org_b"} {
		must(v.t, v.db.InTenant(v.t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
			for i := range n {
				id := fmt.Sprintf("id_%05d", i)
				sealed, err := v.sealer.Seal(ctx, v.table.Cell(string(tenant), id), []byte(id+" of "+string(tenant)))
				if err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, `INSERT INTO vault (tenant, id, sealed) VALUES (?, ?, ?)`, tenant, id, sealed); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `INSERT INTO vault (tenant, id) VALUES (?, 'none')`, tenant)
			return err
		}))
	}
}

// state counts the values under the present key and under others, and opens all.
func (v *vault) state() (current, old int) {
	v.t.Helper()
	must(v.t, v.db.AcrossTenants(v.t.Context(), v.cross, func(ctx context.Context, tx store.CrossTx) error {
		current, old = 0, 0
		rows, err := tx.Query(ctx, `SELECT tenant, id, sealed FROM vault WHERE sealed IS NOT NULL`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tenant, id string
			var sealed []byte
			if err := rows.Scan(&tenant, &id, &sealed); err != nil {
				return err
			}
			plain, err := v.sealer.Open(ctx, v.table.Cell(tenant, id), sealed)
			if err != nil || string(plain) != id+" of "+tenant {
				v.t.Errorf("%s %s: %q, %v", tenant, id, plain, err)
			}
			if v.sealer.Current(sealed) {
				current++
			} else {
				old++
			}
		}
		return rows.Err()
	}))
	return current, old
}

// round calls a step until it has no more, and returns the calls.
func round(t *testing.T, step func(context.Context) (bool, error)) (calls int) {
	t.Helper()
	for more := true; more; calls++ {
		var err error
		more, err = step(t.Context())
		must(t, err)
	}
	return calls
}

// All values of all tenants come under the present key, in pages, and the next round
// changes nothing; after it the old key can be retired.
func TestStep(t *testing.T) {
	v := open(t)
	v.put(300)
	keys, err := v.sealer.List(t.Context())
	must(t, err)
	_, err = v.sealer.Rotate(t.Context())
	must(t, err)
	step := reseal.Step(v.db, v.cross, v.sealer, v.table)
	if more, err := step(t.Context()); err != nil || !more {
		t.Errorf("the first page: %v, %v", more, err)
	}
	if current, old := v.state(); current != 500 || old != 100 {
		t.Errorf("after a page %d are current, %d are not", current, old)
	}
	round(t, step)
	if current, old := v.state(); current != 600 || old != 0 {
		t.Errorf("%d are current, %d are not", current, old)
	}
	must(t, v.sealer.Retire(t.Context(), keys[0].ID))
	if calls := round(t, step); calls != 2 {
		t.Errorf("a second round took %d steps", calls)
	}
	v.state()
}

// What does not open is left and told, and the others are not kept from it.
func TestDamagedValue(t *testing.T) {
	v := open(t)
	v.put(3)
	must(t, v.db.InTenant(t.Context(), "org_a", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE tenant = ? AND id = 'id_00001') WHERE tenant = ? AND id = 'id_00000'`,
			tx.Tenant(), tx.Tenant())
		return err
	}))
	_, err := v.sealer.Rotate(t.Context())
	must(t, err)
	step := reseal.Step(v.db, v.cross, v.sealer, v.table)
	if more, err := step(t.Context()); more || platform.KindOf(err) != platform.KindInternal {
		t.Errorf("%v, %v", more, err)
	}
	must(t, v.db.InTenant(t.Context(), "org_a", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM vault WHERE tenant = ? AND id = 'id_00000'`, tx.Tenant())
		return err
	}))
	if current, old := v.state(); current != 5 || old != 0 {
		t.Errorf("%d are current, %d are not", current, old)
	}
}

// Replicas at the same step, and writers beside them, lose no value.
func TestTogether(t *testing.T) {
	v := open(t)
	v.put(40)
	_, err := v.sealer.Rotate(t.Context())
	must(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { round(t, reseal.Step(v.db, v.cross, v.sealer, v.table)) })
	}
	all.Go(func() {
		for i := range 40 {
			id := fmt.Sprintf("id_%05d", i)
			sealed, err := v.sealer.Seal(t.Context(), v.table.Cell("org_a", id), []byte(id+" of org_a"))
			if err == nil {
				err = v.db.InTenant(t.Context(), "org_a", func(ctx context.Context, tx store.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE vault SET sealed = ? WHERE tenant = ? AND id = ?`, sealed, tx.Tenant(), id)
					return err
				})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if current, old := v.state(); current != 80 || old != 0 {
		t.Errorf("%d are current, %d are not", current, old)
	}
}

// A step that fails does not keep the next from its turn.
func TestInTurn(t *testing.T) {
	var trace string
	said := func(name string, times int, err error) func(context.Context) (bool, error) {
		left := times
		return func(context.Context) (bool, error) {
			trace += name
			if left--; left > 0 {
				return true, nil
			}
			left = times
			return false, err
		}
	}
	step := reseal.InTurn(said("a", 2, nil), said("b", 1, errors.New("b")), said("c", 1, nil))
	for range 8 {
		_, _ = step(t.Context())
	}
	if trace != "aabcaabc" {
		t.Errorf("got %s", trace)
	}
}
