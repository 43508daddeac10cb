package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// CacheConfig configures [Cache].
type CacheConfig struct {
	// Store keeps the answers.
	Store store.Cache
	// Public keeps one answer for all callers, and refuses to serve a route
	// whose requests carry a credential from it. Otherwise each principal of
	// each tenant has answers of its own, and a request without a principal
	// is not cached.
	Public bool
	// Query are the parameters of the query that answers depend on. A request
	// with any other is not answered from the store, and its answer is not
	// kept, or whoever adds "?x=1", "?x=2" and so on fills the store. Nil says
	// nothing about them: each query has an answer of its own. An empty list
	// is that there are none.
	Query []string
	// MaxEntry is the largest body that is kept, in bytes; zero is 256 KiB.
	MaxEntry int
	// Logger is told when the store fails; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// revalidated is how long an answer that must be confirmed on each use, or
// that is no longer fresh, is kept for it.
const revalidated = 10 * time.Minute

// Cache keeps answers to GET and serves them again, by RFC 9111: those of
// status 200 with a Cache-Control that allows it. While max-age lasts the
// handler is not asked; after that, and with no-cache, it is asked with
// If-None-Match, and its 304 has the kept answer served. Callers get 304 for
// what they have, Age on what was kept, and their own no-cache, no-store,
// max-age and only-if-cached are honoured. No age is ever guessed, nothing is
// kept of an answer without Cache-Control, with Set-Cookie, or longer than
// MaxEntry; requests with Range or with conditions other than If-None-Match
// pass by.
//
// The key holds who asks: tenant, subject, credential, roles and scopes. Two
// principals never share an answer, whatever its headers say. What is spelt in
// more ways than one has one key or none: a path with needless escapes passes
// by, and of a public answer the request fields that it varies by are all that
// count. It goes behind
// [Authorize], so that a right that was taken away takes effect at once.
//
// A write does not remove what was kept: an answer that must not be old says
// no-cache. A store that fails is a miss. It panics without a Store.
func Cache(cfg CacheConfig) func(http.Handler) http.Handler {
	if cfg.Store == nil {
		panic("gateway: Cache needs a Store")
	}
	if cfg.MaxEntry <= 0 {
		cfg.MaxEntry = 256 << 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return func(next http.Handler) http.Handler {
		return &responseCache{CacheConfig: cfg, next: next}
	}
}

type responseCache struct {
	CacheConfig
	next http.Handler
	// The store failed when it was last read, and written to: one that is full
	// fails in the second alone.
	reading, writing atomic.Bool
}

func (c *responseCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, key, ok := c.key(r)
	if !c.Public {
		w.Header().Add("Vary", "Authorization, X-API-Key")
	}
	asked := parseCacheControl(r.Header)
	if !ok || asked.noStore {
		c.next.ServeHTTP(w, r)
		return
	}
	now := c.Now()
	have := c.load(r, tenant, key)
	if have != nil {
		age := have.age(now)
		confirm := asked.noCache || r.Header.Get("Pragma") == "no-cache" && r.Header["Cache-Control"] == nil ||
			asked.maxAge >= 0 && age > asked.maxAge
		if !confirm && age < have.fresh {
			have.serve(w, r, now)
			return
		}
	}
	if asked.onlyIfCached {
		platform.NewProblem(r.Context(), http.StatusGatewayTimeout, "not_cached", "no stored answer can be used").Write(w)
		return
	}
	c.ask(w, r, tenant, key, have)
}

// key tells where the answer to r is kept, and whether it may be.
func (c *responseCache) key(r *http.Request) (platform.TenantID, string, bool) {
	if r.Method != http.MethodGet {
		return "", "", false
	}
	for _, name := range [...]string{"Range", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		if _, ok := r.Header[name]; ok {
			return "", "", false
		}
	}
	if r.URL.RawPath != "" || !c.reads(r.URL.RawQuery) {
		return "", "", false
	}
	var buf [512]byte
	b := buf[:0]
	tenant := platform.NoTenant
	if c.Public {
		if r.Header["Authorization"] != nil || r.Header["X-Api-Key"] != nil || r.Header["Cookie"] != nil {
			return "", "", false
		}
	} else {
		p, err := platform.CallerFrom(r.Context())
		if err != nil {
			return "", "", false
		}
		tenant = p.Tenant
		b = principalBytes(b, p)
	}
	b = appendString(appendString(b, r.URL.EscapedPath()), r.URL.RawQuery)
	if !c.Public {
		b = appendString(b, requestField(r.Header, "Accept"))
	}
	sum := sha256.Sum256(b)
	return tenant, "http:" + base64.RawURLEncoding.EncodeToString(sum[:]), true
}

// reads reports whether all parameters of the query are those that answers
// depend on, once each.
func (c *responseCache) reads(query string) bool {
	if c.Query == nil || query == "" {
		return true
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	for name, all := range values {
		if len(all) > 1 || !slices.Contains(c.Query, name) {
			return false
		}
	}
	return true
}

func (c *responseCache) load(r *http.Request, tenant platform.TenantID, key string) *stored {
	raw, ok, err := c.Store.Get(r.Context(), tenant, key)
	c.note(r.Context(), &c.reading, err)
	if err != nil || !ok {
		return nil
	}
	have, err := decodeEntry(raw)
	if err != nil || !have.selects(r.Header) {
		return nil
	}
	return have
}

func (c *responseCache) save(ctx context.Context, tenant platform.TenantID, key string, s *stored) {
	ttl := s.fresh
	if s.etag != "" {
		ttl += revalidated
	}
	c.note(ctx, &c.writing, c.Store.Set(ctx, tenant, key, s.encode(), ttl))
}

// note tells once that the store fails, however many requests find out, and
// once that it works again.
func (c *responseCache) note(ctx context.Context, failing *atomic.Bool, err error) {
	switch {
	case err == nil:
		if failing.Load() && failing.CompareAndSwap(true, false) {
			c.Logger.InfoContext(ctx, "the response cache works again")
		}
	case ctx.Err() == nil && failing.CompareAndSwap(false, true):
		c.Logger.WarnContext(ctx, "the response cache fails", slog.Any("error", err),
			slog.String("request_id", platform.RequestIDFrom(ctx)))
	}
}
