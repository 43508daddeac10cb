package gateway_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

// writes counts what is kept.
type writes struct {
	store.Cache
	n atomic.Int64
}

func (w *writes) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	w.n.Add(1)
	return w.Cache.Set(ctx, tenant, key, value, ttl)
}

// Of one public answer there is one entry, however its request is spelt: a
// query that the operation does not have, a field that the answer does not vary
// by, an escape that need not be.
func TestCacheKeepsOneEntryOfOneAnswer(t *testing.T) {
	const operation = `"operationId": %q, "responses": {"200": {"description": "OK"}}`
	doc := `{"openapi": "3.1.0", "paths": {
		"/keys": {"get": {` + fmt.Sprintf(operation, "keys") + `}},
		"/pages": {"get": {"parameters": [{"name": "page", "in": "query"}], ` + fmt.Sprintf(operation, "pages") + `}}}}`
	o := newOrigin("Cache-Control: public, max-age=60")
	keys := route("keys", "GET", "/keys", platform.Public(), o.ServeHTTP)
	pages := route("pages", "GET", "/pages", platform.Public(), o.ServeHTTP)
	keys.Cacheable, pages.Cacheable = true, true
	cfg, kept := config(), &writes{Cache: memory.NewCache(4 << 20)}
	cfg.Cache = kept
	g, err := gateway.New(cfg, described{module{"things", []platform.Route{keys, pages}}, doc})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		call(g, "GET", fmt.Sprint("/keys?x=", i))
		call(g, "GET", fmt.Sprint("/keys?", i))
		call(g, "GET", "/keys?%zz")
		call(g, "GET", "/ke%79s")
		call(g, "GET", "/keys", fmt.Sprint("Accept: text/x", i))
		call(g, "GET", fmt.Sprint("/pages?page=1&x=", i))
		call(g, "GET", fmt.Sprint("/pages?page=1&page=", i))
	}
	if n := kept.n.Load(); n != 1 {
		t.Errorf("%d entries", n)
	}
	call(g, "GET", "/pages?page=1")
	call(g, "GET", "/pages?page=2")
	if n := kept.n.Load(); n != 3 {
		t.Errorf("%d entries with two pages", n)
	}
	before := o.calls
	call(g, "GET", "/keys")
	call(g, "GET", "/pages?page=2")
	if o.calls != before {
		t.Error("what is kept is not served")
	}
}

// A router that does not describe its operations may read any parameter.
func TestCacheWithoutDescription(t *testing.T) {
	o := newOrigin("Cache-Control: public, max-age=60")
	g := cached(t, o, newClock())
	for range 2 {
		call(g, "GET", "/public?a=1")
		call(g, "GET", "/public?a=2")
	}
	if o.calls != 2 {
		t.Errorf("%d calls", o.calls)
	}
}
