package integration

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// described is what the document says of an operation.
type described struct {
	ID          string `json:"operationId"`
	Permission  string `json:"x-permission"`
	Access      string `json:"x-access"`
	Security    []any  `json:"security"`
	Parameters  []struct{ Name, In string }
	RequestBody *struct {
		Required bool
		Content  map[string]any
	} `json:"requestBody"`
	Responses map[string]any

	method, path string
}

// TestManners makes calls of every operation from the server's own document, each
// wrong in one way, and holds the answer to be the right one and described by its
// status. TestIsolation makes those of another organization.
func TestManners(t *testing.T) {
	s := start(t, folder(t.TempDir()), "--rate-limit", "0", "--sign-in-limit", "0", "--bad-credential-limit", "0")
	ann := s.signUp("ann@example.com", "Ann's")
	ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "films"}, nil)
	ann.want(http.StatusCreated, "POST", "/v1/data/collections/films/records", map[string]any{"id": "m", "data": map[string]any{}}, nil)
	var none struct{ Key string }
	ann.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "nothing", "scopes": []string{"nothing.at.all"}}, &none)
	var large bytes.Buffer
	z := gzip.NewWriter(&large)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 17<<20))
	_ = z.Close()
	calls := 0
	for _, op := range describedOperations(t, ann) {
		call := func(c *client, query string, contentType string, body io.Reader, header ...string) answer {
			calls++
			a, err := c.try(t.Context(), op.method, op.path+query, contentType, body, header...)
			if err != nil {
				t.Fatalf("%s: %v", op.ID, err)
			}
			return a
		}
		expect := func(what string, a answer, status int) {
			t.Helper()
			if a.status != status {
				t.Errorf("%s, %s: %d %s, want %d", op.ID, what, a.status, a.body, status)
			}
			if op.Responses[strconv.Itoa(status)] == nil {
				t.Errorf("%s, %s: %d is not described", op.ID, what, status)
			}
		}
		sample := func() (string, io.Reader) {
			for media := range op.content() {
				return media, strings.NewReader("{}")
			}
			return "", nil
		}
		if len(op.Security) > 0 {
			media, body := sample()
			expect("no credential", call(s.client(""), "", media, body), http.StatusUnauthorized)
			media, body = sample()
			expect("two credentials", call(ann, "", media, body, "X-API-Key", "key_another"), http.StatusBadRequest)
			media, body = sample()
			expect("no grant", call(s.client(none.Key), "", media, body), http.StatusForbidden)
		}
		if op.Access == "operator" {
			media, body := sample()
			expect("no operator", call(ann, "", media, body), http.StatusForbidden)
			continue // the rest needs an operator's key, which no route makes
		}
		media, body := sample()
		expect("an unknown parameter", call(ann, "?no_such_parameter=1", media, body), http.StatusUnprocessableEntity)
		media, body = sample()
		expect("a query that is none", call(ann, "?limit=%zz", media, body), http.StatusBadRequest)
		for media := range op.content() {
			for _, other := range []string{"", "application/cloudevents+json", media + "; charset=utf-16"} {
				a := call(ann, "", other, strings.NewReader("{}"))
				expect("the media type "+other, a, http.StatusUnsupportedMediaType)
				if !strings.Contains(a.header.Get("Accept"), media) {
					t.Errorf("%s: Accept is %q", op.ID, a.header.Get("Accept"))
				}
			}
			a := call(ann, "", media, strings.NewReader("{}"), "Content-Encoding", "br")
			expect("another coding", a, http.StatusUnsupportedMediaType)
			if a.header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("%s: Accept-Encoding is %q", op.ID, a.header.Get("Accept-Encoding"))
			}
			if op.RequestBody.Required {
				expect("no body", call(ann, "", media, nil), http.StatusBadRequest)
			}
			if op.Responses["413"] != nil {
				// In gzip, or the server hangs up before it is sent.
				expect("a body of 17 MiB", call(ann, "", media, bytes.NewReader(large.Bytes()), "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge)
			}
			break
		}
		if slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == "If-Match" }) {
			body := map[string]any{}
			if op.method == http.MethodPut {
				body["data"] = map[string]any{}
			}
			calls++
			expect("a stale version", ann.do(op.method, op.path, body, "If-Match", `"4711"`), http.StatusPreconditionFailed)
		}
	}
	if calls < 500 {
		t.Errorf("only %d calls were made", calls)
	}
	t.Logf("%d calls", calls)
}

func (op *described) content() map[string]any {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Content
}

func describedOperations(t *testing.T, c *client) []*described {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	c.want(http.StatusOK, "GET", "/openapi.json", nil, &doc)
	var all []*described
	for path, item := range doc.Paths {
		for method, raw := range item {
			op := &described{method: strings.ToUpper(method)}
			if err := json.Unmarshal(raw, op); err != nil || op.ID == "" {
				continue
			}
			op.path = strings.NewReplacer("{collection}", "films", "{file}", "app.js").Replace(path)
			op.path = pathParam.ReplaceAllString(op.path, "m")
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b *described) int { return strings.Compare(a.ID, b.ID) })
	return all
}
