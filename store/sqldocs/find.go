package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// MaxLimit is the most documents that a page holds.
const MaxLimit = docquery.MaxLimit

// Find implements [store.Documents]. A sort that is not valid is KindInvalid.
func (d *Documents) Find(ctx context.Context, tenant platform.TenantID, name string, q store.Query) (store.Page, error) {
	query, err := docquery.NewQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	var out store.Page
	err = d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if err := q.Budget.Begin(ctx); err != nil {
			return err
		}
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		// One row more tells that there is a next page, another one that a
		// group of equal keys is complete.
		s := &source{tx: tx, tenant: tenant, c: c, piece: q.Limit + 2, budget: q.Budget}
		found, err := d.finder(s, query).Find(ctx)
		if err != nil {
			return err
		}
		out = query.Page(found)
		return nil
	}, q.Budget.Reading)
	if err != nil {
		return store.Page{}, err
	}
	return out, nil
}

// Count implements [store.Documents].
func (d *Documents) Count(ctx context.Context, tenant platform.TenantID, name string, filter document.Filter, budget *store.Budget) (int64, error) {
	var n int64
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if err := budget.Begin(ctx); err != nil {
			return err
		}
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		s := &source{tx: tx, tenant: tenant, c: c, piece: maxPiece, budget: budget}
		if filter.IsZero() {
			n, err = s.count(ctx)
		} else {
			n, err = d.finder(s, docquery.NewCount(filter)).Count(ctx)
		}
		return err
	}, budget.Reading)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// count returns how many documents the collection has.
func (s *source) count(ctx context.Context) (n int64, err error) {
	text, args := `SELECT COUNT(*) FROM documents WHERE tenant = ? AND collection = ?`, []any{string(s.tenant), s.c.number}
	if s.budget.Short() {
		text = `SELECT COUNT(*) FROM (SELECT 1 FROM documents WHERE tenant = ? AND collection = ? LIMIT ?) AS part`
		args = append(args, s.budget.TooMany())
	}
	if err = s.tx.QueryRow(ctx, text, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("sqldocs: count: %w", err)
	}
	return n, s.budget.Read(ctx, n)
}

// lot is how many documents are fetched at once.
const lot = 32

// finder answers a query from the source.
func (d *Documents) finder(s *source, q *docquery.Query) *docquery.Finder {
	f := &docquery.Finder{Source: d.dialect.source(s), Query: q, Lot: lot, Budget: s.budget, Large: s.c.large, Indexes: make([]docquery.Index, len(s.c.indexes))}
	for i, x := range s.c.indexes {
		f.Indexes[i] = docquery.Index{Fields: x.fields, Keys: x.keys, Arrays: x.Arrays, Cut: x.Cut}
	}
	return f
}
