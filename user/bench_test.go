package user_test

import (
	"testing"
	"time"

	"github.com/acme/platform/user"
)

func BenchmarkVerify(b *testing.B) {
	setup := func(b *testing.B) (*bundle, person, user.Secret) {
		b.Helper()
		svc := open(b, func(c *user.Config) { c.Now = time.Now })
		ann := svc.signUp(b, "ann@example.com")
		_, key, err := svc.CreateAPIKey(b.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
		noError(b, err)
		return svc, ann, key
	}
	b.Run("repeated token", func(b *testing.B) {
		svc, ann, _ := setup(b)
		token := string(ann.Tokens.Access)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := svc.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("repeated key", func(b *testing.B) {
		svc, _, key := setup(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := svc.Verify(b.Context(), string(key)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("repeated token parallel", func(b *testing.B) {
		svc, ann, _ := setup(b)
		token := string(ann.Tokens.Access)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := svc.Verify(b.Context(), token); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("repeated cookie", func(b *testing.B) {
		svc, _, _ := setup(b)
		var w browser
		w.logIn(b, svc, "ann@example.com")
		cookies, value := svc.Cookie(), string(w.cookie.Value)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cookies.Verify(b.Context(), value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new cookie", func(b *testing.B) {
		svc, _, _ := setup(b)
		var w browser
		w.logIn(b, svc, "ann@example.com")
		b.ReportAllocs()
		for b.Loop() {
			svc.ForgetCredentials()
			if _, err := svc.Cookie().Verify(b.Context(), string(w.cookie.Value)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new token", func(b *testing.B) {
		svc, ann, _ := setup(b)
		b.ReportAllocs()
		for b.Loop() {
			svc.ForgetCredentials()
			if _, err := svc.Verify(b.Context(), string(ann.Tokens.Access)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new key", func(b *testing.B) {
		svc, _, key := setup(b)
		b.ReportAllocs()
		for b.Loop() {
			svc.ForgetCredentials()
			if _, err := svc.Verify(b.Context(), string(key)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRefresh(b *testing.B) {
	svc := open(b, func(c *user.Config) { c.Now = time.Now })
	tokens := svc.signUp(b, "ann@example.com").Tokens
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if tokens, err = svc.Refresh(b.Context(), tokens.Refresh); err != nil {
			b.Fatal(err)
		}
	}
}
