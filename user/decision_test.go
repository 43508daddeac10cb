package user_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// path is the way of a rule as text.
func path(r user.AppliedRule) string {
	var steps []string
	for _, s := range r.Via {
		if s.Team != "" {
			steps = append(steps, "team")
		}
		if s.Role != "" {
			steps = append(steps, s.Role)
		}
	}
	return fmt.Sprintf("%s %s by %s", r.Effect, r.Permission, strings.Join(steps, ">"))
}

func paths(d user.Decision) (all []string) {
	for _, r := range d.Rules {
		all = append(all, path(r))
	}
	slices.Sort(all)
	return all
}

func TestExplainAccess(t *testing.T) {
	b := open(t, invoices)
	ann := b.signUp(t, "ann@example.com")
	ctx := t.Context()
	_, err := b.CreateRole(ctx, ann.p, user.NewRole{Name: "clerk", Permissions: []string{"host.read"}, Parents: []string{user.RoleMember}})
	noError(t, err)
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	team, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: "Support", Roles: []string{"clerk"}})
	noError(t, err)
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	deny, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Role: user.RoleMember, Permission: "data.records.delete", Effect: user.Deny})
	noError(t, err)
	_, err = b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{
		Team: team.ID, Permission: "host.pay", Effect: user.Allow, Resource: user.Resource{Type: "invoice"},
	})
	noError(t, err)
	for _, c := range []struct {
		permission string
		resource   user.Resource
		allowed    bool
		reason     user.Reason
		paths      []string
	}{
		{"data.records.read", user.Resource{}, true, user.ReasonAllowed, []string{"allow data.records.read by team>clerk>member", "allow data.records.read by viewer"}},
		{"data.records.write", user.Resource{}, true, user.ReasonAllowed, []string{"allow data.records.write by team>clerk>member"}},
		{"data.records.delete", user.Resource{}, false, user.ReasonDenied, []string{"allow data.records.delete by team>clerk>member", "deny data.records.delete by team>clerk>member"}},
		{"host.read", user.Resource{Type: "invoice", ID: "1"}, true, user.ReasonAllowed, []string{"allow host.read by team>clerk"}},
		{"host.pay", user.Resource{}, false, user.ReasonNoRule, nil},
		{"host.pay", user.Resource{Type: "invoice", ID: "1"}, true, user.ReasonAllowed, []string{"allow host.pay by team"}},
		{"host.other", user.Resource{}, false, user.ReasonNoRule, nil},
	} {
		d, err := b.ExplainMember(ctx, ann.p, m.ID, c.permission, c.resource)
		if err != nil || d.Allowed != c.allowed || d.Reason != c.reason || !slices.Equal(paths(d), c.paths) {
			t.Errorf("%s of %+v: %v, %+v, %v; want %v", c.permission, c.resource, paths(d), d, err, c.paths)
		}
		b.mayTo(t, ben, c.permission, c.resource, c.allowed)
	}
	d, err := b.ExplainMember(ctx, ann.p, m.ID, "data.records.delete", user.Resource{})
	if err != nil || d.Rules[0].RuleID != deny.ID || d.Rules[0].Effect != user.Deny || d.Rules[1].RuleID != "" {
		t.Errorf("%+v, %v", d, err)
	}
	for what, c := range map[string]struct {
		change func(*platform.Principal)
		reason user.Reason
	}{
		"an owner":                        {func(*platform.Principal) {}, user.ReasonAllowed},
		"the host":                        {func(p *platform.Principal) { *p = platform.System(p.Tenant, "host") }, user.ReasonSystem},
		"a key that may read roles alone": {func(p *platform.Principal) { p.Scopes = []string{"user.roles.read"} }, user.ReasonScope},
	} {
		p := ann.p.Clone()
		c.change(&p)
		if d, err := b.ExplainAccess(ctx, p, "data.records.delete", user.Resource{}); err != nil || d.Reason != c.reason || d.Allowed != (c.reason != user.ReasonScope) {
			t.Errorf("%s: %+v, %v", what, d, err)
		}
	}
	_, err = b.ExplainAccess(ctx, ben, "data.records.read", user.Resource{})
	want(t, err, platform.KindForbidden, "forbidden")
	_, err = b.ExplainMember(ctx, ben, m.ID, "data.records.read", user.Resource{})
	want(t, err, platform.KindForbidden, "forbidden")
	_, err = b.ExplainMember(ctx, ann.p, "mem_none", "data.records.read", user.Resource{})
	want(t, err, platform.KindNotFound, "")
}

