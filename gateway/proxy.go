package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/acme/platform"
)

// proxy forwards requests to an upstream.
type proxy struct {
	upstream Upstream
	balance  *balancer
	reverse  *httputil.ReverseProxy
	client   func(*http.Request) netip.Addr
	signer   *assertionSigner // nil without a key
	streams  *streams
	log      *slog.Logger
}

// newProxy expects an upstream with its defaults that passed its check.
func newProxy(u Upstream, cfg Config, client func(*http.Request) netip.Addr, live *streams) (*proxy, error) {
	p := &proxy{upstream: u, client: client, log: cfg.Logger, balance: &balancer{transport: u.Transport}, streams: live}
	if p.balance.transport == nil {
		p.balance.transport = newTransport(u)
	}
	for _, s := range u.URLs {
		at, err := url.Parse(s)
		if err != nil {
			return nil, err
		}
		p.balance.targets = append(p.balance.targets, newTarget(u, at, cfg.Logger))
	}
	if cfg.AssertionKey != nil {
		var err error
		if p.signer, err = newAssertionSigner(cfg.AssertionKey, u.Name, cfg.Now); err != nil {
			return nil, err
		}
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.balance,
		ModifyResponse: p.answered,
		ErrorHandler:   p.failed,
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		BufferPool:     &buffers{},
	}
	return p, nil
}

// newTransport keeps many idle connections: the two of http.DefaultTransport
// cost more than half of the throughput of a proxy.
func newTransport(u Upstream) *http.Transport {
	dialer := &net.Dialer{Timeout: u.DialTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   u.DialTimeout,
		ResponseHeaderTimeout: u.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // what the upstream compressed stays so
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	iso := &isolated{ResponseWriter: w, header: make(http.Header)}
	e := &exchange{}
	if rw := watcher(w); rw != nil && rw.endpoint != nil {
		e.route = &rw.endpoint.Route
	}
	if r.ContentLength != 0 && r.Body != nil {
		e.body = newSentBody(r.Body)
		r.Body = e.body
	}
	p.reverse.ServeHTTP(iso, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
	iso.end()
}

// rewrite makes the outgoing request, whose URL the balancer completes.
// ReverseProxy has removed the fields that Connection names.
func (p *proxy) rewrite(pr *httputil.ProxyRequest) {
	ctx := pr.In.Context()
	h := pr.Out.Header
	cleanRequestHeader(h)
	cleanRequestHeader(pr.Out.Trailer)
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	if e.route == nil || !switchesProtocol(*e.route, pr.In) {
		delete(h, "Connection")
		delete(h, "Upgrade")
	}
	if a := p.client(pr.In); a.IsValid() {
		h.Set("X-Forwarded-For", a.String())
	}
	h.Set("X-Forwarded-Host", pr.In.Host)
	h.Set("X-Forwarded-Proto", "http")
	if pr.In.TLS != nil {
		h.Set("X-Forwarded-Proto", "https")
	}
	h[headerRequestID] = []string{platform.RequestIDFrom(ctx)}
	p.upstream.Request.apply(h)
	// Last, so that no rule can replace it.
	delete(h, assertionHeader)
	if token, ok := ctx.Value(assertionKey{}).(string); ok {
		h[assertionHeader] = []string{token}
	}
}

// withAssertion signs who calls the route, before the request is forwarded.
func (p *proxy) withAssertion(route platform.Route) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, err := platform.CallerFrom(r.Context())
			path := ""
			if changes(r.Method) {
				path = r.URL.EscapedPath()
			}
			var token string
			if err == nil {
				token, err = p.signer.sign(who, route.Operation, path)
			}
			if err != nil {
				platform.WriteProblem(w, r, p.log, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), assertionKey{}, token)))
		})
	}
}

// refusedError is that a service does not believe the gateway, for the reason
// that it gave. The caller's credential was good, so it must not look like the
// end of the caller's session.
type refusedError struct{ upstream, at, reason string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("gateway: %s at %s refuses the gateway's assertion: %q", e.upstream, e.at, e.reason)
}

func (p *proxy) answered(resp *http.Response) error {
	if err := checkStatus(resp); err != nil {
		return err
	}
	h := resp.Header
	e, _ := resp.Request.Context().Value(exchangeKey{}).(*exchange)
	if reasons, refused := h[refusedHeader]; refused {
		reason := strings.Join(reasons, ", ")
		return &refusedError{p.upstream.Name, e.target.url.Host, reason[:min(len(reason), 100)]}
	}
	for _, name := range [...]string{"Server", "X-Powered-By", headerRequestID, "Ratelimit", "Ratelimit-Policy"} {
		delete(h, name)
	}
	if l, ok := localLocation(h.Get("Location"), e.target.url); ok {
		h.Set("Location", l)
	}
	p.upstream.Response.apply(h)
	p.streams.follow(resp)
	return nil
}

// localLocation turns a Location on the upstream itself into one relative to
// the gateway's root.
func localLocation(location string, upstream *url.URL) (string, bool) {
	l, err := url.Parse(location)
	if err != nil || location == "" || l.Host != "" && (l.Host != upstream.Host || l.Scheme != upstream.Scheme) {
		return "", false
	}
	path, ok := strings.CutPrefix(l.EscapedPath(), strings.TrimSuffix(upstream.EscapedPath(), "/"))
	if !ok || !strings.HasPrefix(path, "/") {
		return "", false
	}
	if l.RawQuery != "" {
		path += "?" + l.RawQuery
	}
	return path, true
}

// failed answers where the upstream did not.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	status, code, detail := http.StatusBadGateway, "bad_gateway", "the service behind this operation did not answer"
	var timeout interface{ Timeout() bool }
	var refused *refusedError
	e, _ := r.Context().Value(exchangeKey{}).(*exchange)
	bad := e.body.failure(r.Context())
	switch {
	case bad != nil:
		platform.WriteProblem(w, r, p.log, bad)
		return
	case errors.Is(err, errNoTarget):
		platform.WriteProblem(w, r, nil, &platform.Error{
			Kind: platform.KindUnavailable, Code: "upstream_unavailable",
			Message: "the service behind this operation is away for now", RetryAfter: retryAfter(p.upstream),
		})
		return
	case errors.As(err, &refused):
		detail = "the service behind this operation does not trust this gateway"
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		status, code, detail = http.StatusGatewayTimeout, "timeout", "the service behind this operation took too long"
	}
	platform.LogProblem(r.Context(), p.log, status, err)
	platform.NewProblem(r.Context(), status, code, detail).Write(w)
}

// close ends idle connections.
func (p *proxy) close() {
	if t, ok := p.balance.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// buffers are what bodies are copied with.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buf []byte) { b.pool.Put((*[bufferSize]byte)(buf)) }
