package data

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/acme/platform"
)

const (
	collectionsPath = "/v1/data/collections"
	collectionPath  = collectionsPath + "/{collection}"
	recordsPath     = collectionPath + "/records"
	recordPath      = recordsPath + "/{id}"
)

// etag is the strong validator of a version.
func etag(version int64) string {
	return `"` + strconv.FormatInt(version, 10) + `"`
}

// ifMatch reads the versions of an If-Match header (RFC 9110 section 13.1.1).
// Nil is no condition; "*" is none either, since what these methods change must
// exist anyway. A weak tag never matches, so it adds nothing to the list.
func ifMatch(values []string) []int64 {
	if len(values) == 0 {
		return nil
	}
	versions := []int64{}
	for _, tag := range tags(values) {
		if tag == "*" {
			return nil
		}
		if v, ok := tagVersion(tag); ok {
			versions = append(versions, v)
		}
	}
	return versions
}

// ifNoneMatch reports whether an If-None-Match header (RFC 9110 section 13.1.2)
// names the version; the comparison is the weak one.
func ifNoneMatch(values []string, version int64) bool {
	return slices.ContainsFunc(tags(values), func(tag string) bool {
		v, ok := tagVersion(strings.TrimPrefix(tag, "W/"))
		return tag == "*" || ok && v == version
	})
}

// tags splits header values at commas. A tag of ours holds no comma; one of
// another's falls apart and matches nothing either way.
func tags(values []string) []string {
	var out []string
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(tag))
		}
	}
	return out
}

// tagVersion returns the version that a strong tag of ours names.
func tagVersion(tag string) (int64, bool) {
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0, false
	}
	v, err := strconv.ParseInt(tag[1:len(tag)-1], 10, 64)
	// Only what etag makes: not "+1", not "01".
	return v, err == nil && v > 0 && etag(v) == tag
}

// mediaType returns the type of the body without parameters, in lower case.
func mediaType(r *http.Request) string {
	value := r.Header.Get("Content-Type")
	if value == "" || value == "application/json" {
		return value
	}
	t, _, err := mime.ParseMediaType(value)
	if err != nil {
		return "?"
	}
	return t
}

// wantMedia refuses a body whose type is named and not one of types.
func wantMedia(r *http.Request, types ...string) error {
	if t := mediaType(r); t != "" && !slices.Contains(types, t) {
		return platform.Errorf(platform.KindUnsupported, "", "send %s", strings.Join(types, " or "))
	}
	return nil
}

// body reads a request's body into a buffer of s.buffers; the caller hands it
// to done when nothing refers to it any more.
func (s *Service) body(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, done func(), err error) {
	buf := s.buffer()
	done = func() { s.recycle(buf) }
	b := bytes.NewBuffer((*buf)[:0])
	_, err = b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	*buf = b.Bytes()
	if err != nil {
		done()
		return nil, nil, readFault(err)
	}
	return *buf, done, nil
}

// buffer returns an empty buffer; recycle takes it back.
func (s *Service) buffer() *[]byte {
	if buf, ok := s.buffers.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, 0, 4<<10)
	return &buf
}

// maxRecycled keeps single large bodies from staying in memory.
const maxRecycled = 2 * largeAnswer

func (s *Service) recycle(buf *[]byte) {
	if cap(*buf) > maxRecycled {
		return
	}
	*buf = (*buf)[:0]
	s.buffers.Put(buf)
}

// readFault tells the caller's fault from the connection's.
func readFault(err error) error {
	var tooLarge *http.MaxBytesError
	var ours *platform.Error
	switch {
	case errors.As(err, &tooLarge), isLimit(err):
		return err
	case errors.As(err, &ours): // of the body's coding; it says what is wrong
		return &importLimitError{ours}
	}
	return platform.Errorf(platform.KindMalformed, codeBroken, "the body did not arrive whole").Because(err)
}

// decodeBody decodes a small JSON body strictly; an empty one leaves v alone.
func decodeBody(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return platform.UnmarshalJSON(body, v)
}

// params returns the parameters of the query, each at most once and only those
// that are known: a filter that is misspelt must not select everything.
func params(r *http.Request, known ...string) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, platform.Errorf(platform.KindMalformed, "malformed_query", "the query of the URL cannot be read")
	}
	var fields []platform.Field
	for name, v := range values {
		switch {
		case !slices.Contains(known, name):
			fields = append(fields, platform.Field{
				Path: "query." + name, Code: "unknown", Detail: "the parameters are " + strings.Join(known, ", "),
			})
		case len(v) > 1:
			fields = append(fields, platform.Field{Path: "query." + name, Code: "duplicate", Detail: "may be given once"})
		}
	}
	if fields != nil {
		return nil, platform.Invalid(fields...)
	}
	return values, nil
}

// oneOf returns a parameter that has a fixed set of values, the first of which
// is the default.
func oneOf(values url.Values, name string, allowed ...string) (string, error) {
	v := values.Get(name)
	switch {
	case v == "":
		return allowed[0], nil
	case slices.Contains(allowed, v):
		return v, nil
	}
	return "", platform.Invalid(platform.Field{
		Path: "query." + name, Code: "enum", Detail: "must be one of " + strings.Join(allowed, ", "),
	})
}
