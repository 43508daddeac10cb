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
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		found, err := finder(tx, tenant, c, query).Find(ctx)
		if err != nil {
			return err
		}
		out = query.Page(found)
		return nil
	}, store.ReadOnly)
	if err != nil {
		return store.Page{}, err
	}
	return out, nil
}

// Count implements [store.Documents].
func (d *Documents) Count(ctx context.Context, tenant platform.TenantID, name string, filter document.Filter) (int64, error) {
	var n int64
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		if !filter.IsZero() {
			n, err = finder(tx, tenant, c, docquery.NewCount(filter)).Count(ctx)
			return err
		}
		err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM documents WHERE tenant = ? AND collection = ?`, string(tenant), c.number).Scan(&n)
		if err != nil {
			return fmt.Errorf("sqldocs: count: %w", err)
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// lot is how many documents are fetched at once.
const lot = 32

// finder answers a query in a transaction.
func finder(tx store.Tx, tenant platform.TenantID, c *collection, q *docquery.Query) *docquery.Finder {
	f := &docquery.Finder{
		Source: &source{tx: tx, tenant: tenant, c: c}, Query: q, Lot: lot,
		Indexes: make([]docquery.Index, len(c.indexes)),
	}
	for i, x := range c.indexes {
		f.Indexes[i] = docquery.Index{Fields: x.fields, Keys: x.keys, Arrays: x.Arrays, Cut: x.Cut}
	}
	return f
}
