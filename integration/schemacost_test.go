package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A record that would have a schema compile 60,000 patterns is refused, and costs
// others nothing.
func TestASchemaHasABudgetForItsFormats(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Acme")
		ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{
			"name": "rules", "schema": map[string]any{"properties": map[string]any{
				"list": map[string]any{"items": map[string]string{"type": "string", "format": "regex"}},
			}},
		}, nil)
		patterns := make([]string, 60_000)
		for i := range patterns {
			patterns[i] = fmt.Sprintf("(a|b)%d{9}", i)
		}
		create := func(list []string) answer {
			return ann.do("POST", "/v1/data/collections/rules/records", map[string]any{"data": map[string]any{"list": list}})
		}
		if a := create(patterns); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), `"too_costly"`) {
			t.Errorf("60,000 patterns: %d %.200s", a.status, a.body)
		}
		if a := create(patterns[:20]); a.status != http.StatusCreated {
			t.Errorf("20 patterns: %d %.200s", a.status, a.body)
		}
		if a := create([]string{"("}); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), "regular expression") {
			t.Errorf("what is no pattern: %d %.200s", a.status, a.body)
		}
	})
}
