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

// errDistrusted is a failure for a breaker only: another replica may know the
// gateway's key.
var errDistrusted = errors.New("gateway: the upstream does not know the gateway's key")

// target is one URL of an upstream with its breaker.
type target struct {
	url      *url.URL
	settings gobreaker.Settings
	breaker  atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]
	leftOut  atomic.Int64 // when it last failed while its breaker was open, or opened it
}

func newTarget(u Upstream, at *url.URL, log *slog.Logger) *target {
	t := &target{url: at}
	t.settings = gobreaker.Settings{
		Name:    u.Name + " " + at.Host,
		Timeout: u.BreakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return int64(c.ConsecutiveFailures) >= int64(u.BreakAfter)
		},
		// A caller who leaves says nothing about the upstream; a deadline
		// that passes does.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				t.leftOut.Store(time.Now().UnixNano())
			}
			log.Warn("circuit breaker", slog.String("upstream", name),
				slog.String("from", from.String()), slog.String("to", to.String()))
		},
	}
	t.breaker.Store(gobreaker.NewTwoStepCircuitBreaker[struct{}](t.settings))
	return t
}

// send makes one exchange with the target and tells its breaker how it went.
// The error is errNoTarget where the breaker lets nothing through.
func (t *target) send(transport http.RoundTripper, r *http.Request, body *sentBody) (resp *http.Response, err error) {
	breaker := t.breaker.Load()
	done, err := breaker.Allow()
	if err != nil {
		return nil, errNoTarget
	}
	outcome := context.Canceled // what a panic says about the target: nothing
	defer func() {
		// A target that is on trial is not kept waiting by a slow reader.
		if outcome == nil && hasBody(resp) && breaker.State() == gobreaker.StateClosed {
			resp.Body = &answerBody{ReadCloser: resp.Body, ctx: r.Context(), done: done}
			return
		}
		done(outcome)
	}()
	resp, outcome, err = exchanged(transport, r, body)
	return resp, err
}

func hasBody(resp *http.Response) bool {
	return resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != nil && resp.Body != http.NoBody
}

// answerBody tells a breaker how an exchange ended: an answer that breaks off
// is a failure of its target like one that does not come.
type answerBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the exchange
	told atomic.Bool
	done func(error)
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.tell(nil)
	case b.ctx.Err() != nil: // by a caller who left or who reads too slowly
		b.tell(context.Canceled)
	default:
		b.tell(err)
	}
	return n, err
}

// Close before the end says nothing about the target.
func (b *answerBody) Close() error {
	b.tell(context.Canceled)
	return b.ReadCloser.Close()
}

func (b *answerBody) tell(outcome error) {
	if !b.told.Swap(true) {
		b.done(outcome)
	}
}

// sendAnyway makes an exchange although the breaker lets nothing through. A
// target that answers takes requests again from then on.
func (t *target) sendAnyway(transport http.RoundTripper, r *http.Request, body *sentBody) (*http.Response, error) {
	resp, outcome, err := exchanged(transport, r, body)
	switch old := t.breaker.Load(); {
	case outcome == nil && old.State() != gobreaker.StateClosed:
		// A breaker cannot be closed from outside, so there is a new one.
		if t.breaker.CompareAndSwap(old, gobreaker.NewTwoStepCircuitBreaker[struct{}](t.settings)) {
			t.settings.OnStateChange(t.settings.Name, old.State(), gobreaker.StateClosed)
		}
	case outcome != nil && !t.settings.IsExcluded(outcome):
		t.leftOut.Store(time.Now().UnixNano())
	}
	return resp, err
}

// exchanged makes an exchange and says what it means for the breaker of its
// target: nil is that the target works. Every answer of a service is that,
// whatever its status: one that sheds load with 503 is there for all others,
// and its callers must not be able to make it look absent.
func exchanged(transport http.RoundTripper, r *http.Request, body *sentBody) (resp *http.Response, outcome, err error) {
	resp, err = transport.RoundTrip(r)
	if err == nil && distrusts(resp) {
		return resp, errDistrusted, nil
	}
	if err == nil {
		return resp, nil, nil
	}
	// The transport's error for a context that ended may be another.
	if ctxErr := r.Context().Err(); ctxErr != nil {
		err = ctxErr
	}
	// Or whoever sends a few bad bodies takes the upstream from everybody.
	if body.atFault() {
		return nil, context.Canceled, err
	}
	return nil, err, err
}

// retryAfter is what callers are told while a breaker is open: it has been
// open for some of BreakFor already, so this is long enough.
func retryAfter(u Upstream) time.Duration { return u.BreakFor }
