package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestJourney is the way of a stranger through the whole, by HTTP alone.
func TestJourney(t *testing.T) { everywhere(t, journey) }

func journey(t *testing.T, set setup, at place) {
	s := start(t, at)
	ann, bob := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")

	t.Run("records", func(t *testing.T) {
		raw, n := movies(t, set)
		ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{
			"name": "movies", "indexes": []any{map[string]any{"fields": []string{"Major Genre", "-IMDB Rating"}}},
		}, nil)
		began := time.Now()
		importAll(t, ann, "movies", "application/json", raw, n)
		t.Logf("%d records were imported in %v", n, time.Since(began).Round(time.Millisecond))
		exportEquals(t, ann, "movies", raw)
		pagesAreWhole(t, ann, "movies", raw)
	})
	t.Run("analytics", func(t *testing.T) { analytics(t, ann, bob) })
	t.Run("inbox", func(t *testing.T) { inbox(t, ann, bob) })
	t.Run("restart", func(t *testing.T) {
		if code := s.stop(); code != 0 {
			t.Fatalf("SIGTERM: exit code %d\n%s", code, s.logged())
		}
		again := start(t, s.at)
		old := again.client(ann.token)
		old.want(http.StatusOK, "GET", "/v1/me", nil, nil) // the token outlives the process
		raw, _ := movies(t, set)
		exportEquals(t, again.logIn("ann@example.com"), "movies", raw)
	})
}

type importResult struct {
	Imported, Updated, Failed int
	Errors                    []struct {
		Line         int
		Code, Detail string
	}
}

func importAll(t *testing.T, c *client, collection, contentType string, raw []byte, want int) {
	t.Helper()
	a := c.send("POST", "/v1/data/collections/"+collection+"/records/import", contentType, bytes.NewReader(raw))
	if a.status != http.StatusOK {
		t.Fatalf("import: got %d %s", a.status, a.body)
	}
	var r importResult
	a.into(t, &r)
	if r.Imported != want || r.Failed != 0 {
		t.Fatalf("import: got %+v, want %d imported", r, want)
	}
}

// exportEquals compares the export with the import value by value. The order
// of an export is that of ids, which are made in the order of the import.
func exportEquals(t *testing.T, c *client, collection string, raw []byte) {
	t.Helper()
	a := c.do("GET", "/v1/data/collections/"+collection+"/records/export?shape=data", nil, "Accept", "application/json")
	if a.status != http.StatusOK {
		t.Fatalf("export: got %d %s", a.status, a.body)
	}
	got, want := canonical(t, a.body), canonical(t, raw)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the export of %d records is not the import of %d", len(got), len(want))
	}
}

// canonical returns the elements of an array as texts with sorted keys and the
// numbers as they were written.
func canonical(t *testing.T, raw []byte) []string {
	t.Helper()
	var all []any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(all))
	for i, v := range all {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return texts
}

type recordPage struct {
	Data []struct {
		ID   string
		Data map[string]any
	}
	NextCursor string `json:"next_cursor"`
}

// pagesAreWhole walks a filtered and sorted list to its end.
func pagesAreWhole(t *testing.T, c *client, collection string, raw []byte) {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var want []float64
	for _, m := range all {
		if r, ok := m["IMDB Rating"].(float64); ok && m["Major Genre"] == "Drama" && r >= 5 {
			want = append(want, r)
		}
	}
	slices.Sort(want)
	slices.Reverse(want)

	q := url.Values{"filter": {`{"Major Genre":"Drama","IMDB Rating":{"$gte":5}}`}, "sort": {"-IMDB Rating"}, "limit": {"37"}}
	seen := map[string]bool{}
	var got []float64
	for {
		var page recordPage
		c.want(http.StatusOK, "GET", "/v1/data/collections/"+collection+"/records?"+q.Encode(), nil, &page)
		for _, r := range page.Data {
			if seen[r.ID] {
				t.Fatalf("record %s came twice", r.ID)
			}
			seen[r.ID] = true
			got = append(got, r.Data["IMDB Rating"].(float64))
		}
		if page.NextCursor == "" {
			break
		}
		q.Set("cursor", page.NextCursor)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold %d records, the file %d, or their order differs", len(got), len(want))
	}
}

