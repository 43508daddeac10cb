package user_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func TestAudit(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ctx := platform.WithRequestID(t.Context(), "req_7")
	key, _, err := b.CreateAPIKey(ctx, ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	noError(t, b.RevokeAPIKey(ctx, ann.p, key.ID))
	var all []user.AuditRecord
	for cursor := ""; ; {
		some, next, err := b.Audit(ctx, ann.p, user.AuditFilter{}, 2, cursor)
		noError(t, err)
		all = append(all, some...)
		if cursor = next; next == "" {
			break
		}
	}
	if len(all) != 3 || all[0].Action != "api_key.revoked" || all[1].Action != "api_key.created" || all[2].Action != "user.signed_up" {
		t.Fatalf("%+v", all)
	}
	r := all[1]
	if r.Actor != ann.User.ID || r.ActorKind != platform.PrincipalUser || r.Credential != ann.p.Credential || r.Target != key.ID ||
		r.RequestID != "req_7" || r.Outcome != "ok" || r.Sequence != 2 || !r.Time.Equal(b.clock.Now()) || r.Detail["scopes"] != "data.*" {
		t.Errorf("%+v", r)
	}
	some, _, err := b.Audit(ctx, ann.p, user.AuditFilter{Action: "api_key.created", Actor: ann.User.ID}, 0, "")
	if err != nil || len(some) != 1 {
		t.Errorf("%+v, %v", some, err)
	}
	some, _, err = b.Audit(ctx, ann.p, user.AuditFilter{Actor: "usr_none"}, 0, "")
	if err != nil || len(some) != 0 {
		t.Errorf("%+v, %v", some, err)
	}
	_, next, err := b.Audit(ctx, ann.p, user.AuditFilter{}, 1, "")
	noError(t, err)
	_, _, err = b.Audit(ctx, ann.p, user.AuditFilter{Actor: ann.User.ID}, 1, next)
	want(t, err, platform.KindMalformed, "bad_cursor")
}

func TestAuditTampering(t *testing.T) {
	b := open(t)
	for name, tamper := range map[string]string{
		"another actor":                 `UPDATE user_audit SET actor = 'usr_eve' WHERE tenant = 'TENANT' AND sequence = 2`,
		"another target":                `UPDATE user_audit SET target = 'org_2' WHERE tenant = 'TENANT' AND sequence = 2`,
		"another address":               `UPDATE user_audit SET client = '192.0.2.9' WHERE tenant = 'TENANT' AND sequence = 2`,
		"another outcome":               `UPDATE user_audit SET outcome = 'failed' WHERE tenant = 'TENANT' AND sequence = 2`,
		"other salts":                   `UPDATE user_audit SET salts = (SELECT salts FROM user_audit WHERE tenant = 'TENANT' AND sequence = 1) WHERE tenant = 'TENANT' AND sequence = 2`,
		"a value of what is erased":     `UPDATE user_audit SET erased = 1 WHERE tenant = 'TENANT' AND sequence = 2`,
		"passed off as erased":          `UPDATE user_audit SET erased = 15, actor = '', credential = '', target = '', client = '', request_id = '', detail = '' WHERE tenant = 'TENANT' AND sequence = 2`,
		"passed off as old":             `UPDATE user_audit SET erased = 15, actor = '', credential = '', target = '', client = '', request_id = '', detail = '', action = 'x', salts = '' WHERE tenant = 'TENANT' AND sequence = 2`,
		"a removed beginning":           `DELETE FROM user_audit WHERE tenant = 'TENANT' AND sequence = 1`,
		"a beginning removed with care": `UPDATE user_audit_heads SET floor_sequence = 2, floor_hash = (SELECT hash FROM user_audit WHERE tenant = 'TENANT' AND sequence = 2) WHERE tenant = 'TENANT'`,
		"a record too many":             `INSERT INTO user_audit SELECT tenant, 5, 'aud_x', time, actor, actor_kind, credential, action, target, outcome, request_id, client, detail, previous, hash, salts, erased FROM user_audit WHERE tenant = 'TENANT' AND sequence = 4`,
		"a changed record":              `UPDATE user_audit SET action = 'nothing' WHERE tenant = 'TENANT' AND sequence = 2`,
		"another time":                  `UPDATE user_audit SET time = time + 1 WHERE tenant = 'TENANT' AND sequence = 2`,
		"other details":                 `UPDATE user_audit SET detail = '{}' WHERE tenant = 'TENANT' AND sequence = 2`,
		"a removed record":              `DELETE FROM user_audit WHERE tenant = 'TENANT' AND sequence = 2`,
		"a moved record":                `UPDATE user_audit SET sequence = 20 WHERE tenant = 'TENANT' AND sequence = 3`,
		"a cut end":                     `DELETE FROM user_audit WHERE tenant = 'TENANT' AND sequence = 4`,
		"nothing left":                  `DELETE FROM user_audit WHERE tenant = 'TENANT'`,
		"another head":                  `UPDATE user_audit_heads SET sequence = 3 WHERE tenant = 'TENANT'`,
		"another head hash":             `UPDATE user_audit_heads SET hash = (SELECT hash FROM user_audit WHERE tenant = 'TENANT' AND sequence = 1) WHERE tenant = 'TENANT'`,
		"a removed head":                `DELETE FROM user_audit_heads WHERE tenant = 'TENANT'`,
	} {
		t.Run(name, func(t *testing.T) {
			ann := b.signUp(t, strings.ReplaceAll(name, " ", ".")+"@example.com")
			for range 3 {
				_, err := b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{Name: ptr("Other")})
				noError(t, err)
			}
			head, err := b.VerifyAudit(t.Context(), ann.p)
			if err != nil || head.Sequence != 4 || len(head.Hash) != 66 {
				t.Fatalf("%+v, %v", head, err)
			}
			b.exec(t, strings.ReplaceAll(tamper, "TENANT", string(ann.p.Tenant)))
			if _, err := b.VerifyAudit(t.Context(), ann.p); !errors.Is(err, user.ErrAuditBroken) {
				t.Errorf("not found: %v", err)
			}
		})
	}
}

