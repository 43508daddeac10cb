package platform

import (
	"net/http"
	"strings"
)

// The header fields of a call that may be repeated, after
// draft-ietf-httpapi-idempotency-key-header-07.
const (
	// IdempotencyKeyHeader is the request header that holds the key.
	IdempotencyKeyHeader = "Idempotency-Key"
	// IdempotencyReplayedHeader is "true" on the answer of an earlier call.
	IdempotencyReplayedHeader = "Idempotency-Replayed"
)

// MaxIdempotencyKey is the most characters of an [IdempotencyKey].
const MaxIdempotencyKey = 255

// Retry says what a second call of a POST does, for a caller who missed the
// first answer. The zero value says nothing and is for other methods.
type Retry uint8

const (
	// RetryWithKey is for an operation that changes something: a second call
	// with the same [IdempotencyKey] has no second effect and gets the first
	// answer. A second call without a key is a new call.
	RetryWithKey Retry = iota + 1
	// RetryFreely is for an operation that may be called again as it is: it
	// reads, or what it is given tells a second call from a new one. A key is
	// not needed, and none is kept.
	RetryFreely
)

// String names r as the description of the API does.
func (r Retry) String() string {
	switch r {
	case RetryWithKey:
		return "key"
	case RetryFreely:
		return "free"
	}
	return ""
}

// IdempotencyKey names one call of a method that changes something. The caller
// makes the key, keeps it until there is an answer, and repeats the call with the
// same key and the same input: the effect happens once, and each call gets the
// first answer. A key belongs to the principal and the operation, and is
// forgotten 24 hours after the first call.
//
// A key should be random, such as a UUID: what is stored under a key is sealed
// with the key itself. Nil is no key. A value is for one call at a time.
type IdempotencyKey struct {
	text     string
	replayed bool
}

// NewIdempotencyKey returns the key of that text: 1 to [MaxIdempotencyKey]
// printable ASCII characters. The error is of [KindMalformed].
func NewIdempotencyKey(text string) (*IdempotencyKey, error) {
	if text == "" || len(text) > MaxIdempotencyKey {
		return nil, malformedKey()
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return nil, malformedKey()
		}
	}
	return &IdempotencyKey{text: text}, nil
}

// ParseIdempotencyKey returns the key of a request, and nil where its header
// has none. It takes a string of RFC 9651, as the draft demands ("a b"), and the
// bare text that most clients send, in which spaces, commas and quotes do not
// occur. The error is of [KindMalformed].
func ParseIdempotencyKey(h http.Header) (*IdempotencyKey, error) {
	values := h[IdempotencyKeyHeader]
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // nil is no key
	}
	if len(values) > 1 {
		return nil, malformedKey()
	}
	text := strings.Trim(values[0], " \t")
	if !strings.HasPrefix(text, `"`) {
		if strings.ContainsAny(text, ` ,"`) {
			return nil, malformedKey()
		}
		return NewIdempotencyKey(text)
	}
	text, ok := unquote(text)
	if !ok {
		return nil, malformedKey()
	}
	return NewIdempotencyKey(text)
}

// unquote reads a string of RFC 9651, section 4.2.5, that is the whole of s.
func unquote(s string) (string, bool) {
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return text.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		text.WriteByte(s[i])
	}
	return "", false
}

func malformedKey() *Error {
	e := Errorf(KindMalformed, "idempotency_key_malformed",
		"Idempotency-Key must be given once, with 1 to %d printable ASCII characters; one with spaces, commas or quotes must be quoted", MaxIdempotencyKey)
	e.Fields = []Field{{Path: "header." + IdempotencyKeyHeader, Code: "format", Detail: "a random string such as a UUID"}}
	return e
}

// Text returns the key as the caller made it. It opens the stored answer, so it
// is as secret as that.
func (k *IdempotencyKey) Text() string { return k.text }

// String hides the key.
func (*IdempotencyKey) String() string { return "idempotency key" }

// Replayed reports whether the answer of the call was that of an earlier call.
func (k *IdempotencyKey) Replayed() bool { return k != nil && k.replayed }

// SetReplayed records whether the answer is that of an earlier call. Package
// store/idempotency calls it.
func (k *IdempotencyKey) SetReplayed(replayed bool) { k.replayed = replayed }

// ResponseWriter returns a writer that adds the header Idempotency-Replayed to
// a successful answer that was replayed. Without a key it returns w.
func (k *IdempotencyKey) ResponseWriter(w http.ResponseWriter) http.ResponseWriter {
	if k == nil {
		return w
	}
	return &replayWriter{ResponseWriter: w, key: k}
}

type replayWriter struct {
	http.ResponseWriter
	key     *IdempotencyKey
	started bool
}

func (w *replayWriter) WriteHeader(status int) {
	if !w.started && status >= http.StatusOK {
		w.started = true
		if w.key.replayed && status < http.StatusBadRequest {
			w.Header().Set(IdempotencyReplayedHeader, "true")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *replayWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *replayWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
