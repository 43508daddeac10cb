package mongo

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// Find implements [store.Documents]. A sort that is not valid is KindInvalid. A
// page is of one moment, unless the collection changes all the time that it is
// read: then each document in it is as some commit left it, and one whose place
// changes meanwhile may be missed.
func (d *Documents) Find(ctx context.Context, tenant platform.TenantID, name string, q store.Query) (store.Page, error) {
	if err := d.enter(tenant); err != nil {
		return store.Page{}, err
	}
	query, err := docquery.NewQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	var out store.Page
	err = d.read(ctx, scope{tenant}, name, query, bounds{first: q.Limit + 1, budget: q.Budget}, func(f *docquery.Finder) (whole bool, err error) {
		found, err := f.Find(ctx)
		out = query.Page(found)
		return distinctIDs(found.Records), err
	})
	if err != nil {
		return store.Page{}, err
	}
	return out, nil
}

// Count implements [store.Documents].
func (d *Documents) Count(ctx context.Context, tenant platform.TenantID, name string, filter document.Filter, budget *store.Budget) (int64, error) {
	if err := d.enter(tenant); err != nil {
		return 0, err
	}
	sc := scope{tenant}
	if filter.IsZero() {
		h, err := d.head(ctx, sc, name)
		if err == nil && h.none() {
			err = errNoCollection
		}
		if err != nil {
			return 0, err
		}
		return h.Count, nil
	}
	var n int64
	err := d.read(ctx, sc, name, docquery.NewCount(filter), bounds{first: fetchAtOnce, budget: budget}, func(f *docquery.Finder) (_ bool, err error) {
		n, err = f.Count(ctx)
		return true, err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func distinctIDs(all []document.Record) bool {
	seen := make(map[string]bool, len(all))
	for i := range all {
		if seen[all[i].ID] {
			return false
		}
		seen[all[i].ID] = true
	}
	return true
}

const (
	// calmReads is how often a read is made in the hope that nothing is
	// committed meanwhile.
	calmReads = 3
	// maxReads is how often one is made that comes out wrong.
	maxReads = 50
	// fetchAtOnce is how many documents are read at once at most.
	fetchAtOnce = 1000
)

// bounds say how many documents a query reads at first, and at most.
type bounds struct {
	first  int
	budget *store.Budget
}

// read runs a query and looks whether the collection was the same before and
// after it. Where it never is, an answer is taken that is whole in itself.
func (d *Documents) read(ctx context.Context, sc scope, name string, q *docquery.Query, b bounds, run func(*docquery.Finder) (whole bool, err error)) error {
	for try := range maxReads {
		h, err := d.settled(ctx, sc, name, readerPatience)
		if err != nil {
			return err
		}
		if h.none() {
			return errNoCollection
		}
		if err := b.budget.Begin(ctx); err != nil {
			return err
		}
		f, err := d.finder(sc, h, q, b)
		if err != nil {
			return err
		}
		whole, err := run(f)
		if err != nil {
			return err
		}
		after, err := d.head(ctx, sc, name)
		switch {
		case err != nil:
			return err
		case after == nil || after.Number != h.Number:
			continue
		case after.Seq == h.Seq, try >= calmReads && whole && after.Indexed == h.Indexed:
			return nil
		}
	}
	return errBusy
}

// finder answers a query from the state of h. The indexes that are being built
// are not for it.
func (d *Documents) finder(sc scope, h *head, q *docquery.Query, b bounds) (*docquery.Finder, error) {
	all, err := d.cache.indexes(h)
	if err != nil {
		return nil, fmt.Errorf("mongo: the indexes of a collection: %w", err)
	}
	src := &source{
		d: d, sc: sc, number: h.Number, first: min(max(b.first, 16), fetchAtOnce), budget: b.budget,
	}
	f := &docquery.Finder{Source: src, Query: q, Lot: fetchAtOnce, Stale: true, Budget: src.budget, Large: new(atomic.Bool)}
	f.Large.Store(h.Count > store.ShortReads)
	for _, x := range all {
		if x.Build == "" {
			src.indexes = append(src.indexes, x)
			f.Indexes = append(f.Indexes, x.Index)
		}
	}
	return f, nil
}
