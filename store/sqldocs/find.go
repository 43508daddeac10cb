package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// MaxLimit is the most documents that a page holds.
const MaxLimit = 1000

// Find implements [store.Documents]. A sort that is not valid is KindInvalid.
func (d *Documents) Find(ctx context.Context, tenant platform.TenantID, name string, q store.Query) (store.Page, error) {
	if q.Limit < 1 || q.Limit > MaxLimit {
		return store.Page{}, fmt.Errorf("sqldocs: the limit of a page is 1 to %d", MaxLimit)
	}
	query, err := newQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	var out store.Page
	err = d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		f := &finder{tx: tx, tenant: tenant, c: c, query: query}
		found, err := f.find(ctx)
		if err != nil {
			return err
		}
		out = query.page(found)
		return nil
	}, store.ReadOnly)
	if err != nil {
		return store.Page{}, err
	}
	return out, nil
}

// query is a store.Query, prepared.
type query struct {
	filter document.Filter
	sort   []document.SortField
	order  *document.Order
	limit  int
	after  *place // nil on the first page
	// afterKeys are those of the fields in after.
	afterKeys [][]byte
	mark      [markBytes]byte
}

// place is a position in an order: the key of the order, then the id.
type place struct {
	key []byte
	id  string
}

func newQuery(q store.Query) (*query, error) {
	sort := q.Sort
	for i, f := range sort {
		if f.Path == document.FieldID { // no two are equal, so the rest has no say
			sort = sort[:i+1]
			break
		}
	}
	order, err := document.NewOrder(sort)
	if err != nil {
		return nil, err
	}
	out := &query{filter: q.Filter, sort: sort, order: order, limit: q.Limit}
	out.mark = markOf(q.Filter, sort)
	if len(q.Cursor) > 0 {
		if out.after, err = parseCursor(q.Cursor, out.mark); err != nil {
			return nil, err
		}
		var ok bool
		if out.afterKeys, ok = order.Split(out.after.key); !ok {
			return nil, errCursor()
		}
	}
	return out, nil
}

// page makes the answer of up to limit+1 records in order.
func (q *query) page(all []document.Record) store.Page {
	var p store.Page
	if len(all) > q.limit {
		all = all[:q.limit]
		last := &all[len(all)-1]
		p.Next = newCursor(place{q.order.AppendKey(nil, last), last.ID}, q.mark)
	}
	p.Documents = make([]store.Document, len(all))
	for i := range all {
		p.Documents[i] = store.Document(all[i])
	}
	return p
}
