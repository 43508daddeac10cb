// Package page is the one form of lists over HTTP: limit and cursor in, data
// and next_cursor out.
package page

import (
	"encoding/base64"
	"encoding/json"

	"github.com/acme/platform"
)

// Input is embedded in the input of a list operation.
type Input struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to return at most"`
	Cursor string `query:"cursor" doc:"The next_cursor of the page before"`
}

// Output is the body of a list operation.
type Output[T any] struct {
	Data       []T    `json:"data" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

// Cursor makes an opaque cursor of the key of a list's last row. The list is
// the operation's name, and whatever else must not change between two pages.
func Cursor(list string, key ...string) string {
	raw, err := json.Marshal(append([]string{list}, key...))
	if err != nil { // strings always marshal
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Key takes the key of n parts out of a cursor of the same list; an empty
// cursor gives nil. The error is KindMalformed.
func Key(list string, n int, cursor string) ([]string, error) {
	if cursor == "" {
		return nil, nil
	}
	var parts []string
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err != nil || len(parts) != n+1 || parts[0] != list {
		return nil, BadCursor()
	}
	return parts[1:], nil
}

// BadCursor is the error for a cursor that was not made for this list.
func BadCursor() *platform.Error {
	return &platform.Error{
		Kind: platform.KindMalformed, Code: "bad_cursor", Message: "the cursor does not belong to this list",
		Fields: []platform.Field{{
			Path: "query.cursor", Code: "format",
			Detail: "send the next_cursor of the page before, with the same filter and order, or none",
		}},
	}
}

// Cut returns the first limit rows of up to limit+1, and the cursor for what
// follows; key gives the key of a row.
func Cut[T any](list string, rows []T, limit int, key func(T) []string) ([]T, string) {
	if len(rows) <= limit {
		if rows == nil {
			rows = []T{}
		}
		return rows, ""
	}
	rows = rows[:limit]
	return rows, Cursor(list, key(rows[limit-1])...)
}
