package user_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// Decisions on plain roles, with the policies of all organizations in memory.
func BenchmarkAuthorize(b *testing.B) {
	for _, tenants := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(tenants, " tenants"), func(b *testing.B) {
			svc := open(b, func(c *user.Config) { c.Now, c.VerifyTTL = nil, time.Minute })
			all := make([]platform.TenantID, tenants)
			p := platform.Principal{Subject: "usr_1", Kind: platform.PrincipalUser, Roles: []string{"member"}}
			var before, after runtime.MemStats
			for i := range all {
				all[i] = platform.TenantID(fmt.Sprintf("org_%026d", i*7919))
			}
			runtime.GC()
			runtime.ReadMemStats(&before)
			for _, p.Tenant = range all {
				noError(b, svc.Authorize(b.Context(), p, "data.records.write"))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			ctx, i := b.Context(), 0
			b.ReportAllocs()
			for b.Loop() {
				if i += 7; i >= len(all) {
					i -= len(all)
				}
				p.Tenant = all[i]
				if err := svc.Authorize(ctx, p, "data.records.write"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(tenants), "B/tenant")
		})
	}
}

// casbin, which decides where a host has a model of its own.
func BenchmarkAccessModel(b *testing.B) {
	for _, rules := range []int{10, 100, 1000} {
		p := user.TestPolicy{Shared: map[string][]string{"owner": {"*"}, "member": nil}}
		for i := range rules - 1 {
			p.Shared["member"] = append(p.Shared["member"], fmt.Sprintf("data.r%d.read", i))
		}
		model, err := p.Model(user.DefaultAccessModel)
		noError(b, err)
		index := p.Index()
		for name, decide := range map[string]user.Decider{"casbin": model, "index": index} {
			b.Run(fmt.Sprintf("%s %d rules", name, rules), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if ok, err := decide([]string{"member"}, "usr_1", "data.r0.read", user.Resource{}); !ok || err != nil {
						b.Fatal(ok, err)
					}
				}
			})
		}
	}
}

// What a decision costs that finds no policy in memory: of an organization that has
// nothing of its own, and of one that has all that it may have.
func BenchmarkColdDecision(b *testing.B) {
	svc := open(b, func(c *user.Config) { c.Now = time.Now })
	ann := svc.signUp(b, "ann@example.com")
	cold := func(b *testing.B) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			svc.ForgetPolicies()
			if err := svc.Authorize(b.Context(), ann.p, "data.records.write"); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", cold)
	for i := range 50 {
		role := user.NewRole{Name: fmt.Sprint("role", i)}
		for j := range 10 {
			role.Permissions = append(role.Permissions, fmt.Sprintf("data.r%d.p%d", i, j))
		}
		_, err := svc.CreateRole(b.Context(), ann.p, role)
		noError(b, err)
	}
	for i := range 200 {
		_, err := svc.CreateAccessRule(b.Context(), ann.p, user.NewAccessRule{
			Role: fmt.Sprint("role", i%50), Permission: fmt.Sprintf("host.r%d.*", i), Effect: user.Allow,
		})
		noError(b, err)
	}
	for i := range 100 {
		_, err := svc.CreateTeam(b.Context(), ann.p, user.NewTeam{Name: fmt.Sprint("team", i), Roles: []string{fmt.Sprint("role", i%50)}})
		noError(b, err)
	}
	b.Run("700 rules", cold)
	n, bytes := svc.PoliciesInMemory()
	b.Logf("%d policy, taken for %d bytes", n, bytes)
}
