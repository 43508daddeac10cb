package user_test

import (
	"testing"
	"time"

	"github.com/acme/platform/user"
)

func BenchmarkVerify(bench *testing.B) {
	setup := func(bench *testing.B) (*bundle, person, user.Secret) {
		b := open(bench, func(c *user.Config) { c.Now = time.Now })
		ann := b.signUp(bench, "ann@example.com")
		_, key, err := b.CreateAPIKey(bench.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
		noError(bench, err)
		return b, ann, key
	}
	bench.Run("repeated token", func(bench *testing.B) {
		b, ann, _ := setup(bench)
		token := string(ann.Tokens.Access)
		bench.ReportAllocs()
		for bench.Loop() {
			if _, err := b.Verify(bench.Context(), token); err != nil {
				bench.Fatal(err)
			}
		}
	})
	bench.Run("repeated key", func(bench *testing.B) {
		b, _, key := setup(bench)
		bench.ReportAllocs()
		for bench.Loop() {
			if _, err := b.Verify(bench.Context(), string(key)); err != nil {
				bench.Fatal(err)
			}
		}
	})
	bench.Run("repeated token parallel", func(bench *testing.B) {
		b, ann, _ := setup(bench)
		token := string(ann.Tokens.Access)
		bench.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := b.Verify(bench.Context(), token); err != nil {
					bench.Error(err)
				}
			}
		})
	})
	bench.Run("new token", func(bench *testing.B) {
		b, ann, _ := setup(bench)
		bench.ReportAllocs()
		for bench.Loop() {
			b.ForgetVerdicts()
			if _, err := b.Verify(bench.Context(), string(ann.Tokens.Access)); err != nil {
				bench.Fatal(err)
			}
		}
	})
	bench.Run("new key", func(bench *testing.B) {
		b, _, key := setup(bench)
		bench.ReportAllocs()
		for bench.Loop() {
			b.ForgetVerdicts()
			if _, err := b.Verify(bench.Context(), string(key)); err != nil {
				bench.Fatal(err)
			}
		}
	})
}

func BenchmarkAuthorize(bench *testing.B) {
	b := open(bench, func(c *user.Config) { c.Now = time.Now })
	ann := b.signUp(bench, "ann@example.com")
	for name, roles := range map[string][]string{"first role": {"owner"}, "third role": {"viewer", "none", "member"}} {
		p := ann.p.Clone()
		p.Roles = roles
		bench.Run(name, func(bench *testing.B) {
			bench.ReportAllocs()
			for bench.Loop() {
				if err := b.Authorize(bench.Context(), p, "data.records.write"); err != nil {
					bench.Fatal(err)
				}
			}
		})
	}
	bench.Run("casbin", func(bench *testing.B) {
		decide, err := user.Enforcer(map[string][]string{
			"owner": {"*"}, "member": {"data.records.read", "data.records.write", "data.records.delete"}, "viewer": {"data.records.read"},
		})
		noError(bench, err)
		bench.ReportAllocs()
		for bench.Loop() {
			if ok, err := decide("member", "data.records.write"); !ok || err != nil {
				bench.Fatal(ok, err)
			}
		}
	})
}
