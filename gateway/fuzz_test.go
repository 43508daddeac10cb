package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// Whatever the path, the answer is a handler's or a problem: never a redirect
// nor a text of the router beneath.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"", "/", "*", "//", "/v1/news", "/v1/news/", "/v1/tree", "/v1/tree/", "/v1/tree/a%2e%2e/b", "/v1/tree/%2e%2e", "/v1/./news",
		"/v1/../v1/news", "/v1/tree//", "/v1/things/%2F..%2F", "/.", "/..", "/...", "/v1/tree/.../..x/.y", "/v1/tree/%",
	} {
		f.Add(http.MethodGet, path)
		f.Add(http.MethodConnect, path)
		f.Add(http.MethodOptions, path)
	}
	cfg := config()
	cfg.RateLimit = gateway.NoLimit
	g := newGateway(f, cfg, thingRoutes()[:5]...)
	f.Fuzz(func(t *testing.T, method, path string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = method
		u, err := url.ParseRequestURI(path)
		if err != nil {
			u = &url.URL{Path: path}
		}
		r.URL = u
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusNoContent:
		default:
			if w.Code < 400 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %q: %d %v", method, path, w.Code, w.Header())
			}
		}
	})
}

// torn is a cache that gives back what nobody wrote.
type torn struct {
	*memory.Cache
	entry []byte
}

func (c torn) Get(context.Context, platform.TenantID, string) ([]byte, bool, error) {
	return c.entry, true, nil
}

// An entry that cannot be read is a miss.
func FuzzCacheEntry(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add([]byte{1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 127})
	f.Add([]byte{1, 0, 0, 0, 1, 4, 'E', 't', 'a', 'g', 3, '"', '1', '"', 'b'})
	f.Fuzz(func(t *testing.T, entry []byte) {
		o := newOrigin()
		h := gateway.Cache(gateway.CacheConfig{
			Store: torn{memory.NewCache(0), entry}, Public: true, Now: func() time.Time { return time.UnixMilli(1 << 40) },
		})(o)
		if w := call(h, http.MethodGet, "/"); w.Code != http.StatusOK {
			t.Errorf("%v: %d", entry, w.Code)
		}
	})
}
