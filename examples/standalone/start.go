package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/standard"
)

// The pause before stores are asked again doubles from the first to the second.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// start starts the platform, a new one each time. What fails because a store does
// not answer is tried again until timeout is over: a container may be started
// before its database. What is wrong stays wrong and fails at once.
func start[T any](ctx context.Context, timeout time.Duration, log *slog.Logger, try func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		a, err := try(ctx)
		if err == nil || !unavailable(err) {
			return a, err
		}
		if time.Since(began)+pause > timeout {
			return a, fmt.Errorf("gave up after %v: %w", time.Since(began).Round(time.Second), err)
		}
		log.WarnContext(ctx, "a store does not answer; it is asked again", slog.Any("error", err), slog.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("stopped before it was ready: %w", err)
		case <-time.After(pause):
		}
	}
}

// unavailable reports whether err says that a store does not answer, or not yet.
func unavailable(err error) bool {
	var network *net.OpError
	var name *net.DNSError
	return errors.Is(err, platform.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) || errors.As(err, &name)
}

// assembleAndStart is one try.
func assembleAndStart(ctx context.Context, o options, log *slog.Logger) (*standard.Platform, error) {
	p, err := assemble(o, log)
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// patience is how long to ask again. A file needs none: it is there or not.
func (o options) patience() time.Duration {
	if o.stores == (storeURLs{}) {
		return 0
	}
	return o.startTimeout
}
