package gateway

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync/atomic"

	"github.com/acme/platform"
)

// errNoTarget is that every URL of an upstream is left out, and was not reached
// when it was tried all the same.
var errNoTarget = errors.New("gateway: no target of the upstream takes requests")

// exchangeKey carries the exchange of a request to the transport and back.
type exchangeKey struct{}

type exchange struct {
	route  *platform.Route
	target *target   // the last one that was tried
	body   *sentBody // nil without a body
}

// balancer is the transport of a proxy. It sends each request to the next
// target that takes requests, and on to another one as long as that can do no
// harm: a replica that ends costs its callers nothing. Where that leaves
// nobody, it tries those that are left out for their failures, since they may
// have come back meanwhile.
type balancer struct {
	transport http.RoundTripper
	targets   []*target
	next      atomic.Uint64
	lastTries atomic.Int64 // requests at targets that are left out
}

// lastTriesMost bounds the requests that wait at once for targets which are
// left out: it is more than their return needs, and few enough where they
// hang.
const lastTriesMost = 32

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	e, _ := r.Context().Value(exchangeKey{}).(*exchange)
	first, n := b.next.Add(1), uint64(len(b.targets))
	failed := errNoTarget
	var left []*target
	for i := range n {
		t := b.targets[(first+i)%n]
		resp, err := t.send(b.transport, e.to(t, r), e.body)
		if errors.Is(err, errNoTarget) {
			left = append(left, t)
			continue
		}
		e.target = t
		if err == nil || !harmless(r, e.body, err) {
			return resp, err
		}
		failed = err
	}
	if len(left) == 0 {
		return nil, failed
	}
	return b.tryLeft(left, e, r)
}

// tryLeft sends a request that no other target took to those that are left
// out, first to the one that has been so for longest.
func (b *balancer) tryLeft(left []*target, e *exchange, r *http.Request) (*http.Response, error) {
	defer b.lastTries.Add(-1)
	if b.lastTries.Add(1) > lastTriesMost {
		return nil, errNoTarget
	}
	slices.SortStableFunc(left, func(a, b *target) int { return cmp.Compare(a.leftOut.Load(), b.leftOut.Load()) })
	for _, t := range left {
		resp, err := t.sendAnyway(b.transport, e.to(t, r), e.body)
		e.target = t
		if err == nil || !harmless(r, e.body, err) {
			return resp, err
		}
	}
	return nil, errNoTarget
}

// to returns the request as it goes to the target.
func (e *exchange) to(t *target, r *http.Request) *http.Request {
	out, at := *r, *r.URL
	out.URL = &at
	(&httputil.ProxyRequest{Out: &out}).SetURL(t.url)
	if e.body != nil {
		out.Body = &keptBody{r.Body, e.body}
	}
	return &out
}

// harmless reports whether a request that failed may be sent again. A proxy
// must not do that with one that may have had an effect (RFC 9110, section
// 9.2.2). That PUT and DELETE are idempotent does not help: with an If-Match
// the second answer would be another. After a time limit there is hardly time
// for a second try, and a slow operation would only be made twice.
func harmless(r *http.Request, body *sentBody, err error) bool {
	if r.Context().Err() != nil {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return body == nil || !body.begun.Load() // nothing was sent
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false
	}
	return body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// keptBody stays open until it is read: a transport closes it where it found no
// connection, and another target may want it.
type keptBody struct {
	io.ReadCloser
	sent *sentBody
}

func (b *keptBody) Close() error {
	if !b.sent.begun.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}
