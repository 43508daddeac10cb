package platform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/acme/platform"
)

type common struct {
	Note string `json:"note"`
}

type order struct {
	common
	Name  string `json:"name"`
	Count int8   `json:"count"`
	Lines []*struct {
		ID int `json:"id"`
	} `json:"lines"`
	Named map[string]struct{ ID int } `json:"named"`
	Free  map[string]any              `json:"free"`
	Raw   json.RawMessage             `json:"raw"`
	At    *time.Time                  `json:"at"`
}

// A body that is not as the handler's type says is refused with the place of the
// mistake, and never with what was sent.
func TestDecodeJSON(t *testing.T) {
	const canary = "hunter2"
	for body, want := range map[string]string{
		`{"name":"a","note":"n","count":1,"lines":[{"id":1}],"named":{"x":{"ID":1},"X":{"ID":2}},"at":"2026-01-02T03:04:05Z"}`: "",
		` {"name":"a","free":{"x":1,"X":2},"raw":{"z":1,"z":2}} `:                                                              "",
		`{"lines":null}`:                "422 invalid /lines null",
		``:                              `400 body_required`,
		" \n":                           `400 body_required`,
		`{"name":hunter2`:               `400 malformed`,
		`{"name":"a"}{"name":"b"}`:      `400 malformed`,
		"{\"name\":\"\xff\"}":           `400 malformed`,
		`{"NAME":"hunter2"}`:            `422 invalid /NAME unknown`,
		`{"other":1}`:                   `422 invalid /other unknown`,
		`{"common":{}}`:                 `422 invalid /common unknown`,
		`{"name":"a","name":"b"}`:       `422 invalid /name repeated`,
		`{"name":"a","na\u006de":"b"}`:  `422 invalid /name repeated`,
		`{"lines":[{"id":1},{"ID":2}]}`: `422 invalid /lines/1/ID unknown`,
		`{"named":{"a/b~":{"id":1}}}`:   `422 invalid /named/a~1b~0/id unknown`,
		`{"free":{"x":{"y":1,"y":2}}}`:  `422 invalid /free/x/y repeated`,
		`{"name":7}`:                    `422 invalid /name invalid`,
		`{"count":300}`:                 `422 invalid /count invalid`,
		`{"lines":[{"id":"hunter2"}]}`:  `422 invalid /lines/id invalid`,
		`[]`:                            `422 invalid / invalid`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		var in order
		if got := told(t, r, platform.DecodeJSON(r, &in), canary); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// told is the answer to an error in short: status, code, and the first field.
func told(t *testing.T, r *http.Request, err error, secret string) string {
	t.Helper()
	if err == nil {
		return ""
	}
	w := httptest.NewRecorder()
	platform.WriteProblem(w, r, nil, err)
	if strings.Contains(w.Body.String(), secret) {
		t.Errorf("the answer repeats the input: %s", w.Body)
	}
	var p platform.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
		t.Fatalf("no problem: %s (%v)", w.Body, err)
	}
	out := fmt.Sprint(p.Status, " ", p.Code)
	if len(p.Errors) > 0 {
		out += " " + p.Errors[0].Path + " " + p.Errors[0].Code
	}
	return out
}

// What cannot be read at all says so.
func TestDecodeJSONThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		media string
		body  io.Reader
		want  string
	}{
		"no media type":    {"", strings.NewReader(`{}`), "415 unsupported"},
		"another":          {"text/plain", strings.NewReader(`{}`), "415 unsupported"},
		"no media at all":  {";", strings.NewReader(`{}`), "415 unsupported"},
		"a JSON dialect":   {"application/merge-patch+json", strings.NewReader(`{}`), ""},
		"too large":        {"application/json", strings.NewReader(`{"name":"` + strings.Repeat("a", 11<<20) + `"}`), "413 body_too_large"},
		"broken off":       {"application/json", iotest.ErrReader(io.ErrUnexpectedEOF), "400 malformed_body"},
		"too late":         {"application/json", iotest.ErrReader(os.ErrDeadlineExceeded), "408 body_timeout"},
		"a smaller limit":  {"application/json", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(`{"name":"abc"}`)), 5), "413 body_too_large"},
		"a problem inside": {"application/json", iotest.ErrReader(platform.NewProblem(t.Context(), 405, "x", "y")), "405 x"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", c.body)
		if c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		var in order
		if got := told(t, r, platform.DecodeJSON(r, &in), "aaaa"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Data from elsewhere than a request is checked in the same way.
func TestUnmarshalJSON(t *testing.T) {
	var in order
	err := platform.UnmarshalJSON([]byte(`{"nme":"a"}`), &in)
	if !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "/nme") {
		t.Errorf("got %v", err)
	}
}

// A handler of the host's reads and refuses as the platform's own do.
func ExampleWriteProblem() {
	log := slog.New(slog.DiscardHandler)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Text string `json:"text"`
		}
		err := platform.DecodeJSON(r, &in)
		if err == nil && in.Text == "" {
			err = platform.Invalid(platform.Field{Path: "/text", Code: "required", Detail: "a greeting needs a text"})
		}
		if err != nil {
			platform.WriteProblem(w, r, log, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for _, body := range []string{`{"text":"hello"}`, `{"text":""}`, `{"txt":"hello"}`} {
		r := httptest.NewRequest(http.MethodPost, "/v1/greetings", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var p platform.Problem
		_ = json.Unmarshal(w.Body.Bytes(), &p)
		fmt.Println(w.Code, p.Code, p.Errors)
	}
	// Output:
	// 204  []
	// 422 invalid [{/text required a greeting needs a text}]
	// 422 invalid [{/txt unknown there is no such member; names are exact}]
}
