package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform"
)

// listed joins what f makes with commas.
func listed(n int, f func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(i)
	}
	return strings.Join(parts, ",")
}

func repeated(n int, s string) string { return listed(n, func(int) string { return s }) }

// eachIn is a schema for a record whose list l, or text s, meets another one.
func eachIn(schema string) string { return `{"properties":{"l":{"items":` + schema + `}}}` }
func textIn(schema string) string { return `{"properties":{"s":` + schema + `}}` }

// TestCostlySchemas hands in schemas and records whose checking would take
// seconds to more than the universe has, or panic.
func TestCostlySchemas(t *testing.T) {
	ones := `{"l":[` + repeated(60_000, "1") + `]}`
	long := `{"s":"` + strings.Repeat("x", 1<<20) + `"}`
	names := "{" + listed(60_000, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) }) + "}"
	twice := `{"$ref":"#/$defs/a0","$defs":{` + listed(60, func(i int) string {
		return fmt.Sprintf(`"a%d":{"allOf":[{"$ref":"#/$defs/a%[2]d"},{"$ref":"#/$defs/a%[2]d"}]}`, i, i+1)
	}) + `,"a60":{"type":"object"}}}`
	chain := `{"properties":{"l":{"items":{"$ref":"#/$defs/a0"}}},"$defs":{` + listed(1500, func(i int) string {
		return fmt.Sprintf(`"a%d":{"$ref":"#/$defs/a%d"}`, i, i+1)
	}) + `,"a1500":{}}}`
	equal := func(n int) string {
		return `{"l":[` + listed(n, func(i int) string { return "[" + repeated(20_000, "1") + "," + fmt.Sprint(i) + "]" }) + `]}`
	}
	for name, c := range map[string]struct{ schema, data string }{
		"doubling": {twice, `{}`},
		"branching": {
			`{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["x"]},{"properties":{"a":{"$ref":"#"}},"required":["y"]}]}`,
			strings.Repeat(`{"a":`, 60) + `{}` + strings.Repeat(`}`, 60),
		},
		"chain":             {chain, ones},
		"texts":             {eachIn(`{"enum":[` + repeated(4000, `"x"`) + `]}`), `{"l":[` + repeated(200_000, `"y"`) + `]}`},
		"numbers":           {eachIn(`{"enum":[` + listed(8000, func(i int) string { return fmt.Sprint(i) }) + `]}`), ones},
		"constants":         {`{"properties":{"l":{"items":{"const":[` + repeated(20_000, "1") + `,"x"]}}}}`, equal(24)},
		"wrong types":       {eachIn(`{"anyOf":[` + repeated(1500, `{"type":"object"}`) + `]}`), ones},
		"a wrong negation":  {eachIn(`{"not":{"anyOf":[` + repeated(1500, `{"minimum":5}`) + `]}}`), ones},
		"long numbers":      {eachIn(`{"anyOf":[` + repeated(1500, `{"multipleOf":7e-399}`) + `]}`), `{"l":[` + repeated(1500, strings.Repeat("9", 500)+"e-400") + `]}`},
		"patterns":          {textIn(`{"pattern":"(x+x+){1,60}y"}`), long},
		"names by patterns": {`{"patternProperties":{` + listed(1000, func(i int) string { return fmt.Sprintf(`"k.*%d":{"type":"string"}`, i) }) + `}}`, names},
		"names that match":  {`{"patternProperties":{` + listed(1000, func(i int) string { return fmt.Sprintf(`"k|%d":{"type":"string"}`, i) }) + `}}`, names},
		"names":             {`{"propertyNames":{"anyOf":[` + repeated(2000, `{"const":1}`) + `]}}`, names},
		"other names":       {`{"allOf":[` + repeated(2000, `{"additionalProperties":false}`) + `]}`, names},
		"names not seen":    {`{"unevaluatedProperties":true,"allOf":[` + repeated(2000, `{"properties":{"a":true}}`) + `]}`, names},
		"lengths":           {textIn(`{"allOf":[` + repeated(3000, `{"minLength":1}`) + `]}`), long},
		"few that differ":   {`{"properties":{"l":{"anyOf":[` + repeated(100, `{"uniqueItems":true,"minItems":99}`) + `]}}}`, equal(20)},
		"many that differ":  {`{"properties":{"l":{"anyOf":[` + repeated(100, `{"uniqueItems":true,"minItems":9999999}`) + `]}}}`, ones},
		"contained":         {`{"properties":{"l":{"allOf":[` + repeated(2000, `{"contains":{"const":2}}`) + `]}}}`, ones},
		"required":          {eachIn(`{"required":[` + listed(6000, func(i int) string { return fmt.Sprintf(`"%d"`, i) }) + `]}`), `{"l":[` + repeated(60_000, "{}") + `]}`},
		"expressions":       {eachIn(`{"format":"regex"}`), `{"l":[` + listed(60_000, func(i int) string { return fmt.Sprintf(`"(a|b)%d{9}"`, i) }) + `]}`},
		"classes":           {eachIn(`{"format":"regex"}`), `{"l":[` + repeated(1500, `"(?i)`+strings.Repeat(`\\pL`, 160)+`"`) + `]}`},
	} {
		t.Run(name, func(t *testing.T) { refusedAsCostly(t, c.schema, c.data) })
	}
}

