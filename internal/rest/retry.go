package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
)

type keyKey struct{}

// IdempotencyKey returns the key of the request that ctx serves, nil without
// one. A handler reads it once and hands it to the service's method.
func IdempotencyKey(ctx context.Context) *platform.IdempotencyKey {
	k, _ := ctx.Value(keyKey{}).(*platform.IdempotencyKey)
	return k
}

// withKey reads the header Idempotency-Key for h. An operation that honours keys
// finds the key with [IdempotencyKey]. One that may be repeated freely takes the
// header and needs no key, so that a client may send one with every POST.
// Another method refuses the header, which would promise what is not kept.
func withKey(log *slog.Logger, op Operation, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header[platform.IdempotencyKeyHeader] == nil {
			h.ServeHTTP(w, r)
			return
		}
		key, err := platform.ParseIdempotencyKey(r.Header)
		if err == nil && op.Retry == 0 {
			err = platform.Errorf(platform.KindMalformed, "idempotency_key_not_taken",
				"%s takes no Idempotency-Key: it can be repeated as it is, or with If-Match", op.Method)
		}
		if err != nil {
			platform.WriteProblem(w, r, log, err)
			return
		}
		if op.Retry != platform.RetryWithKey {
			h.ServeHTTP(w, r)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), keyKey{}, key))
		h.ServeHTTP(key.ResponseWriter(w), r)
	})
}

// describeRetry tells OpenAPI how an operation is repeated.
func describeRetry(hop *huma.Operation, op Operation) {
	if op.Retry == 0 {
		return
	}
	hop.Extensions["x-retry"] = op.Retry.String()
	p := &huma.Param{Name: platform.IdempotencyKeyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString}}
	one, most := 1, platform.MaxIdempotencyKey
	p.Schema.MinLength = &one
	p.Schema.Pattern = fmt.Sprintf(`^(?:[!#-+\-.-~]{1,%d}|"(?:[ !#-\[\]-~]|\\["\\]){1,%d}")$`, most, most)
	switch op.Retry {
	case platform.RetryWithKey:
		p.Description = fmt.Sprintf("A random text of up to %d printable ASCII characters, such as a UUID, quoted or bare. A second call with it and the same body within 24 hours has no second effect and gets the first answer; 422 with another body, 409 while the first call runs", most)
	case platform.RetryFreely:
		p.Description = "Not needed: the operation may be repeated as it is. It is taken so that a client may send one with every POST, and nothing is kept"
	}
	hop.Parameters = append(hop.Parameters, p)
}

// describeReplay tells OpenAPI of the header of a replayed answer. Responses are
// complete by then.
func describeReplay(hop huma.Operation, op Operation) {
	if op.Retry != platform.RetryWithKey {
		return
	}
	r := hop.Responses[strconv.Itoa(op.Status)]
	if r == nil {
		return
	}
	if r.Headers == nil {
		r.Headers = map[string]*huma.Param{}
	}
	r.Headers[platform.IdempotencyReplayedHeader] = &huma.Param{
		Description: `"true" on the answer of an earlier call with the same Idempotency-Key`,
		Schema:      &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}},
	}
}
