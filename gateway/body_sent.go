package gateway

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
)

// sentBody is the caller's body on its way to an upstream.
type sentBody struct {
	io.ReadCloser
	begun, waiting atomic.Bool
	err            error         // why it could not be read
	failed         chan struct{} // closed once err is set
}

func newSentBody(body io.ReadCloser) *sentBody {
	return &sentBody{ReadCloser: body, failed: make(chan struct{})}
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	b.waiting.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.err == nil {
		b.err = err
		close(b.failed)
	}
	b.waiting.Store(false)
	return n, err
}

// atFault reports whether an exchange that failed did so because the caller's
// body broke off, was too large, or did not come.
func (b *sentBody) atFault() bool { return b != nil && (b.hasFailed() || b.waiting.Load()) }

func (b *sentBody) hasFailed() bool {
	select {
	case <-b.failed:
		return true
	default:
		return false
	}
}

// failurePatience is how long the reason of a failed body is waited for.
const failurePatience = time.Second

// failure returns why the caller's body failed, and nil where it did not. A
// server cancels the request's context just before the read of the body that
// failed returns, so the exchange may end first.
func (b *sentBody) failure(ctx context.Context) error {
	if b == nil {
		return nil
	}
	waiting := b.waiting.Load() // first: it ends after failed is closed
	if !b.hasFailed() {
		switch {
		case ctx.Err() == nil || !waiting:
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return platform.BodyProblem(ctx, ctx.Err())
		}
		timer := time.NewTimer(failurePatience)
		defer timer.Stop()
		select {
		case <-b.failed:
		case <-timer.C:
			return nil
		}
	}
	return b.err
}
