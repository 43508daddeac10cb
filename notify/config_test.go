package notify_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/acme/platform/notify"
)

func TestConfig(t *testing.T) {
	_, err := notify.New(notify.Config{
		Mail:  &notify.SMTP{Username: "u", Password: "hunter2"},
		Rules: []notify.Rule{{ID: "Bad ID"}, {ID: "ok", Name: "x", Event: "x", Title: "x", Channels: []notify.Channel{"inbox"}, Template: "t"}},
	})
	if err == nil {
		t.Fatal("an empty Config is taken")
	}
	for _, field := range []string{
		"DB", "Sealer", "Events", "Queue", "Directory", "Mail.SMTP.Host", "Mail.SMTP.Port", "Mail.SMTP.TLS", "Mail.SMTP.From", "Mail.SMTP.Username",
		"Rules[0].ID", "Rules[0] ", "Rules[1].Template",
	} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is in the error: %v", err)
	}
}

func TestOpenAPI(t *testing.T) {
	w := start(t, nil)
	raw, err := w.svc.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.svc.Routes() {
		if got := doc.Paths[r.Path][strings.ToLower(r.Method)].OperationID; got != r.Operation {
			t.Errorf("%s %s is described as %q", r.Method, r.Path, got)
		}
	}
	if strings.Contains(string(raw), `["array","null"]`) {
		t.Error("a list may be null")
	}
}
