package platform

import (
	"bytes"
	"cmp"
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
	t := reflect.TypeOf(v)
	nullable := t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct // a struct that is null is none
	fault, err := valueNames(json.NewDecoder(bytes.NewReader(data)), t, nullable)
	switch {
	case err != nil: // it was decoded before
		return Errorf(KindMalformed, "malformed", "the body is not valid JSON").Because(err)
	case fault == nil:
		return nil
	case fault.code == "unknown":
		return Invalid(Field{Path: fault.path, Code: fault.code, Detail: "there is no such member; names are exact"})
	case fault.code == "null":
		fault.path = cmp.Or(fault.path, "/")
		return Invalid(Field{Path: fault.path, Code: fault.code, Detail: "must not be null; leave the member out"})
	}
	return Invalid(Field{Path: fault.path, Code: fault.code, Detail: "must be there once"})
}

// valueNames reads one value of valid JSON that was decoded into a t; nil is a
// type whose members have any names. A type that decodes itself checks itself.
func valueNames(d *json.Decoder, t reflect.Type, nullable bool) (*memberFault, error) {
	t, itself := behindPointers(t)
	if itself {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || nullable || string(value) != "null" {
			return nil, err
		}
		return &memberFault{code: "null"}, nil
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case nil:
		if !nullable {
			return &memberFault{code: "null"}, nil
		}
	case json.Delim('['):
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		for i := 0; d.More(); i++ {
			if fault, err := valueNames(d, element, elementNullable(element)); err != nil {
				return nil, err
			} else if fault != nil {
				return fault.inIndex(i), nil
			}
		}
	case json.Delim('{'):
		if fault, err := memberNames(d, t); err != nil || fault != nil {
			return fault, err
		}
	}
	if _, ok := token.(json.Delim); ok {
		_, err = d.Token() // the end
	}
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
		nullable := true
		switch {
		case t != nil && t.Kind() == reflect.Struct:
			f, ok := fieldOf(t, name)
			if !ok {
				return (&memberFault{code: "unknown"}).in(name), nil
			}
			member, nullable = f.Type, isNullable(f)
		case t != nil && t.Kind() == reflect.Map:
			member = t.Elem()
			nullable = elementNullable(member)
		}
		if fault, err := valueNames(d, member, nullable); err != nil {
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

// elementNullable reports whether null means something for an element of a list or
// a map; nil is an element of anything.
func elementNullable(t reflect.Type) bool {
	return t == nil || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]()
}

// isNullable reports whether null means something for a field, as its schema says
// in the description of an operation.
func isNullable(f reflect.StructField) bool {
	if tag, ok := f.Tag.Lookup("nullable"); ok {
		return tag == "true"
	}
	t := f.Type
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if t.Kind() == reflect.Pointer && !strings.Contains(options, "omitempty") {
		return true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface
}

// fieldOf returns the field that a member of that name is for.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "" && f.Anonymous:
			if e, itself := behindPointers(f.Type); !itself && e.Kind() == reflect.Struct {
				if found, ok := fieldOf(e, name); ok {
					return found, true
				}
			}
		case tag == name, tag == "" && f.Name == name:
			return f, f.IsExported()
		}
	}
	return reflect.StructField{}, false
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
