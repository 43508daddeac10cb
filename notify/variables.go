package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/acme/platform"
)

// eventVariables are what the text of a rule can use.
func eventVariables(e *platform.Event) map[string]any {
	var data any
	if len(e.Data) > 0 {
		d := json.NewDecoder(bytes.NewReader(e.Data))
		d.UseNumber()
		if d.Decode(&data) == nil { // what is not JSON has no fields
			data = numbers(data)
		}
	}
	if data == nil {
		data = map[string]any{} // so that a missing field is named as missing
	}
	return map[string]any{
		"event": map[string]any{
			"id": e.ID, "type": e.Type, "source": e.Source, "subject": e.Subject,
			"time": e.Time.UTC().Format(time.RFC3339), "actor": e.Actor, "on_behalf_of": e.OnBehalfOf,
		},
		"data": data,
	}
}

// variables are a caller's, in the form that templates see.
func variables(v map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, platform.Invalid(platform.Field{Path: "/variables", Code: "format", Detail: "must be JSON values"}).Because(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	out := make(map[string]any)
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("notify: variables: %w", err)
	}
	if out == nil { // null
		out = make(map[string]any)
	}
	numbers(out)
	return out, nil
}

// numbers replaces JSON numbers by int64 where they fit and by float64 else,
// in place: a template then writes 1000000 and not 1e+06, and can compare.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = numbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = numbers(x)
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil { // beyond float64: as it was written
			return string(v)
		}
		return f
	}
	return v
}
