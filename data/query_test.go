package data_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// list is a list's answer.
type list struct {
	Data []struct {
		ID   string         `json:"id"`
		Data map[string]any `json:"data"`
	} `json:"data"`
	Next  string `json:"next_cursor"`
	Total *int   `json:"total"`
}

func (a answer) list(tb testing.TB) list {
	tb.Helper()
	a.must(tb, http.StatusOK)
	var l list
	if err := json.Unmarshal([]byte(a.raw), &l); err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestQuery(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"movies","indexes":[{"fields":["year"]}]}`)
	for i := range 25 {
		b.call("POST", "/movies/records", fmt.Sprintf(`{"id":"m%02d","data":{"year":%d,"title":"t%d","x":{"y":1,"z":2}}}`, i, 2000+i%5, i)).must(t, 201)
	}
	filter := url.QueryEscape(`{"year": {"$gte": 2003}}`)
	l := b.call("GET", "/movies/records?filter="+filter+"&sort=-year,title&fields=year,x.z&limit=4&count=true", "").list(t)
	if len(l.Data) != 4 || l.Total == nil || *l.Total != 10 || l.Data[0].ID != "m14" || fmt.Sprint(l.Data[0].Data) != "map[x:map[z:2] year:2004]" {
		t.Errorf("got %+v", l)
	}
	same := b.call("POST", "/movies/records/query", `{"filter":{"year":{"$gte":2003}},"sort":["-year","title"],"fields":["year","x.z"],"limit":4,"count":true}`)
	if string(must(json.Marshal(same.list(t)))) != string(must(json.Marshal(l))) {
		t.Errorf("the query answers %s", same.raw)
	}
	// The cursor of one serves the other, however the filter is spaced.
	next := b.call("POST", "/movies/records/query", `{"filter":{ "year" : {"$gte":2003}},"sort":["-year","title"],"limit":4,"cursor":"`+l.Next+`"}`).list(t)
	if len(next.Data) != 4 || next.Data[0].ID == l.Data[0].ID || next.Total != nil {
		t.Errorf("got %+v", next)
	}
	for name, path := range map[string]string{
		"another filter":     "/movies/records?sort=-year,title&cursor=" + l.Next,
		"another order":      "/movies/records?filter=" + filter + "&sort=year&cursor=" + l.Next,
		"another collection": "/other/records?filter=" + filter + "&sort=-year,title&cursor=" + l.Next,
		"cut":                "/movies/records?filter=" + filter + "&sort=-year,title&cursor=" + l.Next[:8],
		"no base 64":         "/movies/records?cursor=!",
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			if name == "another collection" {
				b.collection(`{"name":"other"}`)
			}
			b.call("GET", path, "").problem(t, http.StatusBadRequest, "bad_cursor", "query.cursor")
		})
	}
	if a := b.call("POST", "/movies/records/count", `{"filter":{"year":2001}}`); a.raw != `{"count":5}` {
		t.Errorf("count: %s", a.raw)
	}
	if a := b.call("POST", "/movies/records/count", ""); a.raw != `{"count":25}` {
		t.Errorf("count of all: %s", a.raw)
	}
}

// TestPaging walks through an order with ties while others insert before,
// within and after it.
func TestPaging(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things","indexes":[{"fields":["tag","-when"]}]}`)
	for i := range 60 {
		b.call("POST", "/things/records", fmt.Sprintf(`{"id":"r%02d","data":{"tag":"a","when":%d}}`, i, i%7)).must(t, 201)
	}
	for _, sort := range []string{"-when", "when", "", "missing", "-@created_at"} {
		t.Run(sort, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			seen := map[string]int{}
			path := "/things/records?limit=7&sort=" + sort + "&filter=" + url.QueryEscape(`{"tag":"a"}`)
			cursor := ""
			for pages := 0; ; pages++ {
				l := b.call("GET", path+"&cursor="+cursor, "").list(t)
				for _, r := range l.Data {
					if seen[r.ID]++; seen[r.ID] > 1 {
						t.Errorf("%s is there twice", r.ID)
					}
				}
				if cursor = l.Next; cursor == "" || pages > 100 {
					break
				}
				if pages < 5 {
					for _, when := range []int{-1, 3, 9} {
						b.call("POST", "/things/records", fmt.Sprintf(`{"data":{"tag":"a","when":%d}}`, when)).must(t, 201)
					}
				}
			}
			for i := range 60 {
				if id := fmt.Sprintf("r%02d", i); seen[id] != 1 {
					t.Errorf("%s is there %d times", id, seen[id])
				}
			}
		})
	}
}

func TestOpenAPI(t *testing.T) {
	b := setup(t)
	raw, err := b.service.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Permission string `json:"x-permission"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, r := range b.service.Routes() {
		op := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if op.ID != r.Operation || op.Permission != r.Access.Permission() || op.Permission == "" {
			t.Errorf("%s %s is described as %+v", r.Method, r.Path, op)
		}
		described = append(described, r.Operation)
	}
	slices.Sort(described)
	want := []string{
		"data.collections.create", "data.collections.delete", "data.collections.get", "data.collections.list", "data.collections.update",
		"data.records.count", "data.records.create", "data.records.delete", "data.records.export", "data.records.get",
		"data.records.import", "data.records.list", "data.records.patch", "data.records.query", "data.records.replace",
	}
	if !slices.Equal(described, want) {
		t.Errorf("got %v", described)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