func TestBadQuestions(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	many := make([]user.Question, 101)
	for i := range many {
		many[i].Permission = "data.records.read"
	}
	attributes := map[string]string{}
	for i := range 21 {
		attributes[fmt.Sprint("a", i)] = "x"
	}
	for what, questions := range map[string][]user.Question{
		"none": nil, "too many": many,
		"a pattern":      {{Permission: "data.*"}},
		"everything":     {{Permission: "*"}},
		"no permission":  {{}},
		"no type":        {{Permission: "a.b", Resource: user.Resource{ID: "1"}}},
		"a bad type":     {{Permission: "a.b", Resource: user.Resource{Type: "1 x"}}},
		"a long id":      {{Permission: "a.b", Resource: user.Resource{Type: "x", ID: strings.Repeat("x", 201)}}},
		"attributes":     {{Permission: "a.b", Resource: user.Resource{Type: "x", Attributes: attributes}}},
		"a long text":    {{Permission: "a.b", Resource: user.Resource{Type: "x", Attributes: map[string]string{"a": strings.Repeat("x", 1001)}}}},
		"a bad name":     {{Permission: "a.b", Resource: user.Resource{Type: "x", Attributes: map[string]string{"": "x"}}}},
		"one of several": {{Permission: "a.b"}, {Permission: "a..b"}},
	} {
		answers, err := b.CanAll(t.Context(), ann.p, questions)
		if platform.KindOf(errOr(err)) != platform.KindInvalid || answers != nil {
			t.Errorf("%s: %v, %v", what, answers, err)
		}
	}
	answers, err := b.CanAll(t.Context(), ann.p, many[:100])
	if err != nil || len(answers) != 100 || slices.Contains(answers, false) {
		t.Errorf("%v, %v", answers, err)
	}
	ok, err := b.Can(t.Context(), ann.p, "a.b", user.Resource{ID: "1"})
	if want(t, err, platform.KindInvalid, ""); ok {
		t.Error("allowed beside an error")
	}
}

