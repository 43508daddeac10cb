package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
)

func openDocuments(tb testing.TB) DocumentsStore {
	tb.Helper()
	db := testdb.New(tb)
	docs, err := sqldocs.New(sqldocs.Config{DB: db})
	if err != nil {
		tb.Fatal(err)
	}
	if err := docs.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return DocumentsStore{Documents: docs, Emitted: func(ctx context.Context) (ids []string, err error) {
		err = db.AcrossTenants(ctx, testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.NewRaw("SELECT id FROM outbox ORDER BY seq").Scan(ctx, &ids)
		}, store.ReadOnly)
		return ids, err
	}}
}

func TestDocumentsFindsFaults(t *testing.T) {
	with := func(f func(store.Documents) store.Documents) func(testing.TB) DocumentsStore {
		return func(tb testing.TB) DocumentsStore {
			s := openDocuments(tb)
			s.Documents = f(s.Documents)
			return s
		}
	}
	changed := func(f func(*store.Change)) func(testing.TB) DocumentsStore {
		return with(func(d store.Documents) store.Documents { return changingDocuments{d, f} })
	}
	paged := func(f func(store.Query, *store.Page)) func(testing.TB) DocumentsStore {
		return with(func(d store.Documents) store.Documents { return pagingDocuments{d, f} })
	}
	finds(t, documentsCases, []broken[DocumentsStore]{
		{"one tenant for all", "TenantsAreApart", with(func(d store.Documents) store.Documents { return oneTenantDocuments{d} })},
		{"one tenant for all, at random", "TenantsAreApartAtRandom", with(func(d store.Documents) store.Documents { return oneTenantDocuments{d} })},
		{"reads of another tenant", "TenantsAreApart", with(func(d store.Documents) store.Documents { return peepingDocuments{d} })},
		{"lists the collections of all", "TenantsAreApart", with(func(d store.Documents) store.Documents { return listingDocuments{d} })},
		{"versions are not compared", "OneWinnerPerVersion", changed(func(c *store.Change) { c.IfVersion = 0 })},
		{"stale changes are made", "RefusedChanges", changed(func(c *store.Change) { c.IfVersion = 0 })},
		{"an insert replaces", "RefusedChanges", changed(func(c *store.Change) {
			if c.Op == store.OpInsert {
				c.Op = store.OpUpsert
			}
		})},
		{"a patch replaces", "WritesAndReads", changed(func(c *store.Change) {
			if c.Op == store.OpPatch {
				c.Op = store.OpReplace
			}
		})},
		{"changes are made one by one", "RefusedChanges", with(func(d store.Documents) store.Documents { return oneByOneDocuments{d} })},
		{"events are forgotten", "EventsCommitWithTheChanges", with(func(d store.Documents) store.Documents { return muteDocuments{d} })},
		{"a page loses its last", "PagesHoldEachDocumentOnce", paged(func(q store.Query, p *store.Page) {
			if len(p.Next) > 0 && len(p.Documents) > 1 {
				p.Documents = p.Documents[:len(p.Documents)-1]
			}
		})},
		{"a page repeats its first", "PagesHoldEachDocumentOnce", paged(func(q store.Query, p *store.Page) {
			if len(q.Cursor) > 0 && len(p.Documents) > 0 {
				p.Documents = slices.Insert(p.Documents, 0, p.Documents[0])
			}
		})},
		{"a page is too long", "PagesHoldEachDocumentOnce", with(func(d store.Documents) store.Documents { return generousDocuments{d} })},
		{"a page is too large", "PagesAreBoundedInBytes", with(func(d store.Documents) store.Documents { return heavyDocuments{d} })},
		{"values are ordered as texts", "TheOrderOfValues", paged(func(_ store.Query, p *store.Page) {
			slices.SortStableFunc(p.Documents, func(a, b store.Document) int { return slices.Compare(a.Data, b.Data) })
		})},
		{"the order is ignored", "TheOrderOfValues", with(func(d store.Documents) store.Documents { return unorderedDocuments{d} })},
		{"unique is forgotten", "UniqueIndex", with(func(d store.Documents) store.Documents { return manyDocuments{d} })},
		{"a cancelled call goes on", "Cancelled", with(func(d store.Documents) store.Documents { return deafDocuments{d} })},
		{"a budget is ignored", "Budget", with(func(d store.Documents) store.Documents { return lavishDocuments{d} })},
		{"counts all", "Count", with(func(d store.Documents) store.Documents { return roughDocuments{d} })},
		{"a dropped collection stays", "ADroppedCollectionComesBackEmpty", with(func(d store.Documents) store.Documents { return keepingDocuments{d} })},
	})
}

// changingDocuments changes the changes on their way.
type changingDocuments struct {
	store.Documents
	f func(*store.Change)
}

func (d changingDocuments) Apply(ctx context.Context, t platform.TenantID, c string, changes []store.Change, b store.EventsBuilder) ([]store.Document, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		d.f(&changes[i])
	}
	return d.Documents.Apply(ctx, t, c, changes, b)
}

