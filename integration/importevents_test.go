package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestImportEvents imports many records: a rule of the tenant's own hears of
// each, in the order of its record, and the rule that everybody has of none.
func TestImportEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, set setup, at place) {
		n := set.atMost(1200, 40)
		c := start(t, at).signUp("ann@example.com", "Ann's")
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "films"}, nil)
		last := fmt.Sprintf("f%d", n-1)
		for _, what := range []string{"created", "updated"} {
			c.want(http.StatusCreated, "POST", "/v1/notify/rules", map[string]any{
				"name": what, "event": "data.record." + what, "channels": []string{"inbox"}, "to": map[string]any{"everyone": true},
				"filter": map[string]any{"id": last, "import": map[string]any{"$exists": true}},
				"title":  what + " {{.event.subject}} by {{.data.import}}",
			}, nil)
		}
		var file strings.Builder
		for i := range n {
			fmt.Fprintf(&file, "{\"k\":\"f%d\"}\n", i)
		}
		file.WriteString(`{"k":"` + last + "\"}\n")
		a := c.send("POST", "/v1/data/collections/films/records/import?key=k", "application/x-ndjson", strings.NewReader(file.String()))
		var result struct {
			ID                string
			Imported, Updated int
		}
		if err := json.Unmarshal(a.body, &result); err != nil || result.Imported != n || result.Updated != 1 {
			t.Fatalf("got %s %v", a.body, err)
		}
		var page inboxPage
		eventually(t, "the messages of the rules", func() bool {
			c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=200", nil, &page)
			return page.Unread >= 2
		})
		c.want(http.StatusCreated, "POST", "/v1/data/collections/films/records", map[string]any{"id": "single", "data": map[string]any{}}, nil)
		eventually(t, "the message of a single record", func() bool {
			c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=200", nil, &page)
			return page.Unread >= 3
		})
		var titles []string
		for _, m := range page.Data {
			titles = append(titles, m.Title)
		}
		of := " films/" + last + " by " + result.ID
		if want := "A record was created in films; updated" + of + "; created" + of; strings.Join(titles, "; ") != want {
			t.Errorf("got %s\nwant %s", strings.Join(titles, "; "), want)
		}
	})
}
