package analytics

import (
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/acme/platform"
)

// maxBodyDepth bounds the nesting of a whole request before a recursive parser
// sees it. What lies between it and the depth an event may have is refused
// event by event.
const maxBodyDepth = 1000

// decode reads the body of the ingest route: one event, or {"events": […]}.
// It fails where the body as a whole cannot be used; a bad event becomes a
// rejection. The rows share the memory of body.
//
// It does not decode into structs because most of an event, its properties, is
// stored as it came.
func (s *Service) decode(body string, now time.Time) (collector, error) {
	var c collector
	if !utf8.ValidString(body) {
		return c, malformed("the body is not UTF-8")
	}
	if depth, _ := shape(body); depth > maxBodyDepth {
		return c, malformed("the body nests too deeply")
	}
	if !gjson.Valid(body) {
		return c, malformed("the body is not JSON")
	}
	root := gjson.Parse(body)
	if !root.IsObject() {
		return c, wrongShape("/", "type", "send one event, or an object with a list of events")
	}
	list, err := envelope(root)
	if err != nil {
		return c, err
	}
	if !list.Exists() {
		r, f := s.decodeEvent(root, now)
		c.add(0, r, f, now)
		return c, nil
	}
	i := 0
	list.ForEach(func(_, event gjson.Result) bool {
		if i == MaxEvents {
			err = tooManyEvents()
			return false
		}
		r, f := s.decodeEvent(event, now)
		c.add(i, r, f, now)
		i++
		return true
	})
	return c, err
}

func malformed(message string) error {
	return platform.Errorf(platform.KindMalformed, "", "%s", message)
}

func wrongShape(path, code, detail string) error {
	return platform.Invalid(platform.Field{Path: path, Code: code, Detail: detail})
}

// envelope returns the list of events where root is an envelope, and nothing
// where it is an event.
func envelope(root gjson.Result) (list gjson.Result, err error) {
	others := false
	root.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str != "events":
			others = true
		case list.Exists():
			err = wrongShape("/events", "repeated", "events may be there once")
		default:
			list = value
		}
		return err == nil
	})
	switch {
	case err != nil || !list.Exists():
	case !list.IsArray():
		err = wrongShape("/events", "type", "events must be a list")
	case others:
		err = wrongShape("/", "unknown", "beside events there may be nothing")
	}
	return list, err
}

// The fields of an event, as bits, to notice one that is repeated.
const (
	fieldID = 1 << iota
	fieldName
	fieldUser
	fieldTime
	fieldProperties
)

// decodeEvent reads one event. A field that is null counts as absent.
func (s *Service) decodeEvent(event gjson.Result, now time.Time) (row, *flaw) {
	r := row{properties: "{}", time: now.UnixMicro()}
	if !event.IsObject() {
		return r, flawf("not_an_object", "an event must be a JSON object")
	}
	var f *flaw
	note := func(flaw *flaw) { // the first is reported, but the id is read in any case
		if f == nil {
			f = flaw
		}
	}
	seen := 0
	event.ForEach(func(key, value gjson.Result) bool {
		field := 0
		switch key.Str {
		case "id":
			field = fieldID
			if isString(value) && value.Str != "" {
				r.id = value.Str
			} else if value.Type != gjson.Null {
				note(flawf("id_invalid", "id must be a string of 1 to %d bytes; leave it out to have one made", maxID))
			}
		case "name":
			field = fieldName
			if r.name = value.Str; !isString(value) && value.Type != gjson.Null {
				note(flawf("name_invalid", "name must be a string"))
			}
		case "user":
			field = fieldUser
			if r.user = value.Str; !isString(value) && value.Type != gjson.Null {
				note(flawf("user_invalid", "user must be a string"))
			}
		case "time":
			field = fieldTime
			if value.Type == gjson.Null {
				break
			}
			t, err := time.Parse(time.RFC3339Nano, value.Str)
			if err != nil || !isString(value) {
				note(flawf("time_invalid", "time must be a string such as 2026-01-31T23:59:59.5Z (RFC 3339)"))
			}
			r.time = t.UnixMicro()
		case "properties":
			field = fieldProperties
			if value.Type != gjson.Null {
				r.properties = value.Raw
			}
		default:
			note(flawf("unknown_field", "an event has the fields id, name, user, time and properties"))
		}
		if seen&field != 0 {
			note(flawf("repeated_field", "a field of an event may be there once"))
		}
		seen |= field
		return true
	})
	if r.id == "" && f == nil {
		r.id = s.newID("evt")
	}
	return r, f
}

func isString(v gjson.Result) bool { return v.Type == gjson.String }
