package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
)

// retryAfter is what callers are told while the server is unavailable.
const retryAfter = time.Second

// unavailable is an error for callers who can come back later.
func unavailable(code, message string, cause error) error {
	e := &platform.Error{Kind: platform.KindUnavailable, Code: code, Message: message, RetryAfter: retryAfter}
	return e.Because(cause)
}

// errAway is the cause of a call that was not made.
var errAway = errors.New("redis: the server does not answer; it is being asked whether it is back")

// errNotStarted is the error of a call before Start.
func errNotStarted() error {
	return platform.Errorf(platform.KindUnavailable, "store_not_started",
		"the store is not started: start the platform, or call Start of the store")
}

func errClosed() error {
	return unavailable("store_closed", "the store is closed", goredis.ErrClosed)
}

// done returns the context's error where it is done, also where its timer is a
// moment late.
func done(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		return fmt.Errorf("redis: %w", context.DeadlineExceeded)
	}
	return nil
}

// translate gives errors a kind where a caller can act on it. The original
// stays in the tree. ctx is the caller's.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := done(ctx); ended != nil {
		return ended
	}
	if errors.Is(err, goredis.ErrClosed) {
		return errClosed()
	}
	if !outage(err) {
		if goredis.HasErrorPrefix(err, "OOM") {
			return unavailable("store_full", "the store has no room", err)
		}
		for _, prefix := range [...]string{
			"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "max number of clients",
		} {
			if goredis.HasErrorPrefix(err, prefix) {
				return unavailable("store_unavailable", "the store does not work", err)
			}
		}
		return fmt.Errorf("redis: %w", err)
	}
	return unavailable("store_unavailable", "the store does not answer", err)
}

// outage reports whether err says that the server did not answer. An answer
// that is an error is an answer, and a caller who left says nothing.
func outage(err error) bool {
	var answer goredis.Error
	return err != nil && !errors.As(err, &answer) && !errors.Is(err, context.Canceled) && !errors.Is(err, goredis.ErrClosed)
}
