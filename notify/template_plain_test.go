package notify

import (
	"math"
	"strings"
	"testing"
)

// The short way and the interpreter write the same, at the same cost, and fail
// with the same error.
func TestPlainTextIsTheInterpreters(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	data := func() map[string]any {
		return map[string]any{"data": map[string]any{
			"id": "rec_1", "n": int64(math.MinInt64), "f": 1e21, "yes": true, "none": nil, "long": long,
			"list": []any{"a", int64(1)}, "inner": map[string]any{"deep": map[string]any{"x": "y\x00z"}},
		}, "top": "t"}
	}
	plain := 0
	for _, source := range []string{
		"words", "{{.top}}", "a {{.data.id}} b {{ .data.n }}{{- .data.yes }}", "{{.data.inner.deep.x}}", "é{{.data.f}}",
		"{{.data.none}}", "{{.data.missing}}", "{{.data.id.more}}", "x\n{{.missing.more}}", "{{.data.list}}", "{{.data.inner}}",
		"{{.data.long}}", "{{.data.long}}{{.data.long}}{{.data.long}}", strings.Repeat("{{.data.long}}", 2000),
		"{{/* comment */}}x", "{{if .top}}y{{end}}", "{{upper .top}}", "{{$x := .top}}{{$x}}", "{{.}}", `{{"s"}}`, "",
	} {
		c, err := compile("t", source, "")
		if err != nil {
			t.Fatal(source, err)
		}
		if c.body.plain != nil {
			plain++
		}
		fast, cost, err := c.render(t.Context(), data(), "/x")
		c.title.plain, c.body.plain = nil, nil
		slow, slowCost, slowErr := c.render(t.Context(), data(), "/x")
		if fast != slow || cost != slowCost || (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
			t.Errorf("%.60q: %.60q %d %v; the interpreter %.60q %d %v", source, fast.body, cost, err, slow.body, slowCost, slowErr)
		}
	}
	if plain != 16 {
		t.Errorf("%d of the sources are plain", plain)
	}
}