// No error of the store is taken for a decision.
func TestDecisionsFailClosed(t *testing.T) {
	for name, model := range map[string]string{"index": "", "casbin": user.DefaultAccessModel} {
		t.Run(name, func(t *testing.T) {
			b := open(t, func(c *user.Config) { c.AccessModel = model })
			ann := b.signUp(t, "ann@example.com")
			b.ForgetPolicies()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if ok, err := b.Can(ctx, ann.p, "data.records.read", user.Resource{}); ok || !errors.Is(err, context.Canceled) {
				t.Errorf("%t, %v", ok, err)
			}
			if err := b.Authorize(ctx, ann.p, "data.records.read"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			b.may(t, ann.p, "data.records.read", true)
		})
	}
}

// A host's matcher decides which rules apply, by what it is told of the resource;
// a rule that denies still wins.
func TestAccessModelOfTheHost(t *testing.T) {
	const matcher = `(r.act != "host.invoices.pay" || attribute(r.attrs, "owner") == r.user) && `
	b := open(t, invoices, func(c *user.Config) {
		c.AccessModel = replaced(user.DefaultAccessModel, "m = ", "m = "+matcher)
		c.Roles = map[string][]string{user.RoleMember: {"host.invoices.*"}}
	})
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	ctx := t.Context()
	of := func(owner string) user.Resource {
		return user.Resource{Type: "invoice", ID: "1", Attributes: map[string]string{"owner": owner}}
	}
	b.mayTo(t, ben, "host.invoices.read", of("usr_other"), true)
	b.mayTo(t, ben, "host.invoices.pay", of(ben.Subject), true)
	b.mayTo(t, ben, "host.invoices.pay", of("usr_other"), false)
	b.may(t, ben, "host.invoices.pay", false) // no attribute is no match
	b.mayTo(t, ann.p, "host.invoices.pay", of(ben.Subject), false)
	team, err := b.CreateTeam(ctx, ann.p, user.NewTeam{Name: "Trainees"})
	noError(t, err)
	noError(t, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
	rule, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Team: team.ID, Permission: "host.invoices.pay", Effect: user.Deny})
	noError(t, err)
	b.mayTo(t, ben, "host.invoices.pay", of(ben.Subject), false)
	d, err := b.ExplainMember(ctx, ann.p, m.ID, "host.invoices.pay", of(ben.Subject))
	if err != nil || d.Allowed || d.Reason != user.ReasonDenied || len(d.Rules) != 1 || d.Rules[0].RuleID != rule.ID || path(d.Rules[0]) != "deny host.invoices.pay by team" {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = b.ExplainMember(ctx, ann.p, m.ID, "host.invoices.pay", of("usr_other"))
	if err != nil || d.Allowed || d.Reason != user.ReasonNoRule || d.Rules != nil {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = b.ExplainMember(ctx, ann.p, m.ID, "host.invoices.read", of("usr_other"))
	if err != nil || !d.Allowed || len(d.Rules) != 1 || path(d.Rules[0]) != "allow host.invoices.* by member" {
		t.Errorf("%+v, %v", d, err)
	}
}

// What is kept of organizations without rules of their own is small, and nothing
// is compiled for them.
func TestPlainOrganizationsShareOneIndex(t *testing.T) {
	b := open(t)
	for i := range 1000 {
		p := platform.Principal{Tenant: platform.TenantID(fmt.Sprint("org_", i)), Subject: "usr_1", Roles: []string{"member"}}
		noError(t, b.Authorize(t.Context(), p, "data.records.write"))
	}
	n, bytes := b.PoliciesInMemory()
	if n != 1000 || bytes > 1000*300 {
		t.Errorf("%d policies are taken for %d bytes", n, bytes)
	}
	p := platform.Principal{Tenant: "org_1", Subject: "usr_1", Roles: []string{"member"}}
	if allocs := testing.AllocsPerRun(100, func() { noError(t, b.Authorize(t.Context(), p, "data.records.write")) }); allocs > 0 {
		t.Errorf("a decision allocates %.0f times", allocs)
	}
}

func TestDecisionsOverHTTP(t *testing.T) {
	b := open(t, invoices)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	_, m := b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	access := ann.Tokens.Access
	team := send[object](t, h, access, "POST", "/v1/teams", `{"name":"Support"}`, 201)
	members := fmt.Sprintf("/v1/teams/%s/members", team["id"])
	send[object](t, h, access, "POST", members, fmt.Sprintf(`{"member_id":%q}`, m.ID), 204)
	if list := send[object](t, h, access, "GET", members, "", 200); len(list["data"].([]any)) != 1 {
		t.Errorf("members %v", list)
	}
	rule := send[object](t, h, access, "POST", "/v1/access-rules",
		fmt.Sprintf(`{"team_id":%q,"permission":"host.pay","effect":"allow","resource":{"type":"invoice"}}`, team["id"]), 201)
	check := func() string {
		return fmt.Sprint(send[object](t, h, tokens.Access, "POST", "/v1/authorize/check",
			`{"checks":[{"permission":"data.records.read"},{"permission":"host.pay"},{"permission":"host.pay","resource":{"type":"invoice","id":"1","attributes":{"a":"b"}}}]}`, 200)["data"])
	}
	if got := check(); got != "[map[allowed:true] map[allowed:false] map[allowed:true]]" {
		t.Errorf("answers %s", got)
	}
	why := fmt.Sprintf(`{"member_id":%q,"permission":"host.pay","resource":{"type":"invoice"}}`, m.ID)
	d := send[object](t, h, access, "POST", "/v1/authorize/explain", why, 200)
	if got := fmt.Sprint(d["rules"]); d["reason"] != "allowed" || !strings.Contains(got, fmt.Sprint(rule["id"])) || !strings.Contains(got, fmt.Sprint(team["id"])) {
		t.Errorf("explanation %v", d)
	}
	if status, answer := call(t, h, tokens.Access, "POST", "/v1/authorize/explain", why); status != 403 {
		t.Errorf("%d %s", status, answer)
	}
	send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/access-rules/%s", rule["id"]), "", 204)
	send[object](t, h, access, "DELETE", members+"/"+m.ID, "", 204)
	if got := check(); got != "[map[allowed:true] map[allowed:false] map[allowed:false]]" {
		t.Errorf("answers %s", got)
	}
	send[object](t, h, access, "PATCH", fmt.Sprintf("/v1/teams/%s", team["id"]), `{"name":"Care","roles":["member"]}`, 200)
	if got := send[object](t, h, access, "GET", fmt.Sprintf("/v1/teams/%s", team["id"]), "", 200); got["name"] != "Care" || fmt.Sprint(got["roles"]) != "[member]" {
		t.Errorf("team %v", got)
	}
	send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/teams/%s", team["id"]), "", 204)
	role := send[object](t, h, access, "POST", "/v1/roles", `{"name":"clerk","permissions":[],"parents":["viewer"]}`, 201)
	if fmt.Sprint(role["parents"]) != "[viewer]" {
		t.Errorf("role %v", role)
	}
	role = send[object](t, h, access, "PATCH", fmt.Sprint("/v1/roles/", role["id"]), `{"permissions":["host.x"],"parents":[]}`, 200)
	if fmt.Sprint(role["parents"], role["permissions"]) != "[] [host.x]" {
		t.Errorf("role %v", role)
	}
}