// analytics imports the strikes as events and compares series and breakdown
// with a count of the file.
func analytics(t *testing.T, c, other *client) {
	t.Helper()
	rows := strikes(t)
	byMonth, byPhase := map[string]int{}, map[string]int{}
	var batch []map[string]any
	flush := func() {
		var r struct{ Accepted, Duplicates int }
		c.want(http.StatusOK, "POST", "/v1/analytics/events", map[string]any{"events": batch}, &r)
		if r.Accepted != len(batch) {
			t.Fatalf("accepted %+v of %d", r, len(batch))
		}
		batch = nil
	}
	for i, row := range rows {
		byMonth[row.date[:7]]++
		byPhase[row.phase]++
		batch = append(batch, map[string]any{
			"id": fmt.Sprintf("strike-%d", i), "name": "strike", "user": row.airline, "time": row.date + "T12:00:00Z",
			"properties": map[string]any{"phase": row.phase},
		})
		if len(batch) == 1000 {
			flush()
		}
	}
	if len(batch) > 0 {
		flush()
	}
	query := map[string]any{"event": "strike", "from": "1980-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "interval": "month", "timezone": "UTC"}
	var series struct {
		Series []struct {
			Points []struct {
				Time  time.Time
				Count int
			}
		}
	}
	c.want(http.StatusOK, "POST", "/v1/analytics/query/series", query, &series)
	got := map[string]int{}
	for _, p := range series.Series[0].Points {
		if p.Count > 0 {
			got[p.Time.UTC().Format("2006-01")] = p.Count
		}
	}
	if !reflect.DeepEqual(got, byMonth) {
		t.Errorf("the series differs from the file: %d and %d months", len(got), len(byMonth))
	}
	breakdown := map[string]any{"event": "strike", "from": "1980-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "timezone": "UTC", "property": "phase", "limit": 100}
	var down struct {
		Data []struct {
			Key   string
			Count int
		}
		Other int
	}
	c.want(http.StatusOK, "POST", "/v1/analytics/query/breakdown", breakdown, &down)
	got = map[string]int{}
	for _, d := range down.Data {
		got[d.Key] = d.Count
	}
	if !reflect.DeepEqual(got, byPhase) || down.Other != 0 {
		t.Errorf("the breakdown is %v and %d others, the file says %v", got, down.Other, byPhase)
	}
	series.Series = nil
	other.want(http.StatusOK, "POST", "/v1/analytics/query/series", query, &series)
	for _, one := range series.Series {
		for _, p := range one.Points {
			if p.Count != 0 {
				t.Fatalf("another organization counts %d in %v", p.Count, p.Time)
			}
		}
	}
}

type inboxPage struct {
	Data []struct {
		ID, Title, Body string
		ReadAt          *time.Time `json:"read_at"`
	}
	Unread     int
	NextCursor string `json:"next_cursor"`
}

// inbox sees a created record arrive as one message, for its organization only.
func inbox(t *testing.T, c, other *client) {
	t.Helper()
	var before inboxPage
	c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &before)
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	c.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{"text": "hello"}}, nil)
	var page inboxPage
	eventually(t, "the inbox message", func() bool {
		page = inboxPage{}
		c.want(http.StatusOK, "GET", "/v1/notify/inbox?unread=true", nil, &page)
		return page.Unread == before.Unread+1
	})
	if !strings.Contains(page.Data[0].Title+page.Data[0].Body, "notes") {
		t.Errorf("the message does not say where: %+v", page.Data[0])
	}
	c.want(http.StatusOK, "POST", "/v1/notify/inbox/"+page.Data[0].ID+"/read", nil, nil)
	c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &page)
	if page.Unread != before.Unread {
		t.Errorf("after reading it %d are unread", page.Unread)
	}
	var others inboxPage
	other.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &others)
	if len(others.Data) != 0 || others.Unread != 0 {
		t.Errorf("another organization has %+v", others)
	}
}

// send is try for bodies that are not JSON, failing the test without an answer.
func (c *client) send(method, path, contentType string, body io.Reader) answer {
	c.t.Helper()
	a, err := c.try(c.t.Context(), method, path, contentType, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}
