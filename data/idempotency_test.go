package data_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform/store"
)

// documentsAlone hides that documents and rows can commit together, as MongoDB
// cannot.
type documentsAlone struct{ store.Documents }

// onBoth runs a test over a store that keeps the row of a key, and over one
// where a record's id follows from the key.
func onBoth(t *testing.T, test func(t *testing.T, b *bench, row bool)) {
	t.Helper()
	for _, row := range []bool{true, false} {
		t.Run(fmt.Sprintf("row=%t", row), func(t *testing.T) {
			b := setup(t)
			if !row {
				b.serve(documentsAlone{b.docs})
			}
			if err := b.service.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.service.Stop(context.WithoutCancel(t.Context())) })
			b.call("POST", "", `{"name":"films"}`)
			test(t, b, row)
		})
	}
}

func (b *bench) repeated(key, path, body string) (answer, bool) {
	b.tb.Helper()
	a := b.call("POST", path, body, "Idempotency-Key", key)
	return a, a.header.Get("Idempotency-Replayed") == "true"
}

func (b *bench) records(collection string) int64 {
	b.tb.Helper()
	n, err := b.service.Count(context.Background(), principal(acme), collection, nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	return n
}

func TestRecordIsCreatedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench, row bool) {
		t.Helper()
		for i, body := range []string{
			`{"data":{"title":"<M>","year":1931}}`, `{"id":"mine","data":{"title":"N"}}`,
			`{"data":{"title":"` + strings.Repeat("x", 100_000) + `"}}`, // kept as a reference
		} {
			key, before := fmt.Sprint("key-", i), b.records("films")
			first, replayed := b.repeated(key, "/films/records", body)
			if first.status != 201 || replayed {
				t.Fatalf("%d %s", first.status, first.raw)
			}
			for range 3 {
				again, replayed := b.repeated(key, "/films/records", body)
				if again.status != 201 || !replayed || again.raw != first.raw ||
					again.header.Get("Location") != first.header.Get("Location") || again.header.Get("ETag") != first.header.Get("ETag") {
					t.Fatalf("a second call: %d %.200s, replayed %t", again.status, again.raw, replayed)
				}
			}
			if n := b.records("films"); n != before+1 {
				t.Errorf("%d records", n)
			}
		}
		if a, _ := b.repeated("key-0", "/films/records", `{"data":{"title":"other"}}`); a.status != 422 || a.body["code"] != "idempotency_key_reused" {
			t.Errorf("another input: %d %s", a.status, a.raw)
		}
		if a, _ := b.repeated("key-9", "/films/records", `{"id":"mine","data":{"title":"of somebody else"}}`); a.status != 409 || a.body["code"] != "exists" {
			t.Errorf("an id that is taken: %d %s", a.status, a.raw)
		}
		other := b.callAs(globex, "POST", "", `{"name":"films"}`)
		if a := b.callAs(globex, "POST", "/films/records", `{"data":{}}`, "Idempotency-Key", "key-0"); other.status != 201 || a.status != 201 {
			t.Errorf("another tenant: %d %s", a.status, a.raw)
		}
	})
}

// The first answer comes again after the record was changed; where no row keeps
// it, the record as it is.
func TestRepeatedCreateOfAChangedRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench, row bool) {
		t.Helper()
		first, _ := b.repeated("k", "/films/records", `{"data":{"a":1}}`)
		id := fmt.Sprint(first.body["id"])
		b.call("PUT", "/films/records/"+id, `{"data":{"a":2}}`)
		again, replayed := b.repeated("k", "/films/records", `{"data":{"a":1}}`)
		if again.status != 201 || !replayed || again.body["id"] != id || row && again.raw != first.raw {
			t.Errorf("%d %s, replayed %t", again.status, again.raw, replayed)
		}
		if n := b.records("films"); n != 1 {
			t.Errorf("%d records", n)
		}
	})
}

func TestCollectionIsCreatedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench, _ bool) {
		t.Helper()
		const body = `{"name":"people","indexes":[{"fields":["name","-age"],"unique":true}],"schema":{"type":"object"}}`
		first, _ := b.repeated("k", "", body)
		again, replayed := b.repeated("k", "", body)
		if first.status != 201 || again.status != 201 || !replayed || again.raw != first.raw {
			t.Errorf("%d %s\n%d %s, replayed %t", first.status, first.raw, again.status, again.raw, replayed)
		}
		if a, _ := b.repeated("k", "", `{"name":"people"}`); a.status < 400 {
			t.Errorf("another input: %d %s", a.status, a.raw)
		}
	})
}

// A retried import repeats no batch, and tells what the first told, with the
// records that the store refused.
func TestImportWritesEachBatchOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench, row bool) {
		t.Helper()
		b.call("POST", "", `{"name":"people","indexes":[{"fields":["name"],"unique":true}]}`)
		var lines strings.Builder
		for i := range 1200 {
			name := fmt.Sprint("n", i)
			if i == 5 || i == 700 || i == 1199 {
				name = "n1" // refused: not unique
			}
			fmt.Fprintf(&lines, "{\"name\":%q}\n", name)
		}
		send := func(key string) (answer, bool) {
			a := b.call("POST", "/people/records/import", lines.String(), "Idempotency-Key", key, "Content-Type", "application/x-ndjson")
			return a, a.header.Get("Idempotency-Replayed") == "true"
		}
		first, replayed := send("k")
		if first.status != 200 || replayed || first.body["imported"] != 1197.0 || first.body["failed"] != 3.0 {
			t.Fatalf("%d %s", first.status, first.raw)
		}
		again, replayed := send("k")
		if again.status != 200 || again.body["imported"] != 1197.0 || row && (!replayed || again.raw != first.raw) {
			t.Errorf("a second import: %d %s, replayed %t", again.status, again.raw, replayed)
		}
		if n := b.records("people"); n != 1197 {
			t.Errorf("%d records", n)
		}
		if !row {
			return
		}
		lines.WriteString("{\"name\":\"more\"}\n") // in the last batch
		if a, _ := send("k"); a.status != 422 || b.records("people") != 1197 {
			t.Errorf("another input: %d %s", a.status, a.raw)
		}
	})
}
