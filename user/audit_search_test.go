package user_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// pagesOf collects the actions of all pages of a search.
func (b *bundle) pagesOf(tb testing.TB, p platform.Principal, f user.AuditFilter, limit int) (actions []string, pages int) {
	tb.Helper()
	search := b.Audit
	if p.Kind == platform.PrincipalOperator {
		search = b.OperatorAudit
	}
	for cursor := ""; ; {
		some, next, err := search(tb.Context(), p, f, limit, cursor)
		noError(tb, err)
		for _, r := range some {
			actions = append(actions, r.Action)
		}
		if pages++; next == "" {
			return actions, pages
		}
		cursor = next
	}
}

// Each part of a filter chooses what it says, alone and with others, in both
// orders, whatever the size of a page and of what one call looks at.
func TestAuditSearch(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, member := b.join(t, ann.p, "ben@example.com", "admin") // invitation.created, invitation.accepted, session.switched
	b.clock.Advance(time.Hour)
	started := b.clock.Now()
	for range 3 {
		_, err := b.UpdateOrganization(t.Context(), ben, user.OrganizationChange{Name: ptr("Other")})
		noError(t, err)
		b.clock.Advance(time.Minute)
	}
	_, err := b.Switch(t.Context(), ann.p, ann.p.Tenant)
	noError(t, err)
	noError(t, b.RemoveMember(t.Context(), ann.p, member.ID))
	all := []string{
		"user.signed_up", "invitation.created", "invitation.accepted", "session.switched",
		"organization.renamed", "organization.renamed", "organization.renamed", "session.switched", "member.removed",
	}
	for name, c := range map[string]struct {
		filter user.AuditFilter
		want   []string
	}{
		"all":       {user.AuditFilter{}, all},
		"an action": {user.AuditFilter{Action: "session.switched"}, []string{"session.switched", "session.switched"}},
		"a noun":    {user.AuditFilter{Action: "organization.*"}, all[4:7]},
		"a noun that is the beginning of another": {user.AuditFilter{Action: "invit.*"}, nil},
		"an actor":          {user.AuditFilter{Actor: ben.Subject}, all[2:7]},
		"an actor's action": {user.AuditFilter{Actor: ben.Subject, Action: "session.switched"}, all[3:4]},
		"an actor's noun":   {user.AuditFilter{Actor: ann.User.ID, Action: "member.*"}, all[8:]},
		"a target":          {user.AuditFilter{Target: member.ID}, all[8:]},
		"a target's actor":  {user.AuditFilter{Target: member.ID, Actor: ben.Subject}, nil},
		"from":              {user.AuditFilter{From: started}, all[4:]},
		"to":                {user.AuditFilter{To: started}, all[:4]},
		"from and to":       {user.AuditFilter{From: started, To: started.Add(61 * time.Second)}, all[4:6]},
		"an outcome":        {user.AuditFilter{Outcome: "ok"}, all},
		"another outcome":   {user.AuditFilter{Outcome: "failed"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limits := range [][2]int{{200, 10_000}, {1, 10_000}, {2, 3}, {200, 1}} {
				b.ShortAudit(limits[1], 10)
				f := c.filter
				f.OldestFirst = true
				if got, _ := b.pagesOf(t, ann.p, f, limits[0]); !slices.Equal(got, c.want) {
					t.Errorf("oldest first, %v: %v, want %v", limits, got, c.want)
				}
				got, _ := b.pagesOf(t, ann.p, c.filter, limits[0])
				slices.Reverse(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("newest first, %v: %v, want %v", limits, got, c.want)
				}
			}
		})
	}
	b.ShortAudit(4, 10) // nothing is found in the first two calls
	if _, pages := b.pagesOf(t, ann.p, user.AuditFilter{Action: "user.*"}, 10); pages != 3 {
		t.Errorf("%d calls looked at 9 records, 4 at a time", pages)
	}
	for name, f := range map[string]user.AuditFilter{
		"a star alone": {Action: "*"}, "no noun": {Action: ".*"}, "a star within": {Action: "a*.b"}, "an outcome": {Outcome: "fine"},
		"times": {From: started, To: started},
	} {
		_, _, err := b.Audit(t.Context(), ann.p, f, 1, "")
		if want(t, err, platform.KindInvalid, ""); t.Failed() {
			t.Errorf("%s", name)
		}
	}
	_, next, err := b.Audit(t.Context(), ann.p, user.AuditFilter{}, 1, "")
	noError(t, err)
	_, _, err = b.Audit(t.Context(), ann.p, user.AuditFilter{OldestFirst: true}, 1, next)
	want(t, err, platform.KindMalformed, "bad_cursor")
}

