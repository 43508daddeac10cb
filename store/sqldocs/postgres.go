package sqldocs

import (
	"context"
	"database/sql"

	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// postgresSource reads in pieces what source reads row by row: PostgreSQL sends
// all rows of a statement, whether they are wanted or not.
type postgresSource struct{ *source }

// LATERAL and OFFSET 0 leave the planner no other way than to look up each
// document by itself. It does not know how many documents a collection has, and
// where it believes in a few reads all of them. In a join the part with LIMIT
// goes through the index alone, in order.
const (
	joinPieceForward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM (SELECT sort_key, id FROM document_index
			WHERE tenant = ? AND number = ? AND (sort_key, id) > (?, ?) AND sort_key < ?
			ORDER BY sort_key, id LIMIT ?) i
		CROSS JOIN LATERAL (SELECT version, created_at, updated_at, CASE WHEN octet_length(data) <= ? THEN data END AS data
			FROM documents WHERE tenant = ? AND collection = ? AND id = i.id OFFSET 0) d
		ORDER BY i.sort_key, i.id`
	joinPieceBackward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM (SELECT sort_key, id FROM document_index
			WHERE tenant = ? AND number = ? AND (sort_key, id) < (?, ?) AND sort_key >= ?
			ORDER BY sort_key DESC, id DESC LIMIT ?) i
		CROSS JOIN LATERAL (SELECT version, created_at, updated_at, CASE WHEN octet_length(data) <= ? THEN data END AS data
			FROM documents WHERE tenant = ? AND collection = ? AND id = i.id OFFSET 0) d
		ORDER BY i.sort_key DESC, i.id DESC`
	fetchByID = `SELECT 0, d.id, d.version, d.created_at, d.updated_at, d.data FROM unnest(?::text[]) AS k (id)
		CROSS JOIN LATERAL (SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id = k.id OFFSET 0) d`
	fetchLockedByID = `SELECT 0, d.id, d.version, d.created_at, d.updated_at, d.data FROM unnest(?::text[]) AS k (id)
		CROSS JOIN LATERAL (SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id = k.id OFFSET 0 FOR UPDATE) d`
)

// Entries implements [docquery.Source].
func (s *postgresSource) Entries(ctx context.Context, index int, span docquery.Span, n int) ([]docquery.Entry, error) {
	number := s.c.indexes[index].Number
	if span.Backward {
		return s.entries(ctx, `SELECT sort_key, id, 0 FROM document_index
			WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ?
			ORDER BY sort_key DESC, id DESC LIMIT ?`, string(s.tenant), number, span.After.Key, span.To, n)
	}
	return s.entries(ctx, `SELECT sort_key, id, 0 FROM document_index
		WHERE tenant = ? AND number = ? AND (sort_key, id) > (?, ?) AND sort_key < ?
		ORDER BY sort_key, id LIMIT ?`, string(s.tenant), number, span.After.Key, span.After.ID, span.To, n)
}

// Fetch implements [docquery.Source].
func (s *postgresSource) Fetch(ctx context.Context, entries []docquery.Entry, maxBytes int) ([]*document.Record, error) {
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	rows, err := atMost(maxBytes).records(s.tx.Query(ctx, fetchByID, ids, string(s.tenant), s.c.number))
	found := make(map[string]*document.Record, len(rows))
	for i := range rows {
		found[rows[i].ID] = &rows[i].Record
	}
	out := make([]*document.Record, len(entries))
	for i, id := range ids {
		out[i] = found[id]
	}
	return out, err
}

// Complete implements [docquery.Source].
func (s *postgresSource) Complete(ctx context.Context, shown []document.Record) ([]document.Record, error) {
	places := make(map[string]int, len(shown))
	ids := make([]string, len(shown))
	for i := range shown {
		ids[i] = shown[i].ID
		places[ids[i]] = i
	}
	rows, err := records(s.tx.Query(ctx, fetchByID, ids, string(s.tenant), s.c.number))
	for _, r := range rows {
		shown[places[r.ID]] = r.Record
	}
	return shown, err
}

// Join implements [docquery.Source].
func (s *postgresSource) Join(ctx context.Context, index int, span docquery.Span, filter document.Filter, see docquery.SeeEntry) error {
	text, from, end := joinPieceForward, span.After, span.To
	if span.Backward {
		text, from, end = joinPieceBackward, docquery.Place{Key: span.To}, span.After.Key
	}
	j := newJoinedRow(filter)
	var lastKey, lastID []byte
	return s.inPieces(func(p piece) (got pieceRead, more bool, err error) {
		rows, err := s.tx.Query(ctx, text, string(s.tenant), s.c.indexes[index].Number, from.Key, from.ID, end, p.size,
			p.most, string(s.tenant), s.c.number)
		more = true
		err = s.eachRow(ctx, rows, err, func() (bool, error) {
			matches, err := j.scan(rows)
			if err != nil || got.withheld(j.data) {
				return false, err
			}
			lastKey, lastID = append(lastKey[:0], j.key...), append(lastID[:0], j.id...)
			if matches {
				more, err = see(j.key, &j.record)
			}
			return more, err
		})
		if got.rows > 0 {
			from = docquery.Place{Key: lastKey, ID: string(lastID)}
		}
		return got, more, err
	})
}

// Scan implements [docquery.Source].
func (s *postgresSource) Scan(ctx context.Context, scan docquery.Scan, filter document.Filter, see docquery.See) error {
	if scan.DataOnly { // nobody ends it early but the meter
		rows, err := s.tx.Query(ctx, `SELECT id, data FROM documents WHERE tenant = ? AND collection = ? LIMIT ?`,
			string(s.tenant), s.c.number, s.budget.TooMany())
		return s.eachData(ctx, rows, err, filter, see)
	}
	var r scannedRow
	after := scan.After
	return s.inPieces(func(p piece) (got pieceRead, more bool, err error) {
		rows, err := s.scanPiece(ctx, scan.Order, after, p)
		more = true
		err = s.eachRow(ctx, rows, err, func() (bool, error) {
			if err := r.scan(rows); err != nil || got.withheld(r.Data) {
				return false, err
			}
			after = r.ID
			var err error
			if filter.MatchRecord(&r.Record) {
				more, err = see(&r.Record)
			}
			return more, err
		})
		return got, more, err
	})
}

func (s *postgresSource) scanPiece(ctx context.Context, order docquery.ScanOrder, after string, p piece) (*sql.Rows, error) {
	switch {
	case order != docquery.ByIDDown:
		return s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, CASE WHEN octet_length(data) <= ? THEN data END FROM documents
			WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?`, p.most, string(s.tenant), s.c.number, after, p.size)
	case after == "":
		return s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, CASE WHEN octet_length(data) <= ? THEN data END FROM documents
			WHERE tenant = ? AND collection = ? ORDER BY id DESC LIMIT ?`, p.most, string(s.tenant), s.c.number, p.size)
	}
	return s.tx.Query(ctx, `SELECT id, version, created_at, updated_at, CASE WHEN octet_length(data) <= ? THEN data END FROM documents
		WHERE tenant = ? AND collection = ? AND id < ? ORDER BY id DESC LIMIT ?`, p.most, string(s.tenant), s.c.number, after, p.size)
}
