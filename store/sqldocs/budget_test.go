package sqldocs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// readings notes how the transactions of a store read.
type readings struct {
	store.Relational

	mu   sync.Mutex
	long []bool
}

func (r *readings) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	r.mu.Lock()
	r.long = append(r.long, store.NewTxOptions(opts).Long)
	r.mu.Unlock()
	return r.Relational.InTenant(ctx, tenant, fn, opts...)
}

// last tells whether the last transaction was a long one.
func (r *readings) last() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.long[len(r.long)-1]
}

// TestShortQueries tells which queries are no scans: those that an index and a
// page bound. The others end soon where they may read little only, and answer
// the same where they may read more.
func TestShortQueries(t *testing.T) {
	_, plain := open(t)
	db := &readings{Relational: plain}
	docs := start(t, db)
	const size = 2*store.ShortReads + 2
	var data []string
	for i := range size {
		data = append(data, fmt.Sprintf(`{"n":%d,"g":%d,"x":%d}`, i, i%2, i%10))
	}
	fill(t, docs, "many", []string{"n", "g,n"}, data)
	fill(t, docs, "few", []string{"n"}, data[:500])
	for _, c := range []struct {
		collection, filter, sort string
		limit                    int
		short                    bool
	}{
		{"many", `{}`, "", 1000, true},
		{"many", `{}`, "-@id", 1000, true},
		{"many", `{}`, "n", 1000, true},
		{"many", `{}`, "-n", 1000, true},
		{"many", `{"n":7}`, "", 50, true},
		{"many", `{"n":{"$lt":100}}`, "x", 50, true},
		{"many", `{"g":1}`, "-n", 1000, true},
		{"many", `{"g":1,"x":1}`, "n", 50, true},
		{"many", `{"x":1}`, "", 50, true},
		{"few", `{"x":1}`, "x", 50, true},
		{"many", `{}`, "x", 10, false},
		{"many", `{}`, "-x,n", 10, false},
		{"many", `{}`, "@version", 10, false},
		{"many", `{"x":77}`, "", 10, false},
		{"many", `{"x":77}`, "n", 10, false},
		{"many", `{"g":1}`, "x", 10, false},
		{"many", `{"n":{"$gte":0}}`, "x", 10, false},
	} {
		q := store.Query{Filter: filter(c.filter), Sort: fields(c.sort), Limit: c.limit}
		want, err := docs.Find(t.Context(), tenant, c.collection, q)
		if err != nil {
			t.Fatal(err)
		}
		q.Budget = store.NewBudget(store.ShortReads)
		got, err := docs.Find(t.Context(), tenant, c.collection, q)
		if db.last() {
			t.Errorf("%+v: a short query runs among the long ones", c)
		}
		if c.short && (err != nil || fmt.Sprint(got) != fmt.Sprint(want)) || !c.short && !errors.Is(err, store.ErrTooCostly) {
			t.Errorf("%+v: %d documents, %v", c, len(got.Documents), err)
		}
		if q.Budget.Spent() > store.ShortReads+1024 {
			t.Errorf("%+v: it has read %d", c, q.Budget.Spent())
		}
		q.Budget = store.NewBudget(4 * size)
		got, err = docs.Find(t.Context(), tenant, c.collection, q)
		if !db.last() {
			t.Errorf("%+v: a long query runs among the short ones", c)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v with a large budget: %d documents, %v", c, len(got.Documents), err)
		}
	}
	for _, c := range []struct {
		collection, filter string
		want               int64
		short              bool
	}{
		{"few", `{}`, 500, true},
		{"few", `{"x":1}`, 50, true},
		{"many", `{"n":7}`, 1, true},
		{"many", `{"n":{"$lt":1000}}`, 1000, true},
		{"many", `{}`, size, false},
		{"many", `{"x":77}`, 0, false},
		{"many", `{"n":{"$gte":0}}`, size, false},
		{"many", `{"n":{"$lt":2048}}`, store.ShortReads, true}, // as many as may be
		{"many", `{"g":1}`, size / 2, false},
		{"many", `{"g":{"$in":[0,1]}}`, size, false},
	} {
		budget := store.NewBudget(store.ShortReads)
		n, err := docs.Count(t.Context(), tenant, c.collection, filter(c.filter), budget)
		if c.short && (err != nil || n != c.want) || !c.short && !errors.Is(err, store.ErrTooCostly) {
			t.Errorf("count %+v: %d, %v", c, n, err)
		}
		if n, err = docs.Count(t.Context(), tenant, c.collection, filter(c.filter), store.NewBudget(4*size)); err != nil || n != c.want {
			t.Errorf("count %+v with a large budget: %d, %v", c, n, err)
		}
	}
}

// TestALargeCollectionIsKnown has a short query that would read everything not
// even begin, once one has found out, and begin where it is small again.
func TestALargeCollectionIsKnown(t *testing.T) {
	docs, _ := open(t)
	var data []string
	for i := range store.ShortReads + 1 {
		data = append(data, fmt.Sprintf(`{"x":%d}`, i))
	}
	m := fill(t, docs, "c", nil, data)
	read := func(most int64) (int64, error) {
		b := store.NewBudget(most)
		_, err := docs.Find(t.Context(), tenant, "c", store.Query{Sort: fields("x"), Limit: 5, Budget: b})
		return b.Spent(), err
	}
	for i, want := range []int64{store.ShortReads + 1, 0, 0} {
		if n, err := read(store.ShortReads); n != want || !errors.Is(err, store.ErrTooCostly) {
			t.Errorf("try %d: %d read, %v; want %d", i, n, err, want)
		}
	}
	for id := range m {
		if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{{Op: store.OpDelete, ID: id}}, nil); err != nil {
			t.Fatal(err)
		}
		break
	}
	if n, err := read(1 << 20); n != store.ShortReads || err != nil { // a scan finds out
		t.Errorf("%d read, %v", n, err)
	}
	if n, err := read(store.ShortReads); n != store.ShortReads || err != nil {
		t.Errorf("%d read, %v", n, err)
	}
}

// TestAScanEndsWithItsContext looks at the reads that are left undone.
func TestAScanEndsWithItsContext(t *testing.T) {
	docs, _ := open(t)
	var data []string
	for i := range 3000 {
		data = append(data, fmt.Sprintf(`{"x":%d}`, i))
	}
	fill(t, docs, "c", nil, data)
	scans, err := store.NewScans(store.ScanConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = scans.Scan(ctx, nil, tenant, func(ctx context.Context, b *store.Budget) error {
		cancel()
		_, err := docs.Count(ctx, tenant, "c", filter(`{"x":{"$gte":0}}`), b)
		if b.Spent() >= 3000 {
			t.Errorf("it has read %d", b.Spent())
		}
		return err
	})
	if !errors.Is(err, context.Canceled) || scans.Running(string(tenant)) != 0 {
		t.Errorf("error %v, %d run", err, scans.Running(string(tenant)))
	}
}
