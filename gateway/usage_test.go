package gateway_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// counting is a module that counts what tenants use.
type counting struct {
	module
	usage func(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error)
}

func (c counting) Usage(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
	return c.usage(ctx, tenant)
}

// used is a module that has counted some of a limit.
func used(name string, usage ...platform.Usage) counting {
	return counting{module{name, nil}, func(_ context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
		if tenant != "org_a" {
			return nil, nil
		}
		return usage, nil
	}}
}

type usageReport struct {
	Data []struct {
		Name     string
		Used     int64
		Limit    *int64
		ResetsAt *time.Time `json:"resets_at"`
	}
	Unavailable []string
}

func reportOf(t *testing.T, w *httptest.ResponseRecorder) (r usageReport, names []string) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || r.Data == nil || r.Unavailable == nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for _, u := range r.Data {
		names = append(names, u.Name)
	}
	return r, names
}

// A tenant sees what it has used, of every part that counts.
func TestUsage(t *testing.T) {
	clk := newClock()
	midnight := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	cfg := config()
	cfg.Cache = memory.NewCache(1<<20, memory.WithNow(clk.Now))
	cfg.Now, cfg.Limits = clk.Now, plans(platform.Limits{RequestsPerMinute: 100, Streams: -1})
	g, err := gateway.New(cfg,
		used("notify", platform.Usage{Name: "notify.emails", Used: 4, Limit: 10, Resets: midnight}),
		used("data", platform.Usage{Name: "data.records", Used: 7, Limit: -1}),
		module{"things", []platform.Route{route("things.get", "GET", "/v1/things", platform.Authenticated(), noContent)}})
	if err != nil {
		t.Fatal(err)
	}
	call(g, "GET", "/v1/things", bob)
	w := call(g, "GET", "/v1/usage", alice)
	r, names := reportOf(t, w)
	if !slices.Equal(names, []string{"data.records", "notify.emails", "requests", "streams"}) || len(r.Unavailable) != 0 {
		t.Fatalf("got %s", w.Body)
	}
	records, emails, requests, streams := r.Data[0], r.Data[1], r.Data[2], r.Data[3]
	if records.Used != 7 || records.Limit != nil || records.ResetsAt != nil || streams.Limit != nil || !strings.Contains(w.Body.String(), `"limit":null`) {
		t.Errorf("what has no limit, or no end: %s", w.Body)
	}
	if emails.Used != 4 || *emails.Limit != 10 || !emails.ResetsAt.Equal(midnight) {
		t.Errorf("e-mails: %s", w.Body)
	}
	if requests.Used != 2 || *requests.Limit != 100 || !requests.ResetsAt.Equal(clk.Now().Add(time.Minute)) {
		t.Errorf("requests: %s", w.Body)
	}
	if _, names := reportOf(t, call(g, "GET", "/v1/usage", zoe)); !slices.Equal(names, []string{"requests", "streams"}) {
		t.Errorf("another tenant sees %v", names)
	}
	wantProblem(t, call(g, "GET", "/v1/usage"), 401, "unauthenticated")
	// Who has no users has nobody to ask.
	if g, err = gateway.New(gateway.Config{Cache: cfg.Cache}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, call(g, "GET", "/v1/usage"), 404, "not_found")
}

// usageUpstream is a service in another process that counts.
func usageUpstream(name string, h http.Handler) gateway.Upstream {
	return gateway.Upstream{
		Name: name, URLs: []string{"http://" + name + ".test"}, Usage: true,
		Routes: []platform.Route{{Operation: name + ".get", Method: "GET", Path: "/v1/" + name, Access: platform.Authenticated()}},
		Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if h == nil {
				return nil, errDial
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			resp := w.Result()
			resp.Request = r
			return resp, r.Context().Err()
		}),
	}
}

// served is how a process serves its usage to a gateway.
func served(audience string, c counting) http.Handler {
	public, _ := keys()
	return gateway.VerifyAssertion(gateway.VerifyAssertionConfig{
		Keys: []ed25519.PublicKey{public}, Audience: audience, Operation: "usage.get",
	})(gateway.UsageRoute(nil, c).Handler)
}

// What other processes count is asked of them, and one that does not answer is
// named.
func TestUsageOfUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := counting{module{"user", nil}, func(context.Context, platform.TenantID) ([]platform.Usage, error) {
			return nil, errors.New("no database")
		}}
		hangs := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		refuses := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		large := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"data":[{"name":"` + strings.Repeat("x", 1<<20) + `"}]}`))
		})
		log := &logs{}
		cfg := config()
		_, cfg.AssertionKey = keys()
		cfg.Logger, cfg.Now = log.logger(), time.Now
		silent := usageUpstream("silent", nil)
		silent.Usage = false
		cfg.Upstreams = []gateway.Upstream{
			usageUpstream("data", served("data", used("data", platform.Usage{Name: "data.records", Used: 7, Limit: 9}))),
			usageUpstream("notify", served("other", used("notify"))), // does not believe the assertion
			usageUpstream("user", served("user", broken)),            // answers for a part of itself
			usageUpstream("away", nil), usageUpstream("hangs", hangs), usageUpstream("refuses", refuses), usageUpstream("large", large),
			silent,
		}
		g, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := call(g, "GET", "/v1/usage", alice)
		r, names := reportOf(t, w)
		if !slices.Equal(names, []string{"data.records", "requests", "streams"}) || r.Data[0].Used != 7 ||
			!slices.Equal(r.Unavailable, []string{"away", "hangs", "large", "notify", "refuses", "user"}) {
			t.Errorf("got %s", w.Body)
		}
		if took := time.Since(began); took != 3*time.Second { // the clock is the test's
			t.Errorf("it took %v", took)
		}
		if strings.Contains(w.Body.String(), "database") || !strings.Contains(log.String(), "is not known") {
			t.Errorf("the answer %s, the log %s", w.Body, log)
		}
	})
}
