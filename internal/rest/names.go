package rest

import (
	"encoding/json"
	"reflect"

	"github.com/acme/platform"
)

// unmarshal decodes a body. Into a struct it does so strictly; the any that
// huma checks first is left to that second time: two readers of one body must not
// see two requests.
func unmarshal(data []byte, v any) error {
	if reflect.TypeOf(v).Elem().Kind() == reflect.Interface {
		return json.Unmarshal(data, v)
	}
	return platform.UnmarshalJSON(data, v)
}
