package storetest

import (
	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// must1 gives the case up on an error and returns the collection.
func (p *probe) must1(c store.Collection, err error) store.Collection {
	p.must(err)
	return c
}

func (p *probe) collection(s DocumentsStore, tenant platform.TenantID, name string, indexes ...store.Index) store.Collection {
	return p.must1(s.PutCollection(p.ctx, tenant, store.Collection{Name: name, Indexes: indexes}))
}

// apply makes one change in "things".
func (p *probe) apply(s DocumentsStore, tenant platform.TenantID, c store.Change) store.Document {
	docs, err := s.Apply(p.ctx, tenant, "things", []store.Change{c}, nil)
	p.must(err)
	if len(docs) != 1 {
		p.fatalf("one change answered %d documents", len(docs))
	}
	return docs[0]
}

func (p *probe) get(s DocumentsStore, tenant platform.TenantID, id string) store.Document {
	doc, err := s.Get(p.ctx, tenant, "things", id)
	p.must(err)
	return doc
}

func (p *probe) filter(text string) document.Filter {
	if text == "" {
		return document.Filter{}
	}
	f, err := document.ParseFilter([]byte(text))
	p.must(err)
	return f
}

// find walks all pages of a query over "things" and returns the ids.
func (p *probe) find(s DocumentsStore, tenant platform.TenantID, filter, sort string, limit int) []string {
	return p.findIn(s, tenant, "things", filter, sort, limit)
}

func (p *probe) findIn(s DocumentsStore, tenant platform.TenantID, collection, filter, sort string, limit int) []string {
	q := store.Query{Filter: p.filter(filter), Limit: limit}
	if sort != "" {
		fields, err := document.ParseSort(sort)
		p.must(err)
		q.Sort = fields
	}
	var ids []string
	for range 2000 {
		page, err := s.Find(p.ctx, tenant, collection, q)
		p.must(err)
		if len(page.Documents) > limit {
			p.errorf("a page of %d holds %d", limit, len(page.Documents))
		}
		for _, d := range page.Documents {
			ids = append(ids, d.ID)
		}
		if len(page.Next) == 0 {
			return ids
		}
		q.Cursor = page.Next
	}
	p.fatalf("the pages of filter %q sort %q have no end", filter, sort)
	return nil
}

// oneEvent builds one event whatever was applied.
func oneEvent(id string) store.EventsBuilder {
	return func([]store.Document) []platform.Event {
		e := event(tenantA, "s", 0)
		e.ID = id
		return []platform.Event{e}
	}
}
