package sqldocs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
)

// fill makes a collection and returns what it holds.
func fill(t *testing.T, docs *sqldocs.Documents, name string, indexes []string, data []string) model {
	t.Helper()
	c := store.Collection{Name: name}
	for _, x := range indexes {
		c.Indexes = append(c.Indexes, store.Index{Fields: fields(x)})
	}
	if _, err := docs.PutCollection(t.Context(), tenant, c); err != nil {
		t.Fatal(err)
	}
	changes := make([]store.Change, len(data))
	for i, d := range data {
		// Ids against the order of writing, so that no order comes by itself.
		changes[i] = store.Change{Op: store.OpInsert, ID: fmt.Sprintf("r%05d", len(data)-i), Data: json.RawMessage(d)}
	}
	applied, err := docs.Apply(t.Context(), tenant, name, changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := model{}
	for _, doc := range applied {
		m[doc.ID] = doc
	}
	return m
}

// TestPlans runs every combination of some indexes, filters and orders, so
// that each way to use an index is gone.
func TestPlans(t *testing.T) {
	docs, _ := open(t)
	flat := []string{`{}`, `{"a":null}`, `{"a":1}`, `{"b":2}`}
	for i := range 16 {
		flat = append(flat, fmt.Sprintf(`{"a":%d,"b":%d,"c":"%s%c"}`, i%3, i%4, long, 'z'-i%5))
	}
	nested := append([]string{
		`{"a":[],"b":1}`, `{"a":[1,2],"b":[2,3]}`, `{"a":[2,0,2],"b":1}`, `{"a":[{"b":1},{"b":3}],"b":[1]}`, `{"a":[[1]],"b":{"a":1}}`,
		`{"a":[0,5],"b":[0,9]}`, `{"a":[1,null],"b":3}`,
	}, flat[:12]...)
	n := 0
	for _, data := range [][]string{flat, nested} {
		for _, indexes := range [][]string{
			nil, {"a"}, {"-a"}, {"a,b"}, {"a,-b"}, {"-b,a,c"}, {"c"}, {"a,b,c", "b"}, {"b,@id"},
		} {
			n++
			name := fmt.Sprintf("c%d", n)
			m := fill(t, docs, name, indexes, data)
			for _, filter := range []string{
				`{}`, `{"a":1}`, `{"a":{"$in":[0,2]}}`, `{"a":1,"b":{"$in":[1,3]}}`, `{"a":{"$in":[1,2]},"b":{"$in":[1,2,3]}}`,
				`{"a":{"$gt":0,"$lt":2}}`, `{"a":{"$gt":2,"$lt":4}}`, `{"b":{"$gte":1}}`, `{"a":{"$gte":0},"b":2}`, `{"a":null}`, `{"a":{"$in":[]}}`,
				`{"c":{"$regex":"^` + long[:30] + `"}}`, `{"c":{"$gt":"` + long + `x"}}`, `{"c":"` + long + `y"}`,
			} {
				for _, sort := range []string{"", "a", "-a", "b", "a,b", "a,-b", "-b,a", "c", "-@id"} {
					checkWalk(t, docs, name, m, filter, fields(sort), 4)
				}
			}
		}
	}
}

// TestManyRecords has groups of equal keys that are larger than any buffer,
// and ranges too wide to be read as a whole.
func TestManyRecords(t *testing.T) {
	docs, _ := open(t)
	var data []string
	for i := range 3000 {
		data = append(data, fmt.Sprintf(`{"same":1,"g":%d,"n":%d,"tags":["x","y%d"]}`, i%2, i*7919%3000, i%3))
	}
	m := fill(t, docs, "many", []string{"same", "same,n", "g,n", "n", "tags"}, data)
	for _, c := range []struct{ filter, sort string }{
		{`{}`, "same"},
		{`{}`, "-same"},
		{`{"g":1}`, "-g"},
		{`{}`, "g"},
		{`{}`, "-g,same"},
		{`{"n":{"$gte":0}}`, "g"},
		{`{"n":{"$gte":0}}`, ""},
		{`{"n":{"$lt":50}}`, "same"},
		{`{"tags":"x"}`, "-n"},
		{`{"tags":{"$in":["x","y1"]}}`, "g"},
		{`{"same":1,"n":{"$gt":1000}}`, "-same"},
		{`{"g":{"$in":[0,1]},"n":{"$lt":100}}`, "-g"},
	} {
		checkWalk(t, docs, "many", m, c.filter, fields(c.sort), 700)
	}
	if n, err := docs.Count(t.Context(), tenant, "many", filter(`{"tags":{"$in":["x","y1","y2"]}}`), nil); err != nil || n != 3000 {
		t.Errorf("a record with several keys is counted %d times: %v", n, err)
	}
}

func TestLongCursor(t *testing.T) {
	docs, _ := open(t)
	text := strings.Repeat("long", 2000)
	m := fill(t, docs, "long", []string{"t"}, []string{
		`{"t":"` + text + `a"}`, `{"t":"` + text + `b"}`, `{"t":"` + text + `"}`, `{"t":"a"}`, `{"t":"z"}`,
	})
	checkWalk(t, docs, "long", m, `{}`, fields("t"), 1)
	checkWalk(t, docs, "long", m, `{}`, fields("-t"), 2)
}
