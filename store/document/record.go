package document

import (
	"encoding/json"
	"strconv"
	"time"
)

// Record is what filters, orders and indexes see of a stored document.
type Record struct {
	ID                   string
	Version              int64
	CreatedAt, UpdatedAt time.Time
	Data                 json.RawMessage // a JSON object
}

// timeFormat has a fixed width, so that the order of the strings is that of
// the times.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// system returns a field of the store as a JSON value; missing where the
// record does not have it.
func (r *Record) system(field string) []byte {
	switch field {
	case FieldID:
		quoted, err := json.Marshal(r.ID)
		if err != nil { // a string always marshals
			return nil
		}
		return quoted
	case FieldVersion:
		if r.Version != 0 {
			return strconv.AppendInt(nil, r.Version, 10)
		}
	case FieldCreatedAt:
		return timeValue(r.CreatedAt)
	case FieldUpdatedAt:
		return timeValue(r.UpdatedAt)
	}
	return nil
}

func timeValue(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return t.UTC().AppendFormat(make([]byte, 0, len(timeFormat)+2), `"`+timeFormat+`"`)
}
