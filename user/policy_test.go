package user_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

// dice draws small policies of few words, so that rules meet.
type dice struct{ *rand.Rand }

func (d dice) of(list ...string) string { return list[d.IntN(len(list))] }

func (d dice) some(n int, one func() string) []string {
	list := make([]string, d.IntN(n+1))
	for i := range list {
		list[i] = one()
	}
	return list
}

func (d dice) permission() string {
	p := d.of("a", "b", "ab")
	for range d.IntN(3) {
		p += "." + d.of("a", "b", "c")
	}
	if d.IntN(20) == 0 {
		p += ".a-word-that-is-as-long-as-the-longest-ones-that-anybody-would-write-down"
	}
	return p
}

func (d dice) pattern() string {
	switch d.IntN(10) {
	case 0:
		return "*"
	case 1, 2, 3:
		return d.permission() + ".*"
	}
	return d.permission()
}

func (d dice) role() string { return d.of("owner", "member", "viewer", "x", "y", "z", "none") }
func (d dice) team() string { return d.of("t1", "t2", "t3") }
func (d dice) user() string { return d.of("u1", "u2", "u3", "t1", "member") }

func (d dice) resource() user.Resource {
	r := user.Resource{Type: d.of("", "invoice", "film")}
	if r.Type != "" {
		r.ID = d.of("", "1", "2")
	}
	return r
}

func (d dice) policy() user.TestPolicy {
	p := user.TestPolicy{
		Shared: map[string][]string{"owner": {"*"}, "member": d.some(3, d.pattern), "viewer": d.some(2, d.pattern)},
		Own:    map[string]user.TestRole{}, Teams: map[string][]string{}, Users: map[string][]string{},
	}
	parents := func() string { return d.of("member", "viewer", "x", "y", "z") }
	for _, name := range d.some(4, d.role) {
		if name != "none" {
			p.Own[name] = user.TestRole{Permissions: d.some(2, d.pattern), Parents: d.some(2, parents)}
		}
	}
	for _, id := range d.some(3, d.team) {
		p.Teams[id] = d.some(2, parents)
	}
	for range d.IntN(4) {
		if len(p.Teams) > 0 {
			p.Users[d.user()] = slices.DeleteFunc(d.some(2, d.team), func(t string) bool { return p.Teams[t] == nil })
		}
	}
	for range d.IntN(5) {
		r := user.TestRule{Permission: d.pattern(), Effect: user.Effect(d.of("allow", "deny", "deny"))}
		if d.IntN(2) == 0 {
			r.Team = d.team()
		} else {
			r.Role = d.of("member", "viewer", "x", "y", "z")
		}
		if d.IntN(3) == 0 {
			at := d.resource()
			r.Type, r.ID = at.Type, at.ID
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

// The index, the explanations and the model of a host that changes nothing say
// what casbin says as it comes, for random rules and questions. Who may grant
// something has it.
func TestIndexAgreesWithCasbin(t *testing.T) {
	testdb.SQLiteOnly(t) // no store is asked
	policies, questions := 2000, 12
	if testing.Short() {
		policies = 200
	}
	allowed, denied, covered := 0, 0, 0
	for seed := range policies {
		d := dice{rand.New(rand.NewPCG(uint64(seed), 10))}
		p := d.policy()
		oracle, err := p.Oracle()
		noError(t, err)
		model, err := p.Model(user.DefaultAccessModel)
		noError(t, err)
		index, explained := p.Index(), p.Explained()
		for range questions {
			roles, who, permission, r := d.some(3, d.role), d.user(), d.permission(), d.resource()
			want, err := oracle(roles, who, permission, r)
			noError(t, err)
			for name, decide := range map[string]user.Decider{"index": index, "explanation": explained, "model": model} {
				if got, err := decide(roles, who, permission, r); err != nil || got != want {
					t.Fatalf("seed %d, %+v: %s with %v asks for %s of %+v: the %s says %v, %v; casbin %v", seed, p, who, roles, permission, r, name, got, err, want)
				}
			}
			if want {
				allowed++
			} else {
				denied++
			}
			pattern := d.pattern()
			if p.Covers(roles, who, []string{pattern}) && platform.Grants(pattern, permission) {
				covered++
				if !want {
					t.Fatalf("seed %d, %+v: %s with %v may grant %s and has not %s of %+v", seed, p, who, roles, pattern, permission, r)
				}
			}
		}
	}
	t.Logf("%d policies, %d questions allowed, %d denied, %d covered", policies, allowed, denied, covered)
	if !testing.Short() && (allowed < 2000 || denied < 2000 || covered < 50) {
		t.Error("the policies are too much alike")
	}
}

func replaced(text, old, with string) string {
	if !strings.Contains(text, old) {
		panic(old)
	}
	return strings.Replace(text, old, with, 1)
}

// A model that is more than another matcher is refused when the service is made.
func TestAccessModels(t *testing.T) {
	head, _, _ := strings.Cut(user.DefaultAccessModel, "m = ")
	for text, ok := range map[string]bool{
		user.DefaultAccessModel:                                 true,
		head + "m = g(r.sub, p.sub, r.dom) && r.user != \"\"\n": true,
		head + "m = attribute(r.attrs, \"owner\") == r.user\n":  true,
		head + "m = eval(p.act)\n":                              false,
		head + "m = nothing(r.sub)\n":                           false,
		head + "m = grants(r.attrs, 1)\n":                       false,
		head + "m = r.none == \"\"\n":                           false,
		head + "m = (\n":                                        false,
		"":                                                      false,
		replaced(user.DefaultAccessModel, "&& !some(where (p.eft == deny))", ""):         false,
		replaced(user.DefaultAccessModel, "p = sub, dom, act, res, eft", "p = sub, act"): false,
		replaced(user.DefaultAccessModel, "g = _, _, _", "g = _, _"):                     false,
		replaced(user.DefaultAccessModel, "g = _, _, _", "g = _, _, _\ng2 = _, _"):       false,
	} {
		if err := user.CheckAccessModel(text); ok != (err == nil) {
			t.Errorf("%s\n%v", text, err)
		}
	}
	b := open(t)
	_, err := user.New(user.Config{DB: b.db, Issuer: issuer, Cache: newClockCache(b.clock), AccessModel: "[matchers]\nm = true"})
	if err == nil {
		t.Error("a service with a model of one line")
	}
	many := map[string][]string{}
	for i := range 61 {
		many[fmt.Sprint("role", i)] = []string{"a.*"}
	}
	if _, err := user.New(user.Config{DB: b.db, Issuer: issuer, Cache: newClockCache(b.clock), Roles: many}); err == nil {
		t.Error("a service with 65 roles")
	}
}
