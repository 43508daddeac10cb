package standard_test

import (
	"testing"

	"github.com/acme/platform/standard"
	"github.com/acme/platform/store/document"
)

// A file of a hundred thousand records makes no hundred thousand messages that
// nobody asked for.
func TestTheRuleOfNewRecordsLeavesImportsOut(t *testing.T) {
	for _, r := range standard.Rules() {
		if r.ID != "record-created" {
			continue
		}
		filter, err := document.ParseFilter(r.Filter)
		if err != nil {
			t.Fatal(err)
		}
		for event, want := range map[string]bool{
			`{"collection":"films","id":"rec_1","version":1}`:                  true,
			`{"collection":"films","id":"rec_1","version":1,"import":"imp_1"}`: false,
		} {
			if filter.Match([]byte(event), "films/rec_1") != want {
				t.Errorf("%s: got %v", event, !want)
			}
		}
		return
	}
	t.Error("there is no such rule")
}
