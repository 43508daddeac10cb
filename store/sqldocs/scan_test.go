package sqldocs_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// TestScanAmongOthers reads a whole collection whose documents lie alone, or
// between as many or twice as many of others. The other tenant's collection
// has the same number.
func TestScanAmongOthers(t *testing.T) {
	const other = platform.TenantID("org_2")
	for others := range 4 {
		t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
			docs, _ := open(t)
			put := func(tenant platform.TenantID, name string) {
				if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: name}); err != nil {
					t.Fatal(err)
				}
			}
			put(tenant, "c")
			put(other, "c")
			put(tenant, "d")
			m := model{}
			for i := range 60 {
				changes := []store.Change{{
					Op: store.OpInsert, ID: fmt.Sprintf("r%02d", 99-i), Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"x":1}`, i*7%60)),
				}}
				applied, err := docs.Apply(t.Context(), tenant, "c", changes, nil)
				if err != nil {
					t.Fatal(err)
				}
				m[applied[0].ID] = applied[0]
				for j := range others {
					owner, name := other, "c"
					if (i+j)%2 == 1 {
						owner, name = tenant, "d"
					}
					changes[0].ID = fmt.Sprintf("o%d.%d", i, j)
					if _, err := docs.Apply(t.Context(), owner, name, changes, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, text := range []string{`{}`, `{"n":{"$gte":20}}`, `{"x":1,"n":{"$lt":50}}`, `{"n":61}`} {
				for _, sort := range []string{"n", "-n", "x"} {
					checkWalk(t, docs, "c", m, text, fields(sort), 7)
				}
			}
		})
	}
}

// TestScanOfNothing reads a collection without documents.
func TestScanOfNothing(t *testing.T) {
	docs, _ := open(t)
	fill(t, docs, "full", nil, []string{`{"a":1}`})
	if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: "empty"}); err != nil {
		t.Fatal(err)
	}
	p, err := docs.Find(t.Context(), tenant, "empty", store.Query{Sort: []document.SortField{{Path: "a"}}, Limit: 5})
	if err != nil || len(p.Documents) != 0 {
		t.Error(p, err)
	}
}
