package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// maxJSONBody bounds what [DecodeJSON] reads, whatever the route allows. What is
// larger is worth a stream.
const maxJSONBody = 10 << 20

// DecodeJSON reads the body of a request into v, as strictly as the routes of the
// platform do: the Content-Type is application/json or ends in "+json", the body
// is one JSON value of at most 10 MiB with nothing after it, and it passes
// [UnmarshalJSON]. Smaller limits are the gateway's ([Route].MaxBody) or those of
// [http.MaxBytesReader].
//
// The error is for [WriteProblem]: 400, 408, 413, 415 or 422.
func DecodeJSON(r *http.Request, v any) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return Errorf(KindUnsupported, "", "the body needs the header Content-Type: application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxJSONBody))
	if err != nil {
		return BodyProblem(r.Context(), err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return Errorf(KindMalformed, "body_required", "a JSON body is needed")
	}
	return UnmarshalJSON(body, v)
}

// BodyProblem makes the problem of a request body that could not be read to its
// end: 408 where it came too late, 413 where it was too large, and else 400, since
// it broke off or its framing is wrong. An [*Error], such as one about the coding
// of the body, stays what it is.
func BodyProblem(ctx context.Context, err error) *Problem {
	var p *Problem
	var ours *Error
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge), errors.As(err, &ours):
		return ProblemFrom(ctx, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return NewProblem(ctx, http.StatusRequestTimeout, "body_timeout", "the body took too long to arrive")
	}
	return NewProblem(ctx, http.StatusBadRequest, "malformed_body", "the body broke off, or its framing is wrong")
}

// UnmarshalJSON is [json.Unmarshal] for input from outside: the members of each
// object have the exact names of v's fields, once each (RFC 7493, section 2.3),
// where encoding/json takes "PASSWORD" for "password", the last of two, and
// anything for a name that it does not know. A map takes any names, and a type
// that unmarshals itself checks itself. Null is refused for a field that cannot
// tell it from absence: a caller who means to clear something would be told that
// all is well. It is taken for a pointer without omitempty, an interface, a
// [json.RawMessage], and a field with the tag nullable:"true".
//
// The error is an [*Error]: [KindMalformed] where data is not JSON in UTF-8,
// [KindInvalid] with the fields that are unknown, null or of another type, and one
// of a type that unmarshals itself as that returned it.
func UnmarshalJSON(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		var own *Error
		if errors.As(err, &own) {
			return own
		}
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			path := "/" + strings.ReplaceAll(mismatch.Field, ".", "/")
			return Invalid(Field{Path: path, Code: "invalid", Detail: "must be " + jsonTypeOf(mismatch.Type)}).Because(err)
		}
		return Errorf(KindMalformed, "malformed", "the body is not valid JSON").Because(err)
	}
	return checkNames(data, v)
}

// memberFault is a member of an object that has the wrong name.
type memberFault struct {
	path string // a JSON pointer
	code string
}

// in returns the fault as seen from the value around it.
func (f *memberFault) in(element string) *memberFault {
	f.path = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(element) + f.path
	return f
}

func (f *memberFault) inIndex(i int) *memberFault { return f.in(strconv.Itoa(i)) }
