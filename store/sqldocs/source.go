package sqldocs

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// source is the docquery.Source of one collection in one transaction.
type source struct {
	tx     store.Tx
	tenant platform.TenantID
	c      *collection
	// piece is how many rows a page needs, if all meet the filter.
	piece  int
	budget *store.Budget
}

var (
	_ docquery.Source = (*source)(nil)
	_ docquery.Source = (*postgresSource)(nil)
)

// Entries implements [docquery.Source].
func (s *source) Entries(ctx context.Context, index int, span docquery.Span, n int) ([]docquery.Entry, error) {
	number := s.c.indexes[index].Number
	if span.Backward {
		return s.entries(ctx, `SELECT sort_key, id, seq FROM document_index
			WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ?
			ORDER BY sort_key DESC, id DESC LIMIT ?`, string(s.tenant), number, span.After.Key, span.To, n)
	}
	return s.entries(ctx, `SELECT sort_key, id, seq FROM document_index
		WHERE tenant = ? AND number = ? AND (sort_key, id) > (?, ?) AND sort_key < ?
		ORDER BY sort_key, id LIMIT ?`, string(s.tenant), number, span.After.Key, span.After.ID, span.To, n)
}

func (s *source) entries(ctx context.Context, text string, args ...any) ([]docquery.Entry, error) {
	rows, err := s.tx.Query(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read an index: %w", err)
	}
	defer rows.Close()
	var out []docquery.Entry
	for rows.Next() {
		var e docquery.Entry
		if err := rows.Scan(&e.Key, &e.ID, &e.Ref); err != nil {
			return nil, fmt.Errorf("sqldocs: read an index: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldocs: read an index: %w", err)
	}
	return out, s.budget.Read(ctx, int64(len(out)))
}

// CountEntries implements [docquery.Source].
func (s *source) CountEntries(ctx context.Context, index int, r document.Range, most int) (n int64, err error) {
	text := `SELECT COUNT(*) FROM document_index
		WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ?`
	args := []any{string(s.tenant), s.c.indexes[index].Number, docquery.From(r), docquery.To(r)}
	if most > 0 || s.budget.Short() {
		text = `SELECT COUNT(*) FROM (SELECT 1 FROM document_index
			WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ? LIMIT ?) AS part`
		limit := int64(most)
		if most == 0 {
			limit = s.budget.TooMany()
		}
		args = append(args, limit)
	}
	if err = s.tx.QueryRow(ctx, text, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("sqldocs: count keys: %w", err)
	}
	if most > 0 { // the planner looks whether there are few
		return n, nil
	}
	return n, s.budget.Read(ctx, n)
}

// Fetch implements [docquery.Source].
func (s *source) Fetch(ctx context.Context, entries []docquery.Entry, maxBytes int) ([]*document.Record, error) {
	seqs := make([]int64, len(entries))
	for i, e := range entries {
		seqs[i] = e.Ref
	}
	rows, err := fetchBySeq(ctx, s.tx, s.tenant, s.c.number, seqs, maxBytes)
	out := make([]*document.Record, len(entries))
	for i, seq := range seqs {
		if r, ok := rows[seq]; ok {
			out[i] = &r.Record
		}
	}
	return out, err
}

// Complete implements [docquery.Source].
func (s *source) Complete(ctx context.Context, shown []document.Record) ([]document.Record, error) {
	ids := make([]string, len(shown))
	for i := range shown {
		ids[i] = shown[i].ID
	}
	rows, err := fetch(ctx, s.tx, s.tenant, s.c.number, ids)
	for i, id := range ids {
		shown[i] = rows[id].Record
	}
	return shown, err
}

// A join reads documents as its rows are asked for, so that nothing is read
// beyond the last one of a page. CROSS JOIN has SQLite begin with the index.
const (
	joinKeyless = `SELECT NULL, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND (i.sort_key, i.id) > (?, ?) AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key, i.id`
	joinForward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND (i.sort_key, i.id) > (?, ?) AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key, i.id`
	joinBackward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND i.sort_key >= ? AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key DESC, i.id DESC`
)

// Join implements [docquery.Source].
func (s *source) Join(ctx context.Context, index int, span docquery.Span, filter document.Filter, see docquery.SeeEntry) error {
	number := s.c.indexes[index].Number
	var rows *sql.Rows
	var err error
	switch {
	case span.Backward:
		rows, err = s.tx.Query(ctx, joinBackward, string(s.tenant), number, span.After.Key, span.To, s.c.number)
	case span.Keyless:
		rows, err = s.tx.Query(ctx, joinKeyless, string(s.tenant), number, span.After.Key, span.After.ID, span.To, s.c.number)
	default:
		rows, err = s.tx.Query(ctx, joinForward, string(s.tenant), number, span.After.Key, span.After.ID, span.To, s.c.number)
	}
	j := newJoinedRow(filter)
	return s.eachRow(ctx, rows, err, func() (bool, error) {
		if matches, err := j.scan(rows); err != nil || !matches {
			return err == nil, err
		}
		return see(j.key, &j.record)
	})
}

// joinedRow is a row of a join, one after the other.
type joinedRow struct {
	filter document.Filter
	// early is set where the filter looks at the data alone.
	early            bool
	key, id, data    sql.RawBytes
	created, updated int64
	record           document.Record
}

func newJoinedRow(filter document.Filter) *joinedRow {
	return &joinedRow{filter: filter, early: !filter.UsesStoreFields()}
}

// scan reads the next row and reports whether it meets the filter.
func (j *joinedRow) scan(rows *sql.Rows) (matches bool, err error) {
	r := &j.record
	if err := rows.Scan(&j.key, &j.id, &r.Version, &j.created, &j.updated, &j.data); err != nil {
		return false, err
	}
	if r.Data = []byte(j.data); r.Data == nil { // it was withheld
		return false, nil
	}
	if j.early && !j.filter.MatchRecord(r) {
		return false, nil
	}
	r.ID, r.CreatedAt, r.UpdatedAt = string(j.id), fromMicros(j.created), fromMicros(j.updated)
	return j.early || j.filter.MatchRecord(r), nil
}