// The routes search, check in steps, and show the head; a member without the
// permission is refused.
func TestAuditRoutes(t *testing.T) {
	b := open(t, keepAudit)
	ann := b.signUp(t, "ann@example.com")
	viewer, _ := b.join(t, ann.p, "ben@example.com", "viewer")
	noError(t, b.RecordMany(t.Context(), ann.p, "organization.renamed", 2500))
	b.ShortAudit(10_000, 1)
	h := b.edge(t)
	list := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit?action=invitation.*&order=oldest&from=2026-11-22T00:00:00Z", "", 200)
	if got := fmt.Sprint(list); strings.Count(got, "action:invitation.") != 2 {
		t.Errorf("found %s", got)
	}
	head := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/head", "", 200)
	anchor := fmt.Sprintf("&anchor=%.0f:%s", head["sequence"], head["hash"])
	calls := 0
	for cursor := ""; ; calls++ {
		check := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/verify?cursor="+cursor+anchor, "", 200)
		if check["valid"] != true || fmt.Sprint(check["from"]) != fmt.Sprint(1+1000*calls) {
			t.Fatalf("call %d: %v", calls, check)
		}
		if check["complete"] == true {
			if fmt.Sprint(check["through"]) != fmt.Sprint(head) || check["next_cursor"] != nil {
				t.Errorf("%v, but the head is %v", check, head)
			}
			break
		}
		cursor = fmt.Sprint(check["next_cursor"])
	}
	if calls != 2 {
		t.Errorf("%d calls before the last", calls)
	}
	b.exec(t, `UPDATE user_audit SET action = 'role.created' WHERE sequence = 1500`)
	first := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/verify", "", 200)
	broken := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/verify?cursor="+fmt.Sprint(first["next_cursor"]), "", 200)
	if first["valid"] != true || broken["valid"] != false || fmt.Sprint(broken["broken_at"]) != "1500" || broken["next_cursor"] != nil {
		t.Errorf("%v, %v", first, broken)
	}
	wrong := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/verify?anchor=1:"+strings.Repeat("0", 66), "", 200)
	if wrong["valid"] != false || fmt.Sprint(wrong["broken_at"]) != "1" {
		t.Errorf("another anchor: %v", wrong)
	}
	tokens, err := b.Switch(t.Context(), viewer, viewer.Tenant)
	noError(t, err)
	for _, path := range []string{"/v1/audit", "/v1/audit/verify", "/v1/audit/head", "/v1/audit/retention"} {
		send[object](t, h, tokens.Access, "GET", path, "", 403)
	}
	for _, path := range []string{
		"/v1/audit?outcome=fine", "/v1/audit?order=up", "/v1/audit?action=*", "/v1/audit?from=yesterday", "/v1/audit/verify?anchor=x",
	} {
		send[object](t, h, ann.Tokens.Access, "GET", path, "", 422)
	}
	send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/verify?cursor=x", "", 400)
}

// A person sees what they did and what was done to them, in all organizations,
// and nothing of others: not even who did it, or from where.
func TestSecurityEvents(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, member := b.join(t, ann.p, "ben@example.com", "member")
	b.clock.Advance(time.Minute)
	office := platform.WithClient(t.Context(), netip.MustParseAddr("203.0.113.5"))
	noError(t, b.RemoveMember(office, ann.p, member.ID))
	b.clock.Advance(time.Minute)
	stranger := platform.WithClient(t.Context(), netip.MustParseAddr("198.51.100.9"))
	_, err := b.LogIn(stranger, user.LogIn{Email: "ben@example.com", Password: "not the right one"})
	want(t, err, platform.KindUnauthenticated, "")
	noError(t, b.Stop(t.Context())) // it is written in the background

	var all []user.SecurityEvent
	for cursor := ""; ; {
		some, next, err := b.SecurityEvents(t.Context(), ben, 2, cursor)
		noError(t, err)
		if all = append(all, some...); next == "" {
			break
		}
		cursor = next
	}
	var actions []string
	for _, e := range all {
		actions = append(actions, e.Action)
	}
	if fmt.Sprint(actions[:2]) != "[login.failed member.removed]" || len(all) != 5 {
		t.Fatalf("%v", actions)
	}
	if e := all[0]; e.Own || e.Client != "198.51.100.9" || e.Outcome != "failed" || e.ActorKind != "" || e.Organization == "" {
		t.Errorf("a failed sign-in: %+v", e)
	}
	if e := all[1]; e.Own || e.Client != "" || e.Credential != "" || e.Target != "" || e.Detail != nil || e.ActorKind != platform.PrincipalUser ||
		e.Organization != ann.p.Tenant {
		t.Errorf("what another one did: %+v", e)
	}
	if e := all[2]; !e.Own || e.Credential == "" {
		t.Errorf("one's own act: %+v", e)
	}
	if text := fmt.Sprint(all); strings.Contains(text, ann.User.ID) || strings.Contains(text, "203.0.113.5") {
		t.Errorf("another person shows: %s", text)
	}
	organizations := map[platform.TenantID]bool{}
	for _, e := range all {
		organizations[e.Organization] = true
	}
	if got := slices.Collect(maps.Keys(organizations)); len(got) != 2 {
		t.Errorf("the organizations are %v", got)
	}
	_, key, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"*"}})
	noError(t, err)
	_, _, err = b.SecurityEvents(t.Context(), b.verify(t, key), 1, "")
	want(t, err, platform.KindForbidden, "user_required")
}
