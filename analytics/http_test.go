package analytics_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
)

func TestIngestHTTP(t *testing.T) {
	s := newService(t, analytics.Config{})
	h := handler(s)
	w := post(h, tenantA, "/v1/analytics/events", ` {"id":"e1","name":"n","user":"u","time":"2026-02-28T23:30:00.123456+01:00","properties":{"a" : "caf\u00e9"}} `)
	if w.Code != http.StatusOK || w.Body.String() != `{"accepted":1,"duplicates":0,"rejected":[]}`+"\n" {
		t.Fatalf("one event: got %d %s", w.Code, w.Body)
	}
	w = post(h, tenantA, "/v1/analytics/events", `{"events":[{"id":"e1","name":"n"},{"id":"e2","name":"n","user":null,"time":null,"properties":null},{"id":"e3"},7]}`)
	want := `{"accepted":1,"duplicates":1,"rejected":[{"index":2,"id":"e3","code":"name_required","detail":"name must be there and not empty"},` +
		`{"index":3,"code":"not_an_object","detail":"an event must be a JSON object"}]}`
	if w.Code != http.StatusOK || w.Body.String() != want+"\n" {
		t.Fatalf("four events: got %d %s", w.Code, w.Body)
	}
	got, err := s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: analytics.Selection{
		Event: "n", From: date("2026-02-28T22:30:00.123456Z"), To: date("2026-02-28T22:30:00.123457Z"),
	}, Property: "a"})
	if err != nil || len(got.Rows) != 1 || got.Rows[0].Key != "café" {
		t.Errorf("as it was kept: %+v, %v", got, err)
	}
}

