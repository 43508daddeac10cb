package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// errStatus is a failure for a breaker only: the answer itself goes on.
var errStatus = errors.New("gateway: the upstream answered that it cannot")

// target is one URL of an upstream with its breaker.
type target struct {
	url     *url.URL
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newTarget(u Upstream, at *url.URL, log *slog.Logger) *target {
	return &target{url: at, breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:    u.Name + " " + at.Host,
		Timeout: u.BreakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return int64(c.ConsecutiveFailures) >= int64(u.BreakAfter)
		},
		// A caller who leaves says nothing about the upstream; a deadline
		// that passes does.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn("circuit breaker", slog.String("upstream", name),
				slog.String("from", from.String()), slog.String("to", to.String()))
		},
	})}
}

// targetKey carries the chosen target to the transport.
type targetKey struct{}

type chosen struct {
	*target
	done func(error)
	body *sentBody // nil without a body
}

// sentBody is the caller's body on its way to an upstream.
type sentBody struct {
	io.ReadCloser
	waiting, failed atomic.Bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.waiting.Store(true)
	n, err := b.ReadCloser.Read(p)
	b.waiting.Store(false)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed.Store(true)
	}
	return n, err
}

// atFault reports whether an exchange that failed did so because the caller's
// body broke off, was too large, or did not come.
func (b *sentBody) atFault() bool { return b != nil && (b.failed.Load() || b.waiting.Load()) }

// guarded tells the breaker of the chosen target how the exchange went.
type guarded struct{ http.RoundTripper }

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.RoundTripper.RoundTrip(r)
	c, _ := r.Context().Value(targetKey{}).(*chosen)
	switch {
	case err != nil:
		// The transport's error for a context that ended may be another.
		if ctxErr := r.Context().Err(); ctxErr != nil {
			err = ctxErr
		}
		// Or whoever sends a few bad bodies takes the upstream from everybody.
		if c.body.atFault() {
			c.report(context.Canceled)
		}
		c.report(err)
		return nil, err
	case resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout:
		c.report(errStatus)
	default:
		c.report(nil)
	}
	return resp, nil
}

// report tells the breaker once.
func (c *chosen) report(err error) {
	if c.done != nil {
		c.done(err)
		c.done = nil
	}
}

// pick returns the next target that takes requests, or nil. Whoever picks must
// report.
func pick(targets []*target, first uint64) *chosen {
	for i := range targets {
		t := targets[(first+uint64(i))%uint64(len(targets))]
		if done, err := t.breaker.Allow(); err == nil {
			return &chosen{target: t, done: done}
		}
	}
	return nil
}

// retryAfter is what callers are told while a breaker is open: it has been
// open for some of BreakFor already, so this is long enough.
func retryAfter(u Upstream) time.Duration { return u.BreakFor }
