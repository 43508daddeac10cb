package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/test/routes"
)

// admitted serves an operation of huma's and two plain ones, one of which bounds
// its body by itself. Each answers what it was given.
func admitted(t *testing.T) http.Handler {
	t.Helper()
	type input struct {
		Limit int `query:"limit"`
		Body  struct {
			Name string `json:"name"`
		}
	}
	type output struct {
		Body struct {
			Name string `json:"name"`
		}
	}
	a := rest.New("data", nil)
	rest.Handle(a, rest.Operation{ID: "a", Method: http.MethodPatch, Path: "/huma", Access: platform.Public(), MaxBody: 1000},
		func(_ context.Context, in *input) (*output, error) {
			var out output
			out.Body.Name = in.Body.Name
			return &out, nil
		})
	echo := func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(w, r.Body)
		return err
	}
	json := []rest.Media{{Type: "application/json"}}
	a.HandleHTTP(rest.Operation{ID: "b", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/plain", Access: platform.Public(), MaxBody: 1000},
		rest.Description{Params: []rest.Param{{Name: "key", In: "query"}}, Request: append(json, rest.Media{Type: "text/csv"})}, echo)
	a.HandleHTTP(rest.Operation{ID: "c", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/unbounded", Access: platform.Public(), MaxBody: -1},
		rest.Description{Request: json, Optional: true}, echo)
	a.HandleHTTP(rest.Operation{ID: "d", Method: http.MethodGet, Path: "/oauth", Access: platform.Public(), OpenQuery: true},
		rest.Description{Params: []rest.Param{{Name: "state", In: "query"}}}, echo)
	return routes.Mux(a.Routes())
}

func ask(h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func codeOf(w *httptest.ResponseRecorder) string {
	var p struct {
		Code   string
		Errors []struct{ Path, Code string }
	}
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	if len(p.Errors) > 0 {
		return p.Errors[0].Path + " " + p.Errors[0].Code
	}
	return p.Code
}

func TestUnknownParametersAreRefused(t *testing.T) {
	h := admitted(t)
	const body = `{"name":"a"}`
	for target, want := range map[string]struct {
		status int
		code   string
	}{
		"PATCH /huma?limit=1":          {200, ""},
		"PATCH /huma?limits=1":         {422, "query.limits unknown"},
		"PATCH /huma?limit=1&limit=2":  {422, "query.limit duplicate"},
		"PATCH /huma?limit=%zz":        {400, "malformed_query"},
		"POST /plain?key=a":            {200, ""},
		"POST /plain?key=a&from=today": {422, "query.from unknown"},
		"POST /unbounded?x":            {422, "query.x unknown"},
		"GET /oauth?state=a&nonce=b":   {200, ""},
	} {
		method, target, _ := strings.Cut(target, " ")
		w := ask(h, method, target, strings.NewReader(body), "Content-Type", "application/json")
		if w.Code != want.status || want.code != "" && codeOf(w) != want.code {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	h := admitted(t)
	for name, c := range map[string]struct {
		target, contentType string
		status              int
		code                string
	}{
		"huma":               {"PATCH /huma", "application/json", 200, ""},
		"huma, parameters":   {"PATCH /huma", `Application/JSON; charset="UTF-8"`, 200, ""},
		"huma, missing":      {"PATCH /huma", "", 415, "content_type_missing"},
		"huma, form":         {"PATCH /huma", "application/x-www-form-urlencoded", 415, "unsupported"},
		"huma, CloudEvents":  {"PATCH /huma", "application/cloudevents+json", 415, "unsupported"},
		"huma, other text":   {"PATCH /huma", "application/json; charset=latin1", 415, "unsupported"},
		"plain":              {"POST /plain", "text/csv", 200, ""},
		"plain, missing":     {"POST /plain", "", 415, "content_type_missing"},
		"plain, broken":      {"POST /plain", "text/csv; charset", 415, "unsupported"},
		"plain, tabs":        {"POST /plain", "text/tab-separated-values", 415, "unsupported"},
		"plain, UTF-16":      {"POST /plain", "text/csv; charset=utf-16", 415, "unsupported"},
		"unbounded, missing": {"POST /unbounded", "", 415, "content_type_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(c.target, " ")
			var headers []string
			if c.contentType != "" {
				headers = []string{"Content-Type", c.contentType}
			}
			w := ask(h, method, path, strings.NewReader(`{"name":"a"}`), headers...)
			if w.Code != c.status || c.code != "" && codeOf(w) != c.code {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if c.status == 200 {
				return
			}
			list := map[string]string{"/huma": "application/json", "/plain": "application/json, text/csv", "/unbounded": "application/json"}[path]
			special := map[string]string{"POST": "Accept-Post", "PATCH": "Accept-Patch"}[method]
			if got := w.Header(); got.Get("Accept") != list || got.Get(special) != list {
				t.Errorf("the headers do not say what is taken: %v", got)
			}
			if !strings.Contains(w.Body.String(), "UTF-8") && !strings.Contains(w.Body.String(), "send application/json") {
				t.Errorf("the text does not say what to send: %s", w.Body)
			}
		})
	}
}

func TestMissingBody(t *testing.T) {
	h := admitted(t)
	for target, status := range map[string]int{"PATCH /huma": 400, "POST /plain": 400, "POST /unbounded": 200} {
		method, path, _ := strings.Cut(target, " ")
		if w := ask(h, method, path, nil, "Content-Type", "application/json"); w.Code != status || status != 200 && codeOf(w) != "body_required" {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	// A body of chunks of which there are none.
	if w := ask(h, "PATCH", "/huma", io.MultiReader(), "Content-Type", "application/json"); w.Code != 400 || codeOf(w) != "body_required" {
		t.Errorf("no chunks: %d %s", w.Code, w.Body)
	}
}

func zipped(parts ...string) []byte {
	var b bytes.Buffer
	for _, part := range parts {
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(part))
		_ = z.Close()
	}
	return b.Bytes()
}

func TestGzip(t *testing.T) {
	h := admitted(t)
	whole := zipped(`{"name":"abc"}`)
	for name, c := range map[string]struct {
		target, coding string
		body           []byte
		status         int
		code           string
	}{
		"huma":                 {"PATCH /huma", "gzip", whole, 200, ""},
		"huma, old name":       {"PATCH /huma", "X-GZip", whole, 200, ""},
		"plain":                {"POST /plain", "gzip", whole, 200, ""},
		"unbounded":            {"POST /unbounded", "gzip", whole, 200, ""},
		"two members":          {"POST /plain", "gzip", zipped(`{"name":`, `"abc"}`), 200, ""},
		"no coding":            {"POST /plain", "identity", []byte(`{"name":"abc"}`), 200, ""},
		"not gzip":             {"PATCH /huma", "gzip", []byte(`{"name":"abc"}`), 400, "malformed_gzip"},
		"not gzip, plain":      {"POST /plain", "gzip", []byte(`{"name":"abc"}`), 400, "malformed_gzip"},
		"cut off":              {"POST /plain", "gzip", whole[:len(whole)-9], 400, "malformed_gzip"},
		"nothing":              {"POST /plain", "gzip", []byte{0x1f}, 400, "malformed_gzip"},
		"too large within":     {"PATCH /huma", "gzip", zipped(`{"name":"` + strings.Repeat("a", 2000) + `"}`), 413, "body_too_large"},
		"too large, plain":     {"POST /plain", "gzip", zipped(strings.Repeat("a", 1001)), 413, "body_too_large"},
		"as large as it may":   {"POST /plain", "gzip", zipped(strings.Repeat("a", 1000)), 200, ""},
		"ratio":                {"POST /unbounded", "gzip", zipped(strings.Repeat("a", 64<<20)), 413, "compression_ratio"},
		"members of nothing":   {"POST /unbounded", "gzip", bytes.Repeat(zipped(""), 100_000), 400, "malformed_gzip"},
		"another coding":       {"POST /plain", "br", whole, 415, "content_encoding"},
		"another, huma":        {"PATCH /huma", "zstd", whole, 415, "content_encoding"},
		"twice":                {"POST /plain", "gzip, gzip", whole, 415, "content_encoding"},
		"deflate is not taken": {"POST /unbounded", "deflate", whole, 415, "content_encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second has the decoder of the first
				method, path, _ := strings.Cut(c.target, " ")
				w := ask(h, method, path, bytes.NewReader(c.body), "Content-Type", "application/json", "Content-Encoding", c.coding)
				got := w.Body.Bytes()
				if i := bytes.Index(got, []byte(`{"type"`)); i > 0 { // behind what was echoed before the fault
					w.Body = bytes.NewBuffer(got[i:])
				}
				if c.code != "" && codeOf(w) != c.code || c.code == "" && w.Code != 200 {
					t.Fatalf("%d %.300s", w.Code, w.Body)
				}
				if c.status == 415 && w.Header().Get("Accept-Encoding") != "gzip" {
					t.Errorf("Accept-Encoding: %v", w.Header())
				}
				if c.status == 200 && name != "as large as it may" && !strings.Contains(w.Body.String(), `"abc"`) {
					t.Errorf("got %s", w.Body)
				}
			}
		})
	}
}

// A handler sees a body without a coding: nobody decodes it twice.
func TestGzipIsGoneBehind(t *testing.T) {
	a := rest.New("data", nil)
	a.HandleHTTP(rest.Operation{ID: "a", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/a", Access: platform.Public()},
		rest.Description{Request: []rest.Media{{Type: "text/csv"}}}, func(_ http.ResponseWriter, r *http.Request) error {
			if r.Header.Get("Content-Encoding") != "" || r.ContentLength != -1 {
				t.Errorf("%v, %d bytes", r.Header, r.ContentLength)
			}
			return nil
		})
	w := ask(routes.Mux(a.Routes()), "POST", "/a", bytes.NewReader(zipped("a,b\n")), "Content-Type", "text/csv", "Content-Encoding", "gzip")
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
