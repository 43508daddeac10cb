package storetest

import (
	"encoding/json"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// documentsSizes is for the stores that can tell what a tenant keeps.
func documentsSizes(p *probe, s DocumentsStore) {
	sizer, ok := s.Documents.(store.Sizer)
	if !ok {
		return
	}
	want := func(what string, tenant platform.TenantID, documents, bytes int64) {
		got, err := sizer.Size(p.ctx, tenant)
		p.must(err)
		if got != (store.Size{Documents: documents, Bytes: bytes}) {
			p.errorf("%s: %+v, want %d documents of %d bytes", what, got, documents, bytes)
		}
	}
	want("nothing", tenantA, 0, 0)
	p.collection(s, tenantA, "things")
	p.collection(s, tenantA, "others")
	p.collection(s, tenantB, "things")
	for _, id := range []string{"a", "b"} {
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: id, Data: json.RawMessage(`{"s":"ü"}`)})
	}
	_, err := s.Apply(p.ctx, tenantA, "others", []store.Change{{Op: store.OpUpsert, ID: "a", Data: json.RawMessage(`{}`)}}, nil)
	p.must(err)
	want("in two collections", tenantA, 3, 22)
	p.apply(s, tenantA, store.Change{Op: store.OpPatch, ID: "a", Data: json.RawMessage(`{"n":1}`)})
	want("a larger one", tenantA, 3, 28)
	p.apply(s, tenantA, store.Change{Op: store.OpReplace, ID: "a", Data: json.RawMessage(`{}`)})
	want("a smaller one", tenantA, 3, 14)
	p.apply(s, tenantA, store.Change{Op: store.OpDelete, ID: "b"})
	want("one less", tenantA, 2, 4)
	want("another tenant", tenantB, 0, 0)
	p.must(s.DropCollection(p.ctx, tenantA, "things", 0))
	want("a collection less", tenantA, 1, 2)
}
