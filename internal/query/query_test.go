package query_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/query"
)

func TestCheck(t *testing.T) {
	declared := []query.Param{{Name: "limit", Filled: true}, {Name: "page_size"}, {Name: "tag", Repeats: true}}
	for raw, want := range map[string]string{
		"":                         "",
		"limit=1&page_size=2":      "",
		"page_size":                "",
		"limit":                    "query.limit empty",
		"limit=":                   "query.limit empty",
		"&limit=1&":                "",
		"l%69mit=1":                "",
		"tag=a&tag=b":              "",
		"limit=%41+b":              "",
		"Limit=1":                  "query.Limit unknown",
		"role=owner":               "query.role unknown",
		"limit=1&role=owner":       "query.role unknown",
		"limit=1&limit=2":          "query.limit duplicate",
		"limit=1&lim%69t=2":        "query.limit duplicate",
		"=1":                       "query. unknown",
		"a%0Ab=1":                  "query unknown",
		strings.Repeat("x", 65):    "query unknown",
		"limit=%zz":                "malformed_query",
		"limit=%4":                 "malformed_query",
		"limit%=4":                 "malformed_query",
		"limit=1;page_size=2":      "malformed_query",
		"limit=1&;role=owner":      "malformed_query",
		"access_token=secret-text": "query.access_token unknown",
	} {
		err := query.Check(raw, declared)
		got := ""
		var e *platform.Error
		if errors.As(err, &e) {
			if got = e.CodeOrKind(); len(e.Fields) == 1 {
				got = e.Fields[0].Path + " " + e.Fields[0].Code
			}
		}
		if got != want {
			t.Errorf("%q: %v, %q instead of %q", raw, err, got, want)
		}
		if err != nil && strings.Contains(err.Error()+e.Message, "secret-text") {
			t.Errorf("the value is sent back: %v", err)
		}
	}
	if err := query.Check("limit=1", nil); err == nil {
		t.Error("an operation without parameters takes one")
	}
}

func TestCheckCostsNoAllocation(t *testing.T) {
	declared := []query.Param{{Name: "filter"}, {Name: "limit"}}
	if n := testing.AllocsPerRun(100, func() {
		if query.Check("limit=10&filter=%7B%7D", declared) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
