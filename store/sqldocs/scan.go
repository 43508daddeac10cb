package sqldocs

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// Scan implements [docquery.Source].
func (s *source) Scan(ctx context.Context, scan docquery.Scan, filter document.Filter, see docquery.See) error {
	if scan.DataOnly {
		return s.inAnyOrder(ctx, filter, see)
	}
	var rows *sql.Rows
	var err error
	switch {
	case scan.Order != docquery.ByIDDown:
		rows, err = s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id`, string(s.tenant), s.c.number, scan.After)
	case scan.After == "":
		rows, err = s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? ORDER BY id DESC`, string(s.tenant), s.c.number)
	default:
		rows, err = s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id < ? ORDER BY id DESC`, string(s.tenant), s.c.number, scan.After)
	}
	var r scannedRow
	return s.eachRow(ctx, rows, err, func() (bool, error) {
		if err := r.scan(rows); err != nil || !filter.MatchRecord(&r.Record) {
			return err == nil, err
		}
		return see(&r.Record)
	})
}

// scannedRow is a document of a scan, one after the other.
type scannedRow struct {
	document.Record

	created, updated int64
}

func (r *scannedRow) scan(rows *sql.Rows) error {
	var data sql.RawBytes
	if err := rows.Scan(&r.ID, &r.Version, &r.created, &r.updated, &data); err != nil {
		return err
	}
	r.CreatedAt, r.UpdatedAt, r.Data = fromMicros(r.created), fromMicros(r.updated), []byte(data)
	return nil
}

// inAnyOrder shows all documents, without what [source.Complete] adds. For the
// few that a short query reads it is not worth it to find out how they lie.
func (s *source) inAnyOrder(ctx context.Context, filter document.Filter, see docquery.See) (err error) {
	var first, last int64
	dense := false
	if !s.budget.Short() {
		if first, last, dense, err = s.span(ctx); err != nil {
			return err
		}
	}
	var rows *sql.Rows
	if dense {
		rows, err = s.tx.Query(ctx, `SELECT id, data FROM documents
			WHERE seq BETWEEN ? AND ? AND COALESCE(tenant, '') = ? AND collection = ?`,
			first, last, string(s.tenant), s.c.number)
	} else {
		rows, err = s.tx.Query(ctx, `SELECT id, data FROM documents WHERE tenant = ? AND collection = ?`,
			string(s.tenant), s.c.number)
	}
	return s.eachData(ctx, rows, err, filter, see)
}

// eachData shows the rows of ids and data that meet the filter, and closes them.
func (s *source) eachData(ctx context.Context, rows *sql.Rows, err error, filter document.Filter, see docquery.See) error {
	var id, data sql.RawBytes
	var r document.Record // one for all rows: it goes to the heap
	return s.eachRow(ctx, rows, err, func() (bool, error) {
		if err := rows.Scan(&id, &data); err != nil {
			return false, err
		}
		r.Data = []byte(data)
		if !filter.MatchRecord(&r) {
			return true, nil
		}
		r.ID = string(id)
		return see(&r)
	})
}

// span returns the least and the greatest seq of the collection. It is dense
// where at least half of the rows in between are the collection's own: to step
// over the others then takes less than to look up each row through the index
// of ids.
func (s *source) span(ctx context.Context) (first, last int64, dense bool, err error) {
	first = math.MaxInt64
	var all int64
	for after := ""; ; {
		if err := s.budget.Pause(ctx); err != nil {
			return 0, 0, false, err
		}
		var n, low, high int64
		err := s.tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0), COALESCE(MAX(id), '') FROM
			(SELECT id, seq FROM documents WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?)`,
			string(s.tenant), s.c.number, after, countedAtOnce).Scan(&n, &low, &high, &after)
		if err != nil {
			return 0, 0, false, fmt.Errorf("sqldocs: count documents: %w", err)
		}
		if n > 0 {
			first, last, all = min(first, low), max(last, high), all+n
		}
		if n < countedAtOnce {
			return first, last, last-first < 2*all, nil
		}
	}
}

// countedAtOnce is how many documents are counted before others have a turn.
const countedAtOnce = 5000

// eachRow counts each row and calls next for it until it says no, looks at ctx
// now and then, and closes rows.
func (s *source) eachRow(ctx context.Context, rows *sql.Rows, err error, next func() (bool, error)) error {
	if err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	defer rows.Close()
	for n := 1; rows.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return fmt.Errorf("sqldocs: %w", ctx.Err())
		}
		if err := s.budget.Read(ctx, 1); err != nil {
			return err
		}
		if more, err := next(); err != nil || !more {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	return nil
}
