package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
)

// liveCheck is how often the credential of a [platform.Route].Live is looked at.
const liveCheck = 5 * time.Second

// reverifyPatience is how many looks in a row may fail for want of the verifier
// itself before a request ends: no call goes on unseen for long.
const reverifyPatience = 3

// Reverify authenticates the request again every so often while it is being
// served, and ends its context once the credential is not good any more or is
// somebody else's. It is for streams, which outlive what is checked at their
// beginning, and stands behind [Authenticate] with the same cfg. It panics where
// cfg is not valid or every is not positive.
func Reverify(cfg AuthenticateConfig, every time.Duration) func(http.Handler) http.Handler {
	if every <= 0 {
		panic("gateway: Reverify needs a positive duration")
	}
	return cfg.chain().reverify(every, cfg.Logger)
}

func (c *chain) reverify(every time.Duration, log *slog.Logger) func(http.Handler) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isVouched(r.Context()) { // the gateway that vouches looks after the stream
				next.ServeHTTP(w, r)
				return
			}
			ctx, cancel := context.WithCancel(r.Context())
			began := r.Clone(ctx) // handlers may change the headers of theirs
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer cancel()
				if err := c.watch(began, every); err != nil {
					log.InfoContext(ctx, "a stream ends with its credential", slog.Any("error", err))
				}
			}()
			defer func() { cancel(); <-ended }()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// errOtherCaller ends the stream of a credential that has become another's.
var errOtherCaller = errors.New("gateway: the credential names somebody else now")

// watch returns why the credential of r is no longer good, or nil when the
// context of r is done.
func (c *chain) watch(r *http.Request, every time.Duration) error {
	ctx := r.Context()
	was, err := platform.CallerFrom(ctx)
	if err != nil { // it stands behind Authenticate
		return err
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		p, _, err := c.caller(r)
		switch {
		case err == nil && (p.Tenant != was.Tenant || p.Subject != was.Subject || p.Kind != was.Kind):
			return errOtherCaller
		case err == nil:
			failed = 0
			continue
		case ctx.Err() != nil:
			return nil
		}
		if failed++; failed == reverifyPatience || errors.Is(err, platform.ErrUnauthenticated) {
			return err
		}
	}
}
