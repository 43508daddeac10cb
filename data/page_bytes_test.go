package data_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A page of large records ends at 2 MiB of data, whatever its limit, in each way
// to ask for it.
func TestAPageIsBoundedInBytes(t *testing.T) {
	const records, size, most = 5, 900_000, 2 << 20
	b := setup(t)
	b.call("POST", "", `{"name":"films","indexes":[{"fields":["n"]}]}`)
	for i := range records {
		got := b.call("POST", "/films/records", fmt.Sprintf(`{"id":"r%d","data":{"n":%d,"text":%q}}`, i, i, strings.Repeat("x", size)))
		if got.status != http.StatusCreated || len(got.raw) < size || got.header.Get("Content-Length") != strconv.Itoa(len(got.raw)+1) {
			t.Fatalf("create: %d, %d bytes", got.status, len(got.raw))
		}
	}
	asks := map[string]func(cursor string) answer{
		"list":    func(cursor string) answer { return b.call("GET", "/films/records?limit=200&cursor="+cursor, "") },
		"ordered": func(cursor string) answer { return b.call("GET", "/films/records?limit=200&sort=n&cursor="+cursor, "") },
		"sorted": func(cursor string) answer {
			return b.call("GET", "/films/records?limit=200&sort=text&cursor="+cursor, "")
		},
		"query": func(cursor string) answer {
			return b.call("POST", "/films/records/query", fmt.Sprintf(`{"limit":1000,"count":true,"cursor":%q}`, cursor))
		},
		"fields": func(cursor string) answer {
			return b.call("GET", "/films/records?limit=200&fields=n&cursor="+cursor, "")
		},
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for cursor := ""; ; {
				got := ask(cursor)
				if got.status != http.StatusOK || len(got.raw) > most+4<<10 {
					t.Fatalf("a page: %d, %d bytes; it may have %d", got.status, len(got.raw), most)
				}
				if got.header.Get("Content-Length") != strconv.Itoa(len(got.raw)+1) {
					t.Errorf("%d bytes, announced as %s", len(got.raw), got.header.Get("Content-Length"))
				}
				var page struct {
					Data []struct {
						ID   string
						Data struct{ N int }
					}
					NextCursor string `json:"next_cursor"`
					Total      *int
				}
				if err := json.Unmarshal([]byte(got.raw), &page); err != nil {
					t.Fatal(err)
				}
				if len(page.Data) > 2 || (page.Total != nil) != (name == "query") {
					t.Errorf("%d records, total %v", len(page.Data), page.Total)
				}
				for _, r := range page.Data {
					if r.ID != "r"+strconv.Itoa(r.Data.N) {
						t.Errorf("record %s holds %d", r.ID, r.Data.N)
					}
					ids = append(ids, r.ID)
				}
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			if fmt.Sprint(ids) != "[r0 r1 r2 r3 r4]" {
				t.Errorf("the pages hold %v", ids)
			}
		})
	}
	if got := b.call("GET", "/films/records/export", ""); strings.Count(got.raw, "\n") != records {
		t.Errorf("the export has %d lines", strings.Count(got.raw, "\n"))
	}
}
