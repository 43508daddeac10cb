package rest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// Two readers of one body must not see two requests. encoding/json takes
// "PASSWORD" for "password", and the last of two members of one name; huma
// checks one of them and the service gets the other. So members must have
// their exact names, once each (RFC 7493, section 2.3).

var errNames = errors.New("rest: members of an object must have their exact names, once each")

// unmarshal decodes a body. Into a struct it does so strictly; the any that
// huma checks first is left to that second time.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	t := reflect.TypeOf(v).Elem()
	if t.Kind() == reflect.Interface {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	return checkNames(d, t)
}

// checkNames reads one value of valid JSON that was decoded into a t; nil is a
// type whose members have any names. A type that decodes itself checks itself.
func checkNames(d *json.Decoder, t reflect.Type) error {
	t, itself := plain(t)
	if itself {
		var value json.RawMessage
		return d.Decode(&value)
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		for d.More() {
			if err := checkNames(d, element); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := checkMembers(d, t); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = d.Token() // the end
	return err
}

func checkMembers(d *json.Decoder, t reflect.Type) error {
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the only kind of a name
		if seen[name] {
			return errNames
		}
		seen[name] = true
		var member reflect.Type
		switch {
		case t != nil && t.Kind() == reflect.Struct:
			var ok bool
			if member, ok = fieldType(t, name); !ok {
				return errNames
			}
		case t != nil && t.Kind() == reflect.Map:
			member = t.Elem()
		}
		if err := checkNames(d, member); err != nil {
			return err
		}
	}
	return nil
}

// plain is the type behind pointers, and whether it decodes itself.
func plain(t reflect.Type) (_ reflect.Type, itself bool) {
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
			if e, itself := plain(f.Type); !itself && e.Kind() == reflect.Struct {
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
