package docquery

import (
	"bytes"
	"context"

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
}

// Find returns up to the limit and one more record, in order.
func (f *Finder) Find(ctx context.Context) ([]document.Record, error) {
	p, err := f.choose(ctx)
	if err != nil {
		return nil, err
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
// of them.
func (f *Finder) everything(ctx context.Context, see See) error {
	if f.Query.usesStoreFields() {
		return f.Source.Scan(ctx, Scan{Order: ByID}, f.Query.filter, see)
	}
	return f.Source.Scan(ctx, Scan{DataOnly: true}, f.Query.filter, see)
}

// fits reports whether the cursor's place can be one in the index: values that
// are too long for it can not.
func (f *Finder) fits(p *plan) bool {
	return f.Query.after == nil || p.prefixOf(f.Query.sort, f.Query.afterKeys) != nil
}

// first takes the first records of a source that is in order.
func (f *Finder) first(source func(See) error) ([]document.Record, error) {
	var out []document.Record
	err := source(func(r *document.Record) (bool, error) {
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		out = append(out, doc)
		return len(out) <= f.Query.limit, nil
	})
	return out, err
}

// best takes the first records in order of a source in any order.
func (f *Finder) best(ctx context.Context, source func(See) error) ([]document.Record, error) {
	top := &topK{limit: f.Query.limit + 1}
	kept := make(map[string]bool)
	var key []byte
	err := source(func(r *document.Record) (bool, error) {
		key = f.Query.order.AppendKey(key[:0], r)
		p := Place{key, r.ID}
		if f.Query.after != nil && p.Compare(*f.Query.after) <= 0 || !top.takes(p) || kept[r.ID] {
			return true, nil
		}
		if len(top.places) == top.limit {
			delete(kept, top.places[0].ID)
		}
		kept[r.ID] = true
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		top.add(candidate{Place{bytes.Clone(key), r.ID}, doc})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]document.Record, 0, len(top.places))
	for _, c := range top.sorted() {
		out = append(out, c.record)
	}
	return f.Source.Complete(ctx, out)
}
