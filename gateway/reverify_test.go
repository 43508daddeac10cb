package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// verifier answers with the error that it holds.
type verifier struct{ err atomic.Pointer[error] }

func (v *verifier) Verify(context.Context, string) (platform.Principal, error) {
	if err := v.err.Load(); err != nil {
		return platform.Principal{}, *err
	}
	return platform.Principal{Tenant: "org_a", Subject: "alice"}, nil
}

// A stream ends with its credential, and where nobody can say for long whether
// it is good; it outlives a moment of that.
func TestReverify(t *testing.T) {
	revoked := error(platform.Errorf(platform.KindUnauthenticated, "", "revoked"))
	away := errors.New("away")
	for name, c := range map[string]struct {
		err  *error
		back bool // after two looks
		took time.Duration
	}{
		"revoked":             {&revoked, false, 10 * time.Second},
		"nobody to ask":       {&away, false, 30 * time.Second},
		"nobody for a moment": {&away, true, time.Hour},
		"good":                {nil, false, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &verifier{}
				h := gateway.Reverify(gateway.AuthenticateConfig{Authenticators: gateway.Credentials(v)}, 10*time.Second)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
					case <-time.After(time.Hour):
					}
				}))
				v.err.Store(c.err)
				if c.back {
					time.AfterFunc(25*time.Second, func() { v.err.Store(nil) })
				}
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer x")
				r = r.WithContext(platform.WithPrincipal(t.Context(), platform.Principal{Tenant: "org_a", Subject: "alice"}))
				began := time.Now()
				h.ServeHTTP(httptest.NewRecorder(), r)
				if took := time.Since(began); took != c.took {
					t.Errorf("it ended after %v, want %v", took, c.took)
				}
			})
		})
	}
}

// one is a module with one route.
type one struct{ route platform.Route }

func (one) Name() string               { return "one" }
func (o one) Routes() []platform.Route { return []platform.Route{o.route} }

// The gateway ends a live stream with its credential, and no other.
func TestLiveRoutesEndWithTheirCredential(t *testing.T) {
	for _, live := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			v := &verifier{}
			route := platform.Route{
				Operation: "one.stream", Method: http.MethodGet, Path: "/v1/one", Access: platform.Authenticated(), Stream: true, Live: live,
				Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					revoked := error(platform.Errorf(platform.KindUnauthenticated, "", "revoked"))
					v.err.Store(&revoked)
					select {
					case <-r.Context().Done():
					case <-time.After(time.Hour):
					}
				}),
			}
			gw, err := gateway.New(gateway.Config{Authenticators: gateway.Credentials(v), RateLimit: gateway.NoLimit, SignInRateLimit: gateway.NoLimit}, one{route})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/v1/one", nil)
			r.Header.Set("Authorization", "Bearer x")
			began := time.Now()
			gw.ServeHTTP(httptest.NewRecorder(), r)
			if ended := time.Since(began) < time.Hour; ended != live {
				t.Errorf("live is %v: it ended after %v", live, time.Since(began))
			}
		})
	}
}
