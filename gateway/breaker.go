package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
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

// send makes one exchange with the target and tells its breaker how it went.
// The error is errNoTarget where the breaker lets nothing through.
func (t *target) send(transport http.RoundTripper, r *http.Request, body *sentBody) (*http.Response, error) {
	done, err := t.breaker.Allow()
	if err != nil {
		return nil, errNoTarget
	}
	outcome := context.Canceled // what a panic says about the target: nothing
	defer func() { done(outcome) }()
	resp, err := transport.RoundTrip(r)
	switch {
	case err != nil:
		// The transport's error for a context that ended may be another.
		if ctxErr := r.Context().Err(); ctxErr != nil {
			err = ctxErr
		}
		// Or whoever sends a few bad bodies takes the upstream from everybody.
		if !body.atFault() {
			outcome = err
		}
		return nil, err
	case resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout:
		outcome = errStatus
	default:
		outcome = nil
	}
	return resp, nil
}

// retryAfter is what callers are told while a breaker is open: it has been
// open for some of BreakFor already, so this is long enough.
func retryAfter(u Upstream) time.Duration { return u.BreakFor }
