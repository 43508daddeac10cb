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

// Reverify looks, every so often while a request is being served, whether its
// credential is still good, and ends the request's context where it is not. It
// is for streams, which outlive what is checked at their beginning, and stands
// behind [Authenticate]. It panics on a nil Verifier or where every is not
// positive.
func Reverify(v Verifier, every time.Duration, log *slog.Logger) func(http.Handler) http.Handler {
	if v == nil || every <= 0 {
		panic("gateway: Reverify needs a Verifier and a positive duration")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			credential, err := credentialOf(r.Header)
			if err != nil { // Authenticate has read it
				next.ServeHTTP(w, r)
				return
			}
			ctx, cancel := context.WithCancel(r.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer cancel()
				if err := watchCredential(ctx, v, credential, every); err != nil {
					log.InfoContext(ctx, "a stream ends with its credential", slog.Any("error", err))
				}
			}()
			defer func() { cancel(); <-ended }()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// watchCredential returns why the credential is no longer good, or nil when ctx
// is done.
func watchCredential(ctx context.Context, v Verifier, credential string, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		_, err := v.Verify(ctx, credential)
		switch {
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
