package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"--addr", "127.0.0.1:1", "--log-format=json"}, environment(map[string]string{
		"PLATFORM_ADDR": "127.0.0.1:2", "PLATFORM_LOG_LEVEL": "warn", "PLATFORM_CORS_ORIGINS": "https://a.example, https://b.example",
		"PLATFORM_TRUSTED_PROXIES": "10.0.0.0/8", "PLATFORM_SHUTDOWN_TIMEOUT": "3s",
	}), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.addr != "127.0.0.1:1" || o.publicURL != "http://127.0.0.1:1" || o.logLevel.String() != "WARN" ||
		len(o.corsOrigins) != 2 || len(o.trustedProxies) != 1 || o.shutdown != 3*time.Second {
		t.Errorf("got %+v", o)
	}
}

func TestBadOptions(t *testing.T) {
	for says, c := range map[string]struct {
		args []string
		env  map[string]string
	}{
		"--addr":                    {args: []string{"--addr", "8080"}},
		"--public-url":              {args: []string{"--public-url", "ftp://x"}},
		"--data":                    {args: []string{"--data", ""}},
		"--log-format":              {args: []string{"--log-format", "xml"}},
		"--rate-limit":              {args: []string{"--rate-limit", "-1"}},
		"--disk-reserve":            {args: []string{"--disk-reserve", "-1"}},
		"--trusted-proxies":         {args: []string{"--trusted-proxies", "10.0.0.1"}},
		"--shutdown-timeout":        {args: []string{"--shutdown-timeout", "0s"}},
		"--smtp-tls":                {args: []string{"--smtp-addr", "a:25", "--smtp-from", "a@b"}},
		"--password-memory":         {args: []string{"--password-memory", "18"}},
		"--breach-list":             {args: []string{"--breach-list", "ftp://x", "--breach-list-unavailable", "accept"}},
		"--breach-list-unavailable": {args: []string{"--breach-list", "https://a.test/range/"}},
		"--smtp-from":               {args: []string{"--smtp-addr", "a:25", "--smtp-tls", "none"}},
		"is not a flag":             {args: []string{"--addr", "a:1", "stray"}},
		"PLATFORM_RATE_LIMIT: must": {env: map[string]string{"PLATFORM_RATE_LIMIT": "many"}},
	} {
		if _, err := parse(c.args, environment(c.env), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v %v: got %v, want it to say %q", c.args, c.env, err, says)
		}
	}
}

func TestCommands(t *testing.T) {
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"version":     {[]string{"version"}, 0, "\n", ""},
		"help":        {[]string{"--help"}, 0, "", "--log-format"},
		"help, too":   {[]string{"help"}, 0, "", "PLATFORM_LOG_FORMAT"},
		"no command":  {[]string{"server"}, 2, "", `no command "server"`},
		"healthcheck": {[]string{"healthcheck", "--addr", "127.0.0.1:1"}, 1, "", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), c.args, environment(nil), &stdout, &stderr)
			text := strings.ReplaceAll(stderr.String(), "  -", "  --")
			if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(text, c.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestOpenAPI(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"openapi"}, environment(nil), &stdout, &stderr); code != 0 {
		t.Fatalf("code %d: %s", code, stderr.String())
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("version %q", doc.OpenAPI)
	}
	got := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if other, twice := got[op.OperationID]; twice {
				t.Errorf("%s is both %s and %s", op.OperationID, other, path)
			}
			got[op.OperationID] = strings.ToUpper(method) + " " + path
		}
	}
	for id, route := range contract {
		if got[id] != route {
			t.Errorf("%s is %q, want %q", id, got[id], route)
		}
	}
	t.Logf("%d operations, of which %d are promised by name", len(got), len(contract))
}

// contract are the routes that other programs rely on.
var contract = map[string]string{
	"auth.signup": "POST /v1/auth/signup", "auth.login": "POST /v1/auth/login", "auth.refresh": "POST /v1/auth/refresh",
	"auth.logout": "POST /v1/auth/logout", "auth.switch": "POST /v1/auth/switch",
	"me.get": "GET /v1/me", "me.update": "PATCH /v1/me", "me.sessions.list": "GET /v1/me/sessions", "me.sessions.clear": "DELETE /v1/me/sessions", "me.sessions.revoke": "DELETE /v1/me/sessions/{id}",
	"organizations.get": "GET /v1/organization", "organizations.update": "PATCH /v1/organization",
	"organizations.list": "GET /v1/organizations", "organizations.create": "POST /v1/organizations",
	"members.list": "GET /v1/members", "members.update": "PATCH /v1/members/{id}", "members.remove": "DELETE /v1/members/{id}",
	"invitations.create": "POST /v1/invitations", "invitations.list": "GET /v1/invitations",
	"invitations.revoke": "DELETE /v1/invitations/{id}", "invitations.accept": "POST /v1/invitations/accept",
	"roles.list": "GET /v1/roles", "roles.create": "POST /v1/roles", "roles.get": "GET /v1/roles/{id}",
	"apiKeys.create": "POST /v1/api-keys", "apiKeys.list": "GET /v1/api-keys",
	"apiKeys.rotate": "POST /v1/api-keys/{id}/rotate", "apiKeys.revoke": "DELETE /v1/api-keys/{id}",
	"audit.list": "GET /v1/audit", "jwks": "GET /.well-known/jwks.json",
	"data.collections.create": "POST /v1/data/collections", "data.collections.list": "GET /v1/data/collections",
	"data.collections.get": "GET /v1/data/collections/{collection}", "data.collections.delete": "DELETE /v1/data/collections/{collection}",
	"data.records.create": "POST /v1/data/collections/{collection}/records", "data.records.list": "GET /v1/data/collections/{collection}/records",
	"data.records.get": "GET /v1/data/collections/{collection}/records/{id}", "data.records.replace": "PUT /v1/data/collections/{collection}/records/{id}",
	"data.records.patch": "PATCH /v1/data/collections/{collection}/records/{id}", "data.records.delete": "DELETE /v1/data/collections/{collection}/records/{id}",
	"data.records.query": "POST /v1/data/collections/{collection}/records/query", "data.records.count": "POST /v1/data/collections/{collection}/records/count",
	"data.records.import": "POST /v1/data/collections/{collection}/records/import", "data.records.export": "GET /v1/data/collections/{collection}/records/export",
	"analytics.events.ingest": "POST /v1/analytics/events", "analytics.query.series": "POST /v1/analytics/query/series",
	"analytics.query.breakdown": "POST /v1/analytics/query/breakdown", "analytics.query.uniques": "POST /v1/analytics/query/uniques",
	"notify.messages.send": "POST /v1/notify/messages", "notify.messages.get": "GET /v1/notify/messages/{id}", "notify.messages.list": "GET /v1/notify/messages",
	"notify.inbox.list": "GET /v1/notify/inbox", "notify.inbox.read": "POST /v1/notify/inbox/{id}/read", "notify.inbox.readAll": "POST /v1/notify/inbox/read-all",
	"notify.inbox.stream": "GET /v1/notify/inbox/stream",
	"health.live":         "GET /livez", "health.ready": "GET /readyz", "openapi": "GET /openapi.json", "docs": "GET /docs",
}

func TestAccessLogOption(t *testing.T) {
	for option, lines := range map[string]int{"--access-log=true": 1, "--access-log=false": 0} {
		o, err := parse([]string{"--data", t.TempDir(), option}, environment(nil), &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		p, err := assemble(o, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/me", nil))
		if n := strings.Count(log.String(), "msg=request "); n != lines {
			t.Errorf("%s: %d lines for one request:\n%s", option, n, log.String())
		}
	}
}
