package platform

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"
)

// checkNames refuses data, which was decoded into v, where a member of an object
// has a name that is not exactly that of a field, or one that was there before. Two
// readers of one body must not see two requests.
func checkNames(data []byte, v any) error {
	if !utf8.Valid(data) {
		return Errorf(KindMalformed, "malformed", "the body is not JSON in UTF-8")
	}
	fault, err := valueNames(json.NewDecoder(bytes.NewReader(data)), reflect.TypeOf(v))
	switch {
	case err != nil: // it was decoded before
		return Errorf(KindMalformed, "malformed", "the body is not valid JSON").Because(err)
	case fault == nil:
		return nil
	case fault.code == "unknown":
		return Invalid(Field{Path: fault.path, Code: fault.code, Detail: "there is no such member; names are exact"})
	}
	return Invalid(Field{Path: fault.path, Code: fault.code, Detail: "must be there once"})
}

// valueNames reads one value of valid JSON that was decoded into a t; nil is a
// type whose members have any names. A type that decodes itself checks itself.
func valueNames(d *json.Decoder, t reflect.Type) (*memberFault, error) {
	t, itself := behindPointers(t)
	if itself {
		var value json.RawMessage
		return nil, d.Decode(&value)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		for i := 0; d.More(); i++ {
			if fault, err := valueNames(d, element); err != nil {
				return nil, err
			} else if fault != nil {
				return fault.inIndex(i), nil
			}
		}
	case json.Delim('{'):
		if fault, err := memberNames(d, t); err != nil || fault != nil {
			return fault, err
		}
	default:
		return nil, nil
	}
	_, err = d.Token() // the end
	return nil, err
}

func memberNames(d *json.Decoder, t reflect.Type) (*memberFault, error) {
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the only kind of a name
		if seen[name] {
			return (&memberFault{code: "repeated"}).in(name), nil
		}
		seen[name] = true
		var member reflect.Type
		switch {
		case t != nil && t.Kind() == reflect.Struct:
			var ok bool
			if member, ok = fieldType(t, name); !ok {
				return (&memberFault{code: "unknown"}).in(name), nil
			}
		case t != nil && t.Kind() == reflect.Map:
			member = t.Elem()
		}
		if fault, err := valueNames(d, member); err != nil {
			return nil, err
		} else if fault != nil {
			return fault.in(name), nil
		}
	}
	return nil, nil
}

// behindPointers is the type behind pointers, and whether it decodes itself.
func behindPointers(t reflect.Type) (_ reflect.Type, itself bool) {
	for t != nil {
		if p := reflect.PointerTo(t); p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
			return t, true
		}
		if t.Kind() != reflect.Pointer {
			return t, false
		}
		t = t.Elem()
	}
	return nil, false
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fieldType returns the type of the field that a member of that name is for.
func fieldType(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "" && f.Anonymous:
			if e, itself := behindPointers(f.Type); !itself && e.Kind() == reflect.Struct {
				if found, ok := fieldType(e, name); ok {
					return found, true
				}
			}
		case tag == name, tag == "" && f.Name == name:
			return f.Type, f.IsExported()
		}
	}
	return nil, false
}

// jsonTypeOf names the JSON type that a Go type is written as.
func jsonTypeOf(t reflect.Type) string {
	t, itself := behindPointers(t)
	switch {
	case t == nil || itself:
		return "of the documented form"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "an object"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "a string in base64"
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		return "an array"
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr:
		return "a whole number within its range"
	}
	return "of the documented form"
}