// pagingDocuments changes the pages on their way.
type pagingDocuments struct {
	store.Documents
	f func(store.Query, *store.Page)
}

func (d pagingDocuments) Find(ctx context.Context, t platform.TenantID, c string, q store.Query) (store.Page, error) {
	p, err := d.Documents.Find(ctx, t, c, q)
	d.f(q, &p)
	return p, err
}

type oneTenantDocuments struct{ store.Documents }

func (d oneTenantDocuments) PutCollection(ctx context.Context, _ platform.TenantID, c store.Collection, e ...platform.Event) (store.Collection, error) {
	return d.Documents.PutCollection(ctx, tenantA, c, e...)
}

func (d oneTenantDocuments) Get(ctx context.Context, _ platform.TenantID, c, id string) (store.Document, error) {
	return d.Documents.Get(ctx, tenantA, c, id)
}

func (d oneTenantDocuments) Find(ctx context.Context, _ platform.TenantID, c string, q store.Query) (store.Page, error) {
	return d.Documents.Find(ctx, tenantA, c, q)
}

// peepingDocuments keeps writes apart and forgets it where it reads.
type peepingDocuments struct{ store.Documents }

func (d peepingDocuments) Get(ctx context.Context, t platform.TenantID, c, id string) (store.Document, error) {
	doc, err := d.Documents.Get(ctx, t, c, id)
	if err != nil {
		return d.Documents.Get(ctx, tenantA, c, id)
	}
	return doc, err
}

// listingDocuments lists the collections of another tenant too.
type listingDocuments struct{ store.Documents }

func (d listingDocuments) Collections(ctx context.Context, t platform.TenantID, names ...string) ([]store.Collection, error) {
	all, err := d.Documents.Collections(ctx, t, names...)
	if len(names) == 0 && t == tenantA && err == nil {
		others, _ := d.Documents.Collections(ctx, tenantB)
		all = append(all, others...)
	}
	return all, err
}

type oneByOneDocuments struct{ store.Documents }

func (d oneByOneDocuments) Apply(ctx context.Context, t platform.TenantID, c string, changes []store.Change, b store.EventsBuilder) ([]store.Document, error) {
	var all []store.Document
	for i := range changes {
		docs, err := d.Documents.Apply(ctx, t, c, changes[i:i+1], b)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

type muteDocuments struct{ store.Documents }

func (d muteDocuments) Apply(ctx context.Context, t platform.TenantID, c string, changes []store.Change, _ store.EventsBuilder) ([]store.Document, error) {
	return d.Documents.Apply(ctx, t, c, changes, nil)
}

type generousDocuments struct{ store.Documents }

func (d generousDocuments) Find(ctx context.Context, t platform.TenantID, c string, q store.Query) (store.Page, error) {
	q.Limit = min(1000, q.Limit+1)
	return d.Documents.Find(ctx, t, c, q)
}

type heavyDocuments struct{ store.Documents }

func (d heavyDocuments) Find(ctx context.Context, t platform.TenantID, c string, q store.Query) (store.Page, error) {
	q.MaxBytes = 0
	return d.Documents.Find(ctx, t, c, q)
}

type unorderedDocuments struct{ store.Documents }

func (d unorderedDocuments) Find(ctx context.Context, t platform.TenantID, c string, q store.Query) (store.Page, error) {
	p, err := d.Documents.Find(ctx, t, c, q)
	slices.Reverse(p.Documents)
	return p, err
}

type manyDocuments struct{ store.Documents }

func (d manyDocuments) PutCollection(ctx context.Context, t platform.TenantID, c store.Collection, e ...platform.Event) (store.Collection, error) {
	c.Indexes = slices.Clone(c.Indexes)
	for i := range c.Indexes {
		c.Indexes[i].Unique = false
	}
	return d.Documents.PutCollection(ctx, t, c, e...)
}

type deafDocuments struct{ store.Documents }

func (d deafDocuments) Apply(ctx context.Context, t platform.TenantID, c string, changes []store.Change, b store.EventsBuilder) ([]store.Document, error) {
	return d.Documents.Apply(context.WithoutCancel(ctx), t, c, changes, b)
}

type lavishDocuments struct{ store.Documents }

func (d lavishDocuments) Find(ctx context.Context, t platform.TenantID, c string, q store.Query) (store.Page, error) {
	q.Budget = nil
	return d.Documents.Find(ctx, t, c, q)
}

type roughDocuments struct{ store.Documents }

func (d roughDocuments) Count(ctx context.Context, t platform.TenantID, c string, _ document.Filter, b *store.Budget) (int64, error) {
	return d.Documents.Count(ctx, t, c, document.Filter{}, b)
}

type keepingDocuments struct{ store.Documents }

func (keepingDocuments) DropCollection(context.Context, platform.TenantID, string, int64, ...platform.Event) error {
	return nil
}
