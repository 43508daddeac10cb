package docquery

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// Finder runs one query. It is used once, by one goroutine.
type Finder struct {
	Source  Source
	Indexes []Index
	Query   *Query
	// Lot is how many records are fetched at once.
	Lot int
	// Stale is set where there may be entries whose record does not have the
	// key any more. Entries alone then tell nothing.
	Stale bool
	// Budget is the query's, which the source keeps.
	Budget *store.Budget
	// Large is kept with the collection: whether a read of everything has met
	// more records than a short query may read. It is a hint.
	Large *atomic.Bool
}

// Found is what a page holds.
type Found struct {
	Records []document.Record // in order
	More    bool              // whether others follow
}

// Find returns the first records in order that a page has room for.
func (f *Finder) Find(ctx context.Context) (Found, error) {
	p, err := f.choose(ctx)
	if err != nil {
		return Found{}, err
	}
	switch {
	case p != nil && p.sorted && f.fits(p):
		return f.first(func(see See) error { return f.ordered(ctx, p, see) })
	case p != nil:
		return f.best(ctx, func(see See) error {
			return f.within(ctx, p, func(_ []byte, r *document.Record) (bool, error) { return see(r) })
		})
	case f.Query.byID():
		s := Scan{Order: ByID}
		if len(f.Query.sort) > 0 && f.Query.sort[0].Desc {
			s.Order = ByIDDown
		}
		if f.Query.after != nil {
			s.After = f.Query.after.ID
		}
		return f.first(func(see See) error { return f.Source.Scan(ctx, s, f.Query.filter, see) })
	}
	return f.best(ctx, func(see See) error { return f.everything(ctx, see) })
}

// everything shows all records in any order, with what filter and order need
// of them. A short query does not begin that where it is known to be too much.
func (f *Finder) everything(ctx context.Context, see See) error {
	if f.Budget.Short() && f.Large.Load() {
		return store.ErrTooCostly
	}
	scan := Scan{DataOnly: true}
	if f.Query.usesStoreFields() {
		scan = Scan{Order: ByID}
	}
	err := f.Source.Scan(ctx, scan, f.Query.filter, see)
	if err == nil || errors.Is(err, store.ErrTooCostly) {
		f.Large.Store(f.Budget.Spent() > store.ShortReads)
	}
	return err
}

// fits reports whether the cursor's place can be one in the index: values that
// are too long for it can not.
func (f *Finder) fits(p *plan) bool {
	return f.Query.after == nil || p.prefixOf(f.Query.sort, f.Query.afterKeys) != nil
}

// first takes the first records of a source that is in order.
func (f *Finder) first(source func(See) error) (found Found, err error) {
	size := 0
	err = source(func(r *document.Record) (bool, error) {
		if f.Query.full(len(found.Records), size, len(r.Data)) {
			found.More = true
			return false, nil
		}
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		size += len(doc.Data)
		found.Records = append(found.Records, doc)
		return true, nil
	})
	return found, err
}

// best takes the first records in order of a source in any order.
func (f *Finder) best(ctx context.Context, source func(See) error) (Found, error) {
	top := &topK{limit: f.Query.limit, maxBytes: f.Query.maxBytes}
	kept := make(map[string]bool)
	var key []byte
	err := source(func(r *document.Record) (bool, error) {
		key = f.Query.order.AppendKey(key[:0], r)
		p := Place{key, r.ID}
		if f.Query.after != nil && p.Compare(*f.Query.after) <= 0 || kept[r.ID] || !top.takes(p) {
			return true, nil
		}
		kept[r.ID] = true
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		top.add(candidate{Place{bytes.Clone(key), r.ID}, doc}, func(c candidate) { delete(kept, c.ID) })
		return true, nil
	})
	if err != nil {
		return Found{}, err
	}
	found := Found{Records: make([]document.Record, 0, len(top.places)), More: top.more}
	size := 0
	for _, c := range top.sorted() {
		if f.Query.full(len(found.Records), size, len(c.record.Data)) {
			found.More = true
			break
		}
		size += len(c.record.Data)
		found.Records = append(found.Records, c.record)
	}
	found.Records, err = f.Source.Complete(ctx, found.Records)
	return found, err
}