// A consistent cut of the end shows only against a head kept elsewhere.
func TestAuditAnchor(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	before, err := b.VerifyAudit(t.Context(), ann.p)
	noError(t, err)
	_, err = b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{Name: ptr("Other")})
	noError(t, err)
	after, err := b.VerifyAudit(t.Context(), ann.p, before)
	noError(t, err)
	b.exec(t, `DELETE FROM user_audit WHERE sequence = 2`)
	b.exec(t, `UPDATE user_audit_heads SET sequence = 1, hash = (SELECT hash FROM user_audit WHERE sequence = 1)`)
	_, err = b.VerifyAudit(t.Context(), ann.p, before)
	noError(t, err)
	for _, anchor := range []user.AuditHead{after, {Sequence: 1, Hash: after.Hash}} {
		if _, err := b.VerifyAudit(t.Context(), ann.p, anchor); !errors.Is(err, user.ErrAuditBroken) {
			t.Errorf("not found: %v", err)
		}
	}
}

// Chains stay whole under concurrency, each tenant's its own. The writers have
// nothing in common but the chain: each ends a session of its own.
func TestAuditConcurrently(t *testing.T) {
	b := open(t)
	const each = 32
	people := []person{b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")}
	sessions := make(map[string]person)
	for _, who := range people {
		for range each {
			in, err := b.LogIn(t.Context(), user.LogIn{Email: who.User.Email, Password: goodPassword})
			noError(t, err)
			sessions[in.Session] = who
		}
	}
	var wg sync.WaitGroup
	for id, who := range sessions {
		wg.Go(func() {
			if err := b.RevokeSession(context.Background(), who.p, id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, who := range people {
		if head, err := b.VerifyAudit(t.Context(), who.p); err != nil || head.Sequence != 2*each+1 {
			t.Errorf("%+v, %v", head, err)
		}
	}
}
