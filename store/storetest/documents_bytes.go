package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// documentsPagesInBytes walks over documents of very different sizes by every way
// that a driver may have to find them.
func documentsPagesInBytes(p *probe, s DocumentsStore) {
	const most = 64 << 10
	p.collection(s, tenantA, "things", store.Index{Fields: []document.SortField{{Path: "n"}}},
		store.Index{Fields: []document.SortField{{Path: "g"}, {Path: "m"}}})
	sizes := []int{10, 20_000, 20_000, 20_000, 20_000, 100_000, 300_000, 10, 10, 60_000, 10, 300_000}
	var changes []store.Change
	var up []string
	for i, size := range sizes {
		id := fmt.Sprintf("d%02d", i)
		up = append(up, id)
		text := fmt.Sprintf(`{"n":%d,"m":%d,"g":1,"text":%q}`, i, i, strings.Repeat("x", size))
		changes = append(changes, store.Change{Op: store.OpInsert, ID: id, Data: json.RawMessage(text)})
	}
	_, err := s.Apply(p.ctx, tenantA, "things", changes, nil)
	p.must(err)
	down := slices.Clone(up)
	slices.Reverse(down)
	for _, c := range []struct {
		filter, sort string
		want         []string
	}{
		{"", "", up}, {"", "-@id", down}, // by id
		{"", "n", up}, {"", "-n", down}, // in the order of an index
		{`{"g":1}`, "-m", down}, {`{"g":1,"m":{"$lt":99}}`, "", up}, // within an index
		{"", "m", up}, {"", "-m", down}, // by all documents
		{`{"text":{"$exists":true}}`, "", up}, {`{"n":{"$gte":0}}`, "-m", down},
	} {
		for _, limit := range []int{3, 1000} {
			q := store.Query{Filter: p.filter(c.filter), Limit: limit, MaxBytes: most}
			if c.sort != "" {
				q.Sort, err = document.ParseSort(c.sort)
				p.must(err)
			}
			if got := p.pagesInBytes(s, q); !slices.Equal(got, c.want) {
				p.errorf("filter %q sort %q: the pages hold %v, want %v", c.filter, c.sort, got, c.want)
			}
		}
	}
}

// pagesInBytes walks all pages of a query and returns the ids.
func (p *probe) pagesInBytes(s DocumentsStore, q store.Query) []string {
	var ids []string
	for range 100 {
		page, err := s.Find(p.ctx, tenantA, "things", q)
		p.must(err)
		size := 0
		for _, d := range page.Documents {
			ids = append(ids, d.ID)
			size += len(d.Data)
		}
		if n := len(page.Documents); n == 0 || n > q.Limit || n > 1 && size > q.MaxBytes {
			p.errorf("a page of %d documents and %d bytes; it holds at least one, and up to %d and %d", n, size, q.Limit, q.MaxBytes)
		}
		if len(page.Next) == 0 {
			return ids
		}
		q.Cursor = page.Next
	}
	p.fatalf("the pages have no end")
	return nil
}