func TestBadBodies(t *testing.T) {
	h := handler(newService(t, analytics.Config{}))
	list := func(n int) string {
		return `{"events":[` + strings.TrimSuffix(strings.Repeat(`{"name":"n"},`, n), ",") + `]}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"empty":              {"", 400, "body_required"},
		"broken":             {`{"name":"n"`, 400, "malformed"},
		"two values":         {`{"name":"n"}{"name":"n"}`, 400, "malformed"},
		"not UTF-8":          {"{\"name\":\"\xff\"}", 400, "malformed"},
		"a list":             {`[{"name":"n"}]`, 422, `"path":"/"`},
		"a deep list":        {strings.Repeat("[", 5<<20), 400, "nests too deeply"},
		"events is no list":  {`{"events":{}}`, 422, `"path":"/events"`},
		"events is null":     {`{"events":null}`, 422, `"path":"/events"`},
		"events twice":       {`{"events":[],"events":[]}`, 422, `"code":"repeated"`},
		"something beside":   {`{"events":[],"tenant":"org_b"}`, 422, `"code":"unknown"`},
		"none":               {`{"events":[]}`, 200, `"accepted":0`},
		"2,000":              {list(2000), 200, `"accepted":2000`},
		"2,001":              {list(2001), 413, "too_many_events"},
		"10 MiB and a byte":  {strings.Repeat(" ", 10<<20+1), 413, "body_too_large"},
		"no name":            {`{}`, 422, `"code":"name_required"`},
		"name is a number":   {`{"name":1}`, 422, `"code":"name_invalid"`},
		"name is null":       {`{"name":null}`, 422, `"code":"name_required"`},
		"id is empty":        {`{"id":"","name":"n"}`, 422, `"code":"id_invalid"`},
		"id is a number":     {`{"id":1,"name":"n"}`, 422, `"code":"id_invalid"`},
		"user is a number":   {`{"name":"n","user":7}`, 422, `"code":"user_invalid"`},
		"time is a number":   {`{"name":"n","time":1760000000}`, 422, `"code":"time_invalid"`},
		"time is a date":     {`{"name":"n","time":"2026-01-01"}`, 422, `"code":"time_invalid"`},
		"time is too early":  {`{"name":"n","time":"1970-12-31T23:59:59Z"}`, 422, `"code":"time_out_of_range"`},
		"properties":         {`{"name":"n","properties":[]}`, 422, `"code":"properties_invalid"`},
		"properties: scalar": {`{"name":"n","properties":5}`, 422, `"code":"properties_invalid"`},
		"deep properties":    {`{"name":"n","properties":{"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}}`, 422, `"code":"properties_too_deep"`},
		"unknown field":      {`{"name":"n","hunter2":1}`, 422, `"code":"unknown_field"`},
		"a field twice":      {`{"name":"n","name":"n"}`, 422, `"code":"repeated_field"`},
	} {
		w := post(h, tenantA, "/v1/analytics/events", c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: got %d %.300s", name, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s: what was sent comes back: %s", name, w.Body)
		}
	}
	if w := post(h, "", "/v1/analytics/events", `{"name":"n"}`); w.Code != http.StatusUnauthorized {
		t.Errorf("without a principal: got %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/analytics/events", strings.NewReader(`{"name":"n"}`))
	r.Header.Set("Content-Type", "text/csv")
	r = r.WithContext(withPrincipal(r.Context(), tenantA))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("CSV: got %d %s", w.Code, w.Body)
	}
}

func TestQueriesHTTP(t *testing.T) {
	s := newService(t, analytics.Config{})
	h := handler(s)
	ingest(t, s, tenantA,
		analytics.Event{Name: "n", User: "u1", Time: date("2026-01-31T23:00:00Z"), Properties: []byte(`{"p":"a"}`)},
		analytics.Event{Name: "n", User: "u1", Time: date("2026-01-31T22:59:59Z"), Properties: []byte(`{"p":"b"}`)},
		analytics.Event{Name: "n", User: "u2", Time: date("2025-12-31T23:00:00Z"), Properties: []byte(`{"p":"a"}`)},
		analytics.Event{Name: "n", User: "u3", Time: date("2026-02-01T23:00:00Z")},
	)
	const selection = `"event":"n","from":"2026-01-01","to":"2026-02-02","timezone":"Europe/Berlin"`
	for name, c := range map[string]struct{ path, body, want string }{
		"series": {"series", `{` + selection + `,"interval":"month"}`, `{"series":[{"key":null,"count":3,"points":[` +
			`{"time":"2026-01-01T00:00:00+01:00","count":2},{"time":"2026-02-01T00:00:00+01:00","count":1}]}]}`},
		"series, filtered": {"series", `{` + selection + `,"interval":"month","filter":{"p":"b"}}`, `{"series":[{"key":null,"count":1,"points":[` +
			`{"time":"2026-01-01T00:00:00+01:00","count":1},{"time":"2026-02-01T00:00:00+01:00","count":0}]}]}`},
		"series by property": {"series", `{` + selection + `,"interval":"month","breakdown":"p","limit":1}`, `{"series":[{"key":"a","count":2,"points":[` +
			`{"time":"2026-01-01T00:00:00+01:00","count":1},{"time":"2026-02-01T00:00:00+01:00","count":1}]},{"key":null,"other":true,"count":1,"points":[` +
			`{"time":"2026-01-01T00:00:00+01:00","count":1},{"time":"2026-02-01T00:00:00+01:00","count":0}]}]}`},
		"uniques": {"uniques", `{` + selection + `,"interval":"month"}`, `{"series":[{"key":null,"users":2,"points":[` +
			`{"time":"2026-01-01T00:00:00+01:00","users":2},{"time":"2026-02-01T00:00:00+01:00","users":1}]}]}`},
		"breakdown":            {"breakdown", `{` + selection + `,"property":"p"}`, `{"data":[{"key":"a","count":2},{"key":"b","count":1}],"other":0}`},
		"breakdown with times": {"breakdown", `{"event":"n","from":"2026-01-31T23:00:00Z","to":"2026-03-01T00:00:00+01:00","property":"p","limit":1}`, `{"data":[{"key":"a","count":1}],"other":1}`},
		"breakdown of nothing": {"breakdown", `{"event":"m","from":"2026-01-01","to":"2026-02-01","property":"p"}`, `{"data":[],"other":0}`},
	} {
		w := post(h, tenantA, "/v1/analytics/query/"+c.path, c.body)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != c.want {
			t.Errorf("%s: got %d %s, want %s", name, w.Code, got, c.want)
		}
		if w := post(h, tenantB, "/v1/analytics/query/"+c.path, c.body); strings.Contains(w.Body.String(), `"a"`) || w.Code != http.StatusOK {
			t.Errorf("%s: the other tenant gets %s", name, w.Body)
		}
		if w := post(h, "", "/v1/analytics/query/"+c.path, c.body); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: without a principal: got %d %s", name, w.Code, w.Body)
		}
	}
	for name, c := range map[string]struct{ body, path string }{
		"unknown zone":   {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","timezone":"Mars/Olympus"}`, "/timezone"},
		"Local":          {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","timezone":"Local"}`, "/timezone"},
		"a path":         {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","timezone":"../../etc/passwd"}`, "/timezone"},
		"from":           {`{"event":"n","from":"yesterday","to":"2026-02-02","interval":"day"}`, "/from"},
		"to":             {`{"event":"n","from":"2026-01-01","to":"2026-13-02","interval":"day"}`, "/to"},
		"reversed":       {`{"event":"n","from":"2026-02-01","to":"2026-01-02","interval":"day"}`, "/to"},
		"interval":       {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"minute"}`, "/interval"},
		"points":         {`{"event":"n","from":"1990-01-01","to":"2026-02-02","interval":"hour"}`, "/interval"},
		"operator":       {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","filter":{"p":{"$where":1}}}`, "/filter/p/$where"},
		"filter":         {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","filter":7}`, "/filter"},
		"breakdown path": {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","breakdown":"a..b"}`, "/breakdown"},
		"unknown field":  {`{"event":"n","from":"2026-01-01","to":"2026-02-02","interval":"day","tenant":"org_b"}`, "/tenant"},
		"no event":       {`{"from":"2026-01-01","to":"2026-02-02","interval":"day"}`, "/event"},
	} {
		for _, route := range []string{"series", "uniques"} {
			w := post(h, tenantA, "/v1/analytics/query/"+route, c.body)
			var p struct {
				Errors []struct {
					Path string `json:"path"`
				} `json:"errors"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Path != c.path {
				t.Errorf("%s, %s: got %d %s", route, name, w.Code, w.Body)
			}
		}
	}
}

func TestOpenAPI(t *testing.T) {
	s := newService(t, analytics.Config{})
	raw, err := s.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Permission  string `json:"x-permission"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"analytics.events.ingest": "analytics.events.write", "analytics.query.series": "analytics.events.read",
		"analytics.query.uniques": "analytics.events.read", "analytics.query.breakdown": "analytics.events.read",
	}
	for _, r := range s.Routes() {
		op := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if op.OperationID != r.Operation || op.Permission != want[r.Operation] || r.Access.Permission() != want[r.Operation] {
			t.Errorf("%s: described as %+v", r.Operation, op)
		}
		delete(want, r.Operation)
	}
	if len(want) != 0 {
		t.Errorf("no routes for %v", want)
	}
	if strings.Contains(string(raw), `["array","null"]`) {
		t.Error("a list may be null")
	}
}
