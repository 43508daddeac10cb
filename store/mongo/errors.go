package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/acme/platform"
)

var (
	errNoCollection = platform.NotFound("collection")
	errBusy         = platform.Errorf(platform.KindUnavailable, "busy", "too many change the collection at the same time")
	errAway         = platform.Errorf(platform.KindUnavailable, "unavailable", "the store does not answer")
	errNotStarted   = platform.Errorf(platform.KindUnavailable, "store_not_started", "the store is not started: start the platform, or call Start of the store")
	errStopped      = platform.Errorf(platform.KindUnavailable, "stopped", "the store is stopped")
)

// Codes of servers that may do it later: not primary any more, shutting down,
// no space. https://github.com/mongodb/specifications, "retryable writes".
var awayCodes = map[int]bool{
	6: true, 7: true, 89: true, 91: true, 189: true, 262: true, 9001: true, 10107: true, 11600: true, 11602: true,
	13435: true, 13436: true, 14031: true,
}

// connectFault says what an error of making the client means: it looks up the
// servers of a mongodb+srv URL.
func connectFault(err error) error {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return errAway.Because(fmt.Errorf("mongo: connect: %w", err))
	}
	return fmt.Errorf("mongo: connect: %w", err)
}

// fault says what an error of the driver means: a server that is away is
// KindUnavailable.
func fault(what string, err error) error {
	if err == nil {
		return nil
	}
	var known *platform.Error
	if errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("mongo: %s: %w", what, err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case mongo.IsNetworkError(err), mongo.IsTimeout(err), errors.Is(err, mongo.ErrClientDisconnected):
		return errAway.Because(err)
	}
	var server mongo.ServerError
	if errors.As(err, &server) {
		for _, code := range server.ErrorCodes() {
			if awayCodes[code] {
				return errAway.Because(err)
			}
		}
	}
	return err
}
