package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
)

// TestAuditJourney drives the audit over HTTP: what people did is found, checked
// and exported, a refused operation is in it, and a person sees what is theirs.
func TestAuditJourney(t *testing.T) { onRelational(t, auditJourney) }

func auditJourney(t *testing.T, _ setup, at place) {
	s := start(t, at)
	ann, eve := s.signUp("ann@example.com", "Ann's"), s.signUp("eve@example.com", "Eve's")
	var key struct{ ID, Key string }
	ann.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "ci", "scopes": []string{"data.records.read"}}, &key)
	s.client(key.Key).want(http.StatusForbidden, "POST", "/v1/roles", map[string]any{"name": "x", "permissions": []string{"data.records.read"}}, nil)

	type page struct {
		Data []struct {
			Action, Actor, Target, Outcome string
			ActorKind                      string `json:"actor_kind"`
			Client                         string
		}
	}
	var refused page
	eventually(t, "the refusal", func() bool {
		refused = page{}
		ann.want(http.StatusOK, "GET", "/v1/audit?action=access.*&outcome=refused&order=oldest", nil, &refused)
		return len(refused.Data) == 1
	})
	if r := refused.Data[0]; r.Target != "roles.create" || r.ActorKind != "api_key" || r.Client == "" {
		t.Errorf("the refusal is %+v", r)
	}
	var made page
	ann.want(http.StatusOK, "GET", "/v1/audit?target="+key.ID, nil, &made)
	if len(made.Data) != 1 || made.Data[0].Action != "api_key.created" {
		t.Errorf("the key's records are %+v", made)
	}
	var head struct {
		Sequence int64
		Hash     string
	}
	ann.want(http.StatusOK, "GET", "/v1/audit/head", nil, &head)
	var check struct{ Valid, Complete bool }
	ann.want(http.StatusOK, "GET", fmt.Sprintf("/v1/audit/verify?anchor=%d:%s", head.Sequence, head.Hash), nil, &check)
	if !check.Valid || !check.Complete {
		t.Errorf("the chain is %+v", check)
	}
	if lines := bytes.Count(ann.want(http.StatusOK, "GET", "/v1/audit/export", nil, nil).body, []byte("\n")); int64(lines) != head.Sequence {
		t.Errorf("%d lines were exported of %d", lines, head.Sequence)
	}
	var mine, theirs page
	ann.want(http.StatusOK, "GET", "/v1/me/security-events", nil, &mine)
	eve.want(http.StatusOK, "GET", "/v1/me/security-events", nil, &theirs)
	if len(mine.Data) < 3 || len(theirs.Data) != 1 || theirs.Data[0].Action != "user.signed_up" {
		t.Errorf("ann sees %+v, eve %+v", mine, theirs)
	}
}
