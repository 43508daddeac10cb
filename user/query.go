package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// writer is what statements with an event need of a transaction, of one tenant
// or across them: statements and event name the tenant.
type writer interface {
	store.Queries
	Emit(ctx context.Context, events ...platform.Event) error
	AfterCommit(f func())
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// longerRow is a row with more columns than the function that scans it knows.
type longerRow struct {
	scanner
	more []any
}

func (r longerRow) Scan(dest ...any) error { return r.scanner.Scan(append(dest, r.more...)...) }

// queryAll returns the rows of a query, each read by scan.
func queryAll[T any](ctx context.Context, tx store.Queries, scan func(scanner) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// readAs returns what read finds in the tenant of p, who needs the permission.
func readAs[T any](ctx context.Context, s *Service, p platform.Principal, permission string, read func(context.Context, store.Tx) (T, error)) (found T, err error) {
	if err := s.Authorize(ctx, p, permission); err != nil {
		return found, err
	}
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) (err error) {
		found, err = read(ctx, tx)
		return err
	}, store.ReadOnly)
	return found, err
}

// changedOne reports whether a statement changed a row.
func changedOne(ctx context.Context, tx store.Queries, query string, args ...any) (bool, error) {
	res, err := tx.Exec(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Times are kept as microseconds since 1970 UTC; 0 is never.

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
