package notify

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// maxValue is the most bytes of one value that print or join builds.
const maxValue = 64 << 10

// allowed are the functions a template may call. Those of text/template that
// are missing here can build values without a bound (printf, js) or call what
// they find (call). True are those of functions, which get the meter as their
// first argument.
var allowed = map[string]bool{
	"and": false, "or": false, "not": false, "eq": false, "ne": false, "lt": false, "le": false, "gt": false, "ge": false,
	"len": false, "index": false, "slice": false, "default": false,
	"print": true, "join": true, "upper": true, "lower": true, "trim": true,
}

// comparing are the functions of text/template that look at every byte of a
// text, so that their arguments are metered.
var comparing = map[string]bool{
	"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true, "index": true,
}

// The functions that the rewriting of a tree puts in; no source can name them.
const (
	stepFunction  = "_step"
	valueFunction = "_value"
	textFunction  = "_text"
	rangeFunction = "_range"
	stopFunction  = "_stop"
)

// sortSteps is what sorting takes for each key.
const sortSteps = 4

var errStop = errors.New("stopped")

var functions = map[string]any{
	"print": func(m *meter, values ...any) (string, error) { return concat(m, "", values) },
	"join": func(m *meter, separator string, list any) (string, error) {
		values, ok := list.([]any)
		if !ok {
			return "", errors.New("join needs a list")
		}
		return concat(m, separator, values)
	},
	"upper": mapped(strings.ToUpper),
	"lower": mapped(strings.ToLower),
	"trim":  mapped(strings.TrimSpace),
	"default": func(fallback, value any) any {
		if value == nil || value == "" {
			return fallback
		}
		return value
	},

	// Writes nothing.
	stepFunction: func(m *meter, n int) (string, error) { return "", m.step(n) },
	// Stands where a value is about to be printed or escaped.
	valueFunction: func(m *meter, v reflect.Value) (reflect.Value, error) { return v, m.value(inside(v)) },
	// Stands where a text is about to be compared.
	textFunction: func(m *meter, v reflect.Value) (reflect.Value, error) {
		text, _ := inside(v).(string)
		return v, m.made(len(text))
	},
	// Stands where a loop begins: text/template sorts the keys of an object.
	rangeFunction: func(m *meter, v reflect.Value) (reflect.Value, error) {
		object, _ := inside(v).(map[string]any)
		return v, m.step(sortSteps * len(object))
	},
	// Ends an execution whose only purpose is that html/template escapes.
	stopFunction: func() (string, error) { return "", errStop },
}

func mapped(f func(string) string) func(*meter, string) (string, error) {
	return func(m *meter, s string) (string, error) {
		if err := m.made(len(s)); err != nil {
			return "", err
		}
		out := f(s)
		return out, m.made(len(out))
	}
}

// concat is fmt.Sprint of each value, with a bound before each.
func concat(m *meter, separator string, values []any) (string, error) {
	var b []byte
	for i, v := range values {
		if i > 0 {
			b = append(b, separator...)
		}
		n := size(v, maxValue)
		if err := m.made(len(separator) + n); err != nil {
			return "", err
		}
		if text, ok := v.(string); ok && len(b)+len(text) > maxValue {
			return "", errTooBig
		}
		if b = fmt.Append(b, v); len(b) > maxValue {
			return "", errTooBig
		}
	}
	return string(b), nil
}
