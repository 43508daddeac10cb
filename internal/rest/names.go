package rest

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/acme/platform"
)

// unmarshal decodes a body. Into a struct it does so strictly; the any that
// huma checks first is left to that second time: two readers of one body must not
// see two requests.
func unmarshal(data []byte, v any) error {
	if reflect.TypeOf(v).Elem().Kind() == reflect.Interface {
		return json.Unmarshal(data, v)
	}
	err := platform.UnmarshalJSON(data, v)
	var e *platform.Error
	if errors.As(err, &e) && len(e.Fields) == 1 {
		return fieldError(e.Fields[0])
	}
	return err
}

// fieldError carries a field through huma, which keeps the text of an error only.
type fieldError platform.Field

const (
	fieldMark = "rest: field\x00"
	fieldGap  = "\x00"
)

func (e fieldError) Error() string {
	return fieldMark + e.Path + fieldGap + e.Code + fieldGap + e.Detail
}

// fieldOf reads back what a fieldError says.
func fieldOf(text string) (platform.ProblemField, bool) {
	rest, ok := strings.CutPrefix(text, fieldMark)
	parts := strings.Split(rest, fieldGap)
	if !ok || len(parts) != 3 {
		return platform.ProblemField{}, false
	}
	return platform.ProblemField{Path: parts[0], Code: parts[1], Detail: parts[2]}, true
}
