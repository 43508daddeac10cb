// Package reseal seals stored values again that are not under the present key of a
// sealer, so that an old key can be retired.
//
//	step := reseal.Step(db, cross, sealer, reseal.Table{
//		Name: "notify_endpoint_secrets", Column: "sealed", Key: []string{"tenant", "endpoint_id", "id"},
//	})
//	more, err := step(ctx)
//
// A step reads a page of the table and changes what has to be, each row in a
// statement of its own that changes nothing where somebody else has changed the
// value since. So steps of several replicas at once do no harm.
package reseal

import (
	"context"
	"fmt"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Table is where sealed values stand.
type Table struct {
	// Name and Column are those of the values' cells; a NULL is left alone.
	Name, Column string
	// Key are the columns of the primary key, all of text. A first one "tenant" is
	// the cell's tenant.
	Key []string
}

// Cell is the place of the value in the row of a key.
func (t Table) Cell(key ...string) store.Cell {
	at := store.Cell{Tenant: platform.NoTenant, Table: t.Name, Column: t.Column}
	if t.Key[0] == "tenant" {
		at.Tenant, key = platform.TenantID(key[0]), key[1:]
	}
	at.Row = strings.Join(key, ".") // ids hold no dot
	return at
}

// page is how many rows a step reads.
const page = 500

// Step returns a function that looks at the next rows at each call, from the first
// to the last, and reports whether there are more in this round. It is called by one
// goroutine at a time. A value that does not open is passed over and is part of the
// error of the step, which the others do not wait for.
func Step(db store.Relational, cross store.Crossing, sealer store.Sealer, t Table) func(context.Context) (more bool, err error) {
	columns := strings.Join(t.Key, ", ")
	marks := "?" + strings.Repeat(", ?", len(t.Key)-1)
	read := fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s WHERE (%[1]s) > (%[4]s) AND %[2]s IS NOT NULL ORDER BY %[1]s LIMIT ?`, columns, t.Column, t.Name, marks)
	change := fmt.Sprintf(`UPDATE %s SET %s = ? WHERE %s = ? AND %s = ?`, t.Name, t.Column, strings.Join(t.Key, " = ? AND "), t.Column)
	after := make([]string, len(t.Key))
	return func(ctx context.Context) (bool, error) {
		rows, err := readPage(ctx, db, cross, read, after)
		if err != nil {
			return false, fmt.Errorf("reseal: read %s: %w", t.Name, err)
		}
		for _, r := range rows {
			if sealer.Current(r.sealed) {
				continue
			}
			if oneErr := again(ctx, db, cross, sealer, change, t.Cell(r.key...), r); oneErr != nil {
				err = fmt.Errorf("reseal: a row of %s: %w", t.Name, oneErr)
			}
		}
		more := len(rows) == page
		if more {
			after = rows[len(rows)-1].key
		} else {
			clear(after)
		}
		return more, err
	}
}

// InTurn joins steps to one, which calls each until it has no more. One that fails
// does not keep the others from their turns: the call after the failure goes on with
// the next.
func InTurn(steps ...func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	at := 0
	return func(ctx context.Context) (bool, error) {
		more, err := steps[at](ctx)
		if !more {
			at = (at + 1) % len(steps)
		}
		return more || at != 0, err
	}
}

type row struct {
	key    []string
	sealed []byte
}

func readPage(ctx context.Context, db store.Relational, cross store.Crossing, query string, after []string) (all []row, err error) {
	err = db.AcrossTenants(ctx, cross, func(ctx context.Context, tx store.CrossTx) (err error) {
		all = nil
		rows, err := tx.Query(ctx, query, append(arguments(after), page)...)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := rows.Close(); err == nil {
				err = cerr
			}
		}()
		for rows.Next() {
			r := row{key: make([]string, len(after))}
			into := make([]any, 0, len(after)+1)
			for i := range r.key {
				into = append(into, &r.key[i])
			}
			if err := rows.Scan(append(into, &r.sealed)...); err != nil {
				return err
			}
			all = append(all, r)
		}
		return rows.Err()
	}, store.ReadOnly)
	return all, err
}

func again(ctx context.Context, db store.Relational, cross store.Crossing, sealer store.Sealer, change string, at store.Cell, r row) error {
	plain, err := sealer.Open(ctx, at, r.sealed)
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(ctx, at, plain)
	if err != nil {
		return err
	}
	return db.AcrossTenants(ctx, cross, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, change, append(append([]any{sealed}, arguments(r.key)...), r.sealed)...)
		return err
	}, store.Reserved)
}

func arguments(key []string) []any {
	all := make([]any, len(key), len(key)+2)
	for i, part := range key {
		all[i] = part
	}
	return all
}
