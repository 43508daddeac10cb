package analytics

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/acme/platform"
)

// FuzzDecode holds the decoder against encoding/json: it takes no body that is
// not JSON, loses no event, and keeps nothing that is beyond the limits.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"id":"e1","name":"n","user":"u","time":"2026-02-28T23:30:00Z","properties":{"a":1}}`,
		`{"events":[{"name":"n"},{"name":1},7,null,[],{"properties":[]}]}`,
		`{"events":{}}`, `{"events":[],"x":1}`, `[]`, `"events"`, `{"name":"\ud800"}`, `{"name":"a\u0000"}`,
		`{"events":[{"name":"n","properties":{"a":{"b":[1,{"c":"}"}]}}}]}`,
		"{\"name\":\"\x01\"}", `{"name":"n","properties":{"a":"\x"}}`, `{"name":"n","properties":{"a":01}}`,
	} {
		f.Add(body)
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s := &Service{newID: platform.NewID}
	f.Fuzz(func(t *testing.T, body string) {
		c, err := s.decode(body, now)
		if err != nil {
			return
		}
		var root map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &root); err != nil {
			t.Fatalf("took what is not JSON: %v", err)
		}
		want := 1
		if list, ok := root["events"]; ok {
			var events []json.RawMessage
			if err := json.Unmarshal(list, &events); err != nil {
				t.Fatal(err)
			}
			want = len(events)
		}
		if got := len(c.rows) + len(c.rejected); got != want {
			t.Errorf("%d events, want %d", got, want)
		}
		for _, r := range c.rows {
			var properties map[string]any
			if err := json.Unmarshal([]byte(r.properties), &properties); err != nil || properties == nil {
				t.Errorf("kept %q: %v", r.properties, err)
			}
			if !validID(r.id) || r.name == "" || len(r.name) > maxName || len(r.user) > maxUser || r.time < minTime {
				t.Errorf("kept %+v", r)
			}
		}
	})
}
