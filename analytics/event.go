package analytics

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/acme/platform/store/document"
)

// Limits of ingest.
const (
	// MaxEvents is how many events one call takes.
	MaxEvents = 2000
	// MaxBody is the largest request of the ingest route, in bytes.
	MaxBody = 10 << 20
	// MaxProperties is the largest properties of one event, in bytes of JSON.
	MaxProperties = 32 << 10

	maxID    = 128 // bytes, as of all lengths here
	maxName  = 128
	maxUser  = 256
	maxKeys  = 256 // of the properties object itself
	maxDepth = 16  // levels of properties, itself the first
	// maxAhead is how far a client's clock may be ahead of ours.
	maxAhead = time.Hour
)

// minTime is the earliest time of an event. Before it lie the zero values of
// clients' clocks (1970) rather than facts.
var minTime = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// Event is something that a tenant's product saw.
type Event struct {
	// ID is unique in the tenant, printable, at most 128 bytes; an event of a
	// known id is a duplicate. Empty has one made, and then a retry counts
	// the event again.
	ID string
	// Name is what happened, printable, 1 to 128 bytes: "order.paid".
	Name string
	// User is whose act it was, in the tenant's own terms, at most 256 bytes
	// without control characters. Events of "" are nobody's: they count as
	// events and not as users.
	User string
	// Time is when it happened, from 1971 to one hour ahead of now, kept to
	// the microsecond. The zero value is now. However late an event arrives,
	// it counts where it belongs.
	Time time.Time
	// Properties is a JSON object or nil: at most 32 KiB, 256 keys and 16
	// levels.
	Properties json.RawMessage
}

// Result is what became of the events of one call.
type Result struct {
	// Accepted is how many were new. They are committed.
	Accepted int
	// Duplicates is how many had an id that was known, from an earlier call
	// or from earlier in this one.
	Duplicates int
	// Rejected are those that are not valid, in order. Sending them again
	// unchanged is of no use.
	Rejected []Rejection
}

// Rejection says why one event was not taken.
type Rejection struct {
	// Index is the event's place in the call, from 0.
	Index int
	// ID is the event's id, and "" where it has none that is valid.
	ID string
	// Code is stable, for programs: id_invalid, name_required, name_invalid,
	// user_invalid, time_invalid, time_out_of_range, properties_invalid,
	// properties_too_large, properties_too_many, properties_too_deep; over
	// HTTP also not_an_object, unknown_field, repeated_field.
	Code string
	// Detail is for people. It does not repeat what was sent.
	Detail string
}

// row is an event on its way into the table. Its strings may be parts of a
// request's body.
type row struct {
	id, name, user string
	time           int64 // unix microseconds
	properties     string
}

// flaw is why a row cannot be taken: the code and detail of a [Rejection].
type flaw struct{ code, detail string }

func flawf(code, format string, args ...any) *flaw {
	return &flaw{code, fmt.Sprintf(format, args...)}
}

// check reports what is wrong with the row and puts its properties in the form
// in which they are kept.
func (r *row) check(now time.Time) *flaw {
	switch {
	case !validID(r.id):
		return flawf("id_invalid", "id must be 1 to %d bytes of printable characters; leave it out to have one made", maxID)
	case r.name == "":
		return flawf("name_required", "name must be there and not empty")
	case len(r.name) > maxName || !printable(r.name):
		return flawf("name_invalid", "name must be at most %d bytes of printable characters", maxName)
	case len(r.user) > maxUser || !utf8.ValidString(r.user) || hasControl(r.user):
		return flawf("user_invalid", "user must be at most %d bytes without control characters", maxUser)
	case r.time < minTime || r.time > now.Add(maxAhead).UnixMicro():
		return flawf("time_out_of_range", "time must not be before 1971 nor more than an hour from now")
	case len(r.properties) > MaxProperties:
		return flawf("properties_too_large", "properties must be at most %d bytes of JSON", MaxProperties)
	}
	depth, keys := shape(r.properties)
	switch {
	case depth > maxDepth:
		return flawf("properties_too_deep", "properties must be at most %d levels deep", maxDepth)
	case keys > maxKeys:
		return flawf("properties_too_many", "properties must have at most %d keys", maxKeys)
	case keys == 0 && r.properties == "{}":
		return nil
	}
	// What filters and breakdowns ask about must mean one thing: no key twice.
	normal, err := document.Normalize("/properties", json.RawMessage(r.properties))
	if err != nil {
		return flawf("properties_invalid", "properties must be a JSON object in UTF-8 with no key twice and numbers within 1e±6144")
	}
	r.properties = string(normal)
	return nil
}

func validID(id string) bool { return id != "" && len(id) <= maxID && printable(id) }

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// shape returns how deep a JSON text nests and how many keys its outermost
// object has. It does not recurse, so it may be asked before a parser that does
// is let loose on what a caller sent; on text that is not JSON it returns
// something.
func shape(text string) (depth, keys int) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			level++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		case c == ':' && level == 1:
			keys++
		}
	}
	return depth, keys
}