func refusedAsCostly(t *testing.T, schema, data string) {
	t.Helper()
	s, err := compileText(t, schema)
	if err != nil {
		t.Fatal(err)
	}
	err = s.validate(json.RawMessage(data), "/data")
	var e *platform.Error
	if !errors.As(err, &e) || e.Fields[0].Code != "too_costly" {
		t.Errorf("got %v", err)
	}
}

// formatNames are all formats that the library of schemas has.
var formatNames = []string{
	"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "iri", "iri-reference", "json-pointer", "period",
	"regex", "relative-json-pointer", "semver", "time", "uri", "uri-reference", "uri-template", "uuid",
}

// Each format pays for what it reads before it does.
func TestEveryFormatIsMetered(t *testing.T) {
	long := `{"s":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, name := range formatNames {
		t.Run(name, func(t *testing.T) {
			schema := fmt.Sprintf(`{"format":%q}`, name)
			s, err := compileText(t, textIn(`{"allOf":[`+repeated(20, schema)+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			_ = s.validate(json.RawMessage(`{"s":"x"}`), "")
			little := validationBudget - s.meter.left
			_ = s.validate(json.RawMessage(long), "")
			if much := validationBudget - s.meter.left; much < 20*little && s.meter.left > 0 {
				t.Errorf("a long text cost %d, a short one %d", much, little)
			}
			if name != "regex" { // of which a long one is refused unread
				refusedAsCostly(t, textIn(`{"allOf":[`+repeated(1500, schema)+`]}`), long)
			}
		})
	}
}

// A schema has a budget for its own patterns too.
func TestCostlyPatternsOfASchema(t *testing.T) {
	_, err := compileText(t, `{"allOf":[`+repeated(2000, `{"pattern":"(a{9}){50}"}`)+`]}`)
	var e *platform.Error
	if !errors.As(err, &e) || e.Fields[0].Code != "too_costly" || e.Fields[0].Path != "/schema" {
		t.Errorf("got %v", err)
	}
}

// What is usual has room: long lists of words of a set, expressions, references.
func TestUsualSchemasAreNotCostly(t *testing.T) {
	for name, c := range map[string]struct{ schema, data string }{
		"words":       {eachIn(`{"enum":[` + listed(200, func(i int) string { return fmt.Sprintf(`"word%d"`, i) }) + `]}`), `{"l":[` + repeated(5000, `"word199"`) + `]}`},
		"expressions": {eachIn(`{"type":"string","format":"regex"}`), `{"l":[` + repeated(200, `"^[a-z]+(-[a-z0-9]+)*$"`) + `]}`},
		"classes":     {textIn(`{"pattern":"^[\\pL\\pN]+(\\p{Lu}|\\p{Ll})*[\\pL ]{2,40}$"}`), `{"s":"Ärger mit Umlauten"}`},
		"addresses":   {eachIn(`{"type":"string","format":"email"}`), `{"l":[` + repeated(5000, `"somebody@example.com"`) + `]}`},
		"objects":     {eachIn(`{"type":"object","required":["a","b"],"properties":{"a":{"type":"number","minimum":0},"b":{"type":"string","maxLength":50}},"additionalProperties":false}`), `{"l":[` + repeated(5000, `{"a":1.5,"b":"text"}`) + `]}`},
		"a long text": {textIn(`{"type":"string","minLength":1,"maxLength":1000000}`), `{"s":"` + strings.Repeat("x", 900_000) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := compileText(t, c.schema)
			if err == nil {
				err = s.validate(json.RawMessage(c.data), "/data")
			}
			if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// A text of the format "regex" is one that the engine takes.
func TestFormatRegex(t *testing.T) {
	s, err := compileText(t, textIn(`{"format":"regex"}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{"^a+$": true, "(": false, "(?=x)": false, strings.Repeat("x", maxPattern+1): false} {
		err := s.validate(json.RawMessage(`{"s":"`+text+`"}`), "/data")
		var e *platform.Error
		if ok != (err == nil) || !ok && (!errors.As(err, &e) || e.Fields[0].Code != "format") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}
