package platform_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
)

func TestParseIdempotencyKey(t *testing.T) {
	long := strings.Repeat("k", platform.MaxIdempotencyKey)
	for header, want := range map[string]string{
		"8e03978e-40d5-43dd-bc93-6894a57f9324":   "8e03978e-40d5-43dd-bc93-6894a57f9324",
		`"8e03978e-40d5-43dd-bc93-6894a57f9324"`: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		`"a b, c"`:                               "a b, c",
		`"a \"b\" \\ c"`:                         `a "b" \ c`,
		` k `:                                    "k",
		long:                                     long,
		`"` + long + `"`:                         long,
		"":                                       "",
		`""`:                                     "",
		"a b":                                    "",
		"a, b":                                   "",
		`a"b`:                                    "",
		`"a`:                                     "",
		`"a" b`:                                  "",
		`"a";x=1`:                                "",
		`"a\b"`:                                  "",
		`"a\`:                                    "",
		`"`:                                      "",
		"käse":                                   "",
		"a\x7f":                                  "",
		long + "k":                               "",
		`"` + long + `k"`:                        "",
		"a\tb":                                   "",
		`"a", "b"`:                               "",
		"%E2%82%AC/~!*{}@":                       "%E2%82%AC/~!*{}@",
	} {
		k, err := platform.ParseIdempotencyKey(http.Header{"Idempotency-Key": {header}})
		if want == "" {
			if !errors.Is(err, platform.ErrMalformed) || k != nil {
				t.Errorf("%q is taken: %v", header, err)
			}
			if err != nil && header != "" && len(header) > 3 && strings.Contains(err.Error(), header) {
				t.Errorf("the error repeats the key: %v", err)
			}
			continue
		}
		if err != nil || k.Text() != want {
			t.Errorf("%q: %v", header, err)
		}
		if s := fmt.Sprint(k); len(want) > 3 && strings.Contains(s, want) {
			t.Errorf("a key shows itself: %s", s)
		}
	}
	if k, err := platform.ParseIdempotencyKey(http.Header{}); k != nil || err != nil {
		t.Errorf("no header: %v, %v", k, err)
	}
	if _, err := platform.ParseIdempotencyKey(http.Header{"Idempotency-Key": {"a", "a"}}); !errors.Is(err, platform.ErrMalformed) {
		t.Errorf("two headers: %v", err)
	}
}

// Only the success of a replayed call says so.
func TestReplayedHeader(t *testing.T) {
	k, err := platform.NewIdempotencyKey("k")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		replayed bool
		status   int
		want     string
	}{{true, 0, "true"}, {true, 201, "true"}, {true, 404, ""}, {false, 201, ""}} {
		k.SetReplayed(c.replayed)
		rec := httptest.NewRecorder()
		w := k.ResponseWriter(rec)
		if c.status != 0 {
			w.WriteHeader(c.status)
		}
		_, _ = w.Write([]byte("x"))
		if got := rec.Header().Get("Idempotency-Replayed"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	var none *platform.IdempotencyKey
	rec := httptest.NewRecorder()
	if none.ResponseWriter(rec) != http.ResponseWriter(rec) || none.Replayed() {
		t.Error("no key changes the answer")
	}
}
