package gateway

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
)

// CredentialLimitConfig configures [CredentialLimit].
type CredentialLimitConfig struct {
	// Rate is how many credentials of one client address may be refused;
	// [NoLimit] is any number.
	Rate Rate
	// Authenticators say by their schemes where credentials are; nil is the
	// headers Authorization and X-API-Key.
	Authenticators []Authenticator
	// Client tells the address; nil is [ClientAddress] without proxies.
	Client func(*http.Request) netip.Addr
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// CredentialLimit stands before [Authenticate] and bounds what bad credentials
// cost: once a number of them from one client address (the /64 of IPv6) was
// refused in a period, the others that come from there until its end are
// answered with a problem of status 429 and Retry-After, and are not verified.
// Credentials that were accepted before are verified as ever, so that a client
// does not suffer from another one behind the same address; only one whose
// credential is new to this process waits for the end of the period. Requests
// without a credential, and those that succeed, do not count.
//
// It counts in the memory of this process, which is bounded: it remembers
// 65,536 accepted credentials, by a hash, and 100,000 addresses, and forgets
// the older ones. It panics where Rate is not valid.
func CredentialLimit(cfg CredentialLimitConfig) func(http.Handler) http.Handler {
	if cfg.Rate == NoLimit {
		return func(next http.Handler) http.Handler { return next }
	}
	if !cfg.Rate.valid() {
		panic("gateway: CredentialLimit needs a Rate")
	}
	if cfg.Client == nil {
		cfg.Client = ClientAddress()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &credentialLimit{
		rate: cfg.Rate, client: cfg.Client, now: cfg.Now, seed: maphash.MakeSeed(),
		failures: newGenerations[netip.Addr, *window](localCounterKeys),
	}
	l.headers, l.cookies = credentialPlaces(cfg.Authenticators)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.serve(w, r, next) })
	}
}

// acceptedSlots is a power of two.
const acceptedSlots = 1 << 16

type credentialLimit struct {
	rate   Rate
	client clientFunc
	now    func() time.Time
	seed   maphash.Seed
	// headers and cookies are where credentials are.
	headers, cookies []string

	// accepted are hashes of credentials. Each has one slot, and takes it from
	// the one before. Whoever does not know the seed cannot aim at a slot.
	accepted [acceptedSlots]atomic.Uint64
	// overUntil is when the last address that has reached the limit has not
	// any more, in nanoseconds since 1970: mostly there is none, and nothing
	// to look up.
	overUntil atomic.Int64

	mu       sync.Mutex
	failures generations[netip.Addr, *window]
}

func (l *credentialLimit) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	hash := l.hash(r)
	if hash == 0 {
		next.ServeHTTP(w, r)
		return
	}
	slot := &l.accepted[hash%acceptedSlots]
	if l.overUntil.Load() != 0 && slot.Load() != hash {
		if wait := l.over(clientNetwork(l.client(r))); wait > 0 {
			platform.WriteProblem(w, r, nil, &platform.Error{
				Kind: platform.KindLimited, Code: "too_many_bad_credentials", RetryAfter: wait,
				Message: "too many credentials that are not valid came from this address; come back later",
			})
			return
		}
	}
	rw := watch(w)
	next.ServeHTTP(rw, r)
	switch {
	case rw.tenant != "":
		if slot.Load() != hash {
			slot.Store(hash)
		}
	case rw.status == http.StatusUnauthorized:
		slot.CompareAndSwap(hash, 0) // it is not valid any more
		l.failed(clientNetwork(l.client(r)))
	}
}

// hash is that of the request's credentials; 0 is none, and an empty slot.
func (l *credentialLimit) hash(r *http.Request) uint64 {
	var h uint64
	found := false
	for i, name := range l.headers {
		for _, s := range r.Header[name] {
			h, found = h*31+maphash.String(l.seed, s)+uint64(i), true
		}
	}
	for i, name := range l.cookies {
		if c, err := r.Cookie(name); err == nil {
			h, found = h*31+maphash.String(l.seed, c.Value)+uint64(len(l.headers)+i), true
		}
	}
	if !found {
		return 0
	}
	return max(h, 1)
}

// credentialPlaces are the headers and cookies that hold credentials.
func credentialPlaces(all []Authenticator) (headers, cookies []string) {
	if all == nil {
		return []string{headerAuthorization, headerAPIKey}, nil
	}
	for _, a := range all {
		s := a.Scheme()
		if name := textproto.CanonicalMIMEHeaderKey(s.Header); name != "" && !slices.Contains(headers, name) {
			headers = append(headers, name)
		}
		if s.Cookie != "" && !slices.Contains(cookies, s.Cookie) {
			cookies = append(cookies, s.Cookie)
		}
	}
	return headers, cookies
}

// over returns how long the address is over the limit yet.
func (l *credentialLimit) over(a netip.Addr) time.Duration {
	now := l.now()
	if now.UnixNano() >= l.overUntil.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.failures.get(a); ok && f.count >= l.rate.Requests {
		return f.ends.Sub(now)
	}
	return 0
}

// failed counts a credential of the address that was refused.
func (l *credentialLimit) failed(a netip.Addr) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.failures.get(a)
	if !ok || !now.Before(f.ends) {
		f = &window{ends: now.Add(l.rate.Period)}
		l.failures.put(a, f)
	}
	if f.count++; f.count == l.rate.Requests {
		l.overUntil.Store(max(l.overUntil.Load(), f.ends.UnixNano()))
	}
}
