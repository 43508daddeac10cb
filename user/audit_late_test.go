package user_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// counted are the records of an action, the oldest first, as "target count", of an
// organization or, for the zero principal, of the installation.
func (b *bundle) counted(tb testing.TB, p platform.Principal, action string) (all []string) {
	tb.Helper()
	search := b.Audit
	if p.Tenant == "" {
		p, search = platform.Principal{Kind: platform.PrincipalSystem}, b.OperatorAudit
	}
	for cursor := ""; ; {
		some, next, err := search(tb.Context(), p, user.AuditFilter{Action: action, OldestFirst: true}, 200, cursor)
		noError(tb, err)
		for _, r := range some {
			all = append(all, strings.TrimSpace(r.Target+" "+r.Detail["count"]))
		}
		if cursor = next; next == "" {
			return all
		}
	}
}

// A refused operation is in the audit of the organization: the first by itself,
// repeated ones counted in one record an hour, and reads not at all. What somebody
// repeats without end adds two records an hour.
func TestRefusalsAreRecorded(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	viewer, _ := b.join(t, ann.p, "ben@example.com", "viewer")
	tokens, err := b.Switch(t.Context(), viewer, viewer.Tenant)
	noError(t, err)
	h := b.edge(t)
	for range 20 {
		send[object](t, h, tokens.Access, "POST", "/v1/roles", `{"name":"x","permissions":[]}`, 403)
	}
	send[object](t, h, tokens.Access, "GET", "/v1/roles", "", 403)         // it changes nothing
	send[object](t, h, tokens.Access, "GET", "/v1/operator/keys", "", 403) // an operator's
	send[object](t, h, tokens.Access, "PATCH", "/v1/organization", `{"name":"X"}`, 403)
	b.clock.Advance(2 * time.Minute)
	noError(t, b.Stop(t.Context()))
	want := []string{"operator.keys.list", "organizations.update", "roles.create", "roles.create 19"}
	got := b.counted(t, ann.p, "access.refused")
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Outcome: "refused", Actor: viewer.Subject}, 0, "")
	if err != nil || len(records) != 4 || records[0].ActorKind != platform.PrincipalUser || records[0].Credential == "" {
		t.Errorf("%+v, %v", records, err)
	}
	if got := b.counted(t, platform.Principal{}, "access.refused"); got != nil {
		t.Errorf("the installation's audit has %v", got)
	}
}

// An operator who is refused is told of in the installation's audit, and what a
// handler refuses counts as well.
func TestRefusalsOfOperators(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, operator := b.operator(t, "root")
	h := b.edge(t)
	send[object](t, h, operator, "POST", "/v1/roles", `{"name":"x","permissions":[]}`, 403)
	send[object](t, h, ann.Tokens.Access, "PATCH", "/v1/members/"+memberOf(t, b, ann), `{"roles":["viewer"]}`, 403) // nobody changes their own
	noError(t, b.Stop(t.Context()))
	if got := b.counted(t, platform.Principal{}, "access.refused"); !slices.Equal(got, []string{"roles.create"}) {
		t.Errorf("the installation's audit has %v", got)
	}
	if got := b.counted(t, ann.p, "access.refused"); !slices.Equal(got, []string{"members.update"}) {
		t.Errorf("the organization's audit has %v", got)
	}
}

func memberOf(t *testing.T, b *bundle, who person) string {
	t.Helper()
	members, err := b.Members(t.Context(), who.p)
	noError(t, err)
	return members[0].ID
}

// However many different things are refused, an organization's chain grows by a
// bounded number of records an hour, and other organizations are not in the way.
func TestRefusalsAreBounded(t *testing.T) {
	b := open(t)
	noError(t, b.Stop(t.Context())) // the test does what the background does
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	for i := range 3 * user.LateKeys {
		b.Refused(t.Context(), ann.p, fmt.Sprintf("some.operation%d", i))
		noError(t, b.WriteBehind(t.Context()))
	}
	b.Refused(t.Context(), ben.p, "roles.create")
	noError(t, b.WriteBehind(t.Context()))
	if got := b.counted(t, ann.p, "access.refused"); len(got) != user.LateKeys {
		t.Errorf("%d records", len(got))
	}
	if got := b.counted(t, ben.p, "access.refused"); len(got) != 1 {
		t.Errorf("another organization has %d records", len(got))
	}
	b.clock.Advance(time.Hour)
	noError(t, b.WriteBehind(t.Context()))
	got := b.counted(t, ann.p, "access.refused")
	if len(got) != user.LateKeys+1 || got[len(got)-1] != fmt.Sprint(2*user.LateKeys) {
		t.Errorf("%d records, the last is %v", len(got), got[len(got)-1])
	}
	b.Refused(t.Context(), ann.p, "some.operation0") // a new hour
	noError(t, b.WriteBehind(t.Context()))
	if got := b.counted(t, ann.p, "access.refused"); len(got) != user.LateKeys+2 {
		t.Errorf("%d records in the next hour", len(got))
	}
	if _, err := b.VerifyAudit(t.Context(), ann.p); err != nil {
		t.Error(err)
	}
}

