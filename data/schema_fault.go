package data

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/acme/platform"
)

// faults lists the leaves of a failed validation, at most [maxFields]. The
// texts are ours: the library's quote the values that were sent.
func faults(e *jsonschema.ValidationError, base string) []platform.Field {
	var fields []platform.Field
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Not: // their branches would be noise
		default:
			if len(e.Causes) > 0 {
				for _, c := range e.Causes {
					walk(c)
				}
				return
			}
		}
		fields = appendFault(fields, e, base)
	}
	walk(e)
	return fields[:min(len(fields), maxFields)]
}

func appendFault(fields []platform.Field, e *jsonschema.ValidationError, base string) []platform.Field {
	at := base
	for _, token := range e.InstanceLocation {
		at += "/" + escapePointer(token)
	}
	if k, ok := e.ErrorKind.(*kind.Required); ok {
		for _, name := range k.Missing {
			fields = append(fields, platform.Field{Path: at + "/" + escapePointer(name), Code: "required", Detail: "is required"})
		}
		return fields
	}
	if k, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		for _, name := range k.Properties {
			fields = append(fields, platform.Field{Path: at + "/" + escapePointer(name), Code: "unknown", Detail: "is not in the schema"})
		}
		return fields
	}
	code, detail := describe(e.ErrorKind)
	return append(fields, platform.Field{Path: orRoot(at), Code: code, Detail: detail})
}

// describe puts a fault in words that hold nothing of the value.
func describe(k jsonschema.ErrorKind) (code, detail string) {
	switch k := k.(type) {
	case *kind.Type:
		return "type", "must be " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "enum", "must be one of the schema's values"
	case *kind.Const:
		return "const", "must be the schema's value"
	case *kind.Format:
		if k.Want == regexFormat {
			return "format", fmt.Sprintf("must be a regular expression in RE2's syntax of at most %d bytes", maxPattern)
		}
		return "format", "must be in the format " + k.Want
	case *kind.Pattern:
		return "pattern", "must match the pattern " + k.Want
	case *kind.MinLength:
		return "min_length", fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return "max_length", fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.Minimum:
		return "minimum", "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "maximum", "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "minimum", "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "maximum", "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "multiple_of", "must be a multiple of " + decimal(k.Want)
	case *kind.MinItems:
		return "min_items", fmt.Sprintf("must have at least %d elements", k.Want)
	case *kind.MaxItems:
		return "max_items", fmt.Sprintf("must have at most %d elements", k.Want)
	case *kind.MinProperties:
		return "min_properties", fmt.Sprintf("must have at least %d members", k.Want)
	case *kind.MaxProperties:
		return "max_properties", fmt.Sprintf("must have at most %d members", k.Want)
	case *kind.UniqueItems:
		return "unique_items", fmt.Sprintf("the elements %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.FalseSchema:
		return "unknown", "is not allowed"
	}
	name := "schema"
	if path := k.KeywordPath(); len(path) > 0 {
		name = path[0]
	}
	return "schema", "does not fulfil the schema's " + strconv.Quote(name)
}

func decimal(r *big.Rat) string {
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// schemaFault says where a schema itself is wrong.
func schemaFault(err error) error {
	var (
		invalid *jsonschema.SchemaValidationError
		failed  *jsonschema.ValidationError
		pattern *jsonschema.InvalidRegexError
	)
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &failed):
		return platform.Invalid(faults(failed, "/schema")...)
	case errors.As(err, &pattern):
		_, at, _ := strings.Cut(pattern.URL, "#")
		return platform.Invalid(platform.Field{
			Path: "/schema" + at, Code: "pattern",
			Detail: fmt.Sprintf("must be a regular expression in RE2's syntax of at most %d characters that does not repeat too much", maxPattern),
		})
	}
	return platform.Invalid(platform.Field{
		Path: "/schema", Code: "schema",
		Detail: "must be a JSON Schema of draft 2020-12 whose references lead to places within it",
	})
}