// Failed sign-ins: a person's are in their organization's audit, a few by
// themselves and the rest counted; those with addresses that nobody has are in the
// installation's, by network, without what was typed.
func TestFailedSignInsAreRecorded(t *testing.T) {
	b := open(t)
	noError(t, b.Stop(t.Context()))
	ann := b.signUp(t, "ann@example.com")
	away := platform.WithClient(t.Context(), netip.MustParseAddr("198.51.100.9"))
	for range user.EachFailure + 4 {
		_, err := b.LogIn(away, user.LogIn{Email: "ann@example.com", Password: "not the right one"})
		want(t, err, platform.KindUnauthenticated, "")
		b.clock.Advance(2 * time.Minute) // past the delay
	}
	const typed = "canary-typed-into-the-wrong-box@example.com"
	for range 3 {
		_, err := b.LogIn(away, user.LogIn{Email: typed, Password: "canary-of-a-stranger"})
		want(t, err, platform.KindUnauthenticated, "")
		b.clock.Advance(2 * time.Minute)
	}
	noError(t, b.WriteBehind(t.Context()))
	b.clock.Advance(time.Hour)
	noError(t, b.WriteBehind(t.Context()))
	got := b.counted(t, ann.p, "login.failed")
	if len(got) != user.EachFailure+1 || got[0] != ann.User.ID || got[user.EachFailure] != ann.User.ID+" 4" {
		t.Errorf("%v", got)
	}
	if got := b.counted(t, platform.Principal{}, "login.failed"); !slices.Equal(got, []string{"", "2"}) {
		t.Errorf("the installation has %q", got)
	}
	if text := b.table(t, "user_audit"); strings.Contains(text, "canary") || !strings.Contains(text, "198.51.100.9") {
		t.Error("the audit has what a stranger typed, or not the address")
	}
}

// What operators and the host do is in the installation's audit, and in that of
// the organization that it is done to.
func TestOperatorsAudit(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, secret := b.operator(t, "root")
	other, _ := b.operator(t, "second")
	h := b.edge(t)
	send[object](t, h, secret, "POST", "/v1/operator/organizations/"+string(ann.p.Tenant)+"/suspend", "", 200)
	send[object](t, h, secret, "POST", "/v1/operator/organizations/"+string(ann.p.Tenant)+"/resume", "", 200)
	call(t, h, secret, "DELETE", "/v1/operator/keys/"+other.ID, "")
	noError(t, b.SetUserStatus(t.Context(), ann.User.ID, user.Suspended))
	list := send[object](t, h, secret, "GET", "/v1/operator/audit?order=oldest&actor="+key.ID, "", 200)
	var actions []string
	for _, r := range list["data"].([]any) {
		actions = append(actions, fmt.Sprint(r.(object)["action"], " ", r.(object)["target"]))
	}
	if want := []string{
		"organization.status_changed " + string(ann.p.Tenant), "organization.status_changed " + string(ann.p.Tenant), "operator_key.revoked " + other.ID,
	}; !slices.Equal(actions, want) {
		t.Errorf("got %v, want %v", actions, want)
	}
	check := send[object](t, h, secret, "GET", "/v1/operator/audit/verify", "", 200)
	if check["valid"] != true || check["complete"] != true || fmt.Sprint(check["through"].(object)["sequence"]) != "6" {
		t.Errorf("%v", check)
	}
	if w := fetch(t, h, secret, "/v1/operator/audit/export"); w.Code != 200 || strings.Count(w.Body.String(), "\n") != 6 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.exec(t, `UPDATE user_audit SET target = 'org_x' WHERE tenant = '-' AND sequence = 3`)
	if check := send[object](t, h, secret, "GET", "/v1/operator/audit/verify", "", 200); fmt.Sprint(check["broken_at"]) != "3" {
		t.Errorf("%v", check)
	}
	if check, err := b.CheckAudit(t.Context(), platform.System(ann.p.Tenant, "host"), user.AuditHead{}); err != nil || check.Through.Sequence != 4 {
		t.Errorf("the organization's: %+v, %v", check, err)
	}
}
