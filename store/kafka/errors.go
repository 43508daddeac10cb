package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/acme/platform"
)

// errStopped is what Consume returns when the stream was stopped under it.
var errStopped = errors.New("kafka: stopped")

// errNotStarted is what a caller gets before Start.
var errNotStarted = platform.Errorf(platform.KindUnavailable, "store_not_started",
	"the event stream is not started: start the platform, or call Start of the stream")

// unavailable is what a caller gets when the cluster does not do what it was
// asked.
func unavailable(what string, cause error) error {
	return platform.Errorf(platform.KindUnavailable, "events_unavailable", "the event stream does not work now").
		Because(fmt.Errorf("kafka: %s: %w", what, cause))
}

// failed is unavailable unless the caller's own context ended.
func failed(ctx context.Context, what string, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return unavailable(what, cause)
}

// refusal translates what can never succeed as it was sent; nil is anything
// else.
func refusal(err error) error {
	if errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) {
		return tooLarge().Because(err)
	}
	return nil
}

func tooLarge() *platform.Error {
	return platform.Errorf(platform.KindTooLarge, "event_too_large", "the event is larger than the stream takes")
}

// passing reports whether an error of the cluster may end by itself: an
// election, a restart, a connection that broke.
func passing(err error) bool {
	var code kafka.Error
	if errors.As(err, &code) {
		// The topic is known to exist, so a broker that does not know it is
		// one that has just started.
		return code.Temporary() || code == kafka.BrokerNotAvailable
	}
	var (
		network net.Error
		route   *rawproduce.Error // no leader, or another one than a moment ago
	)
	return errors.As(err, &network) || errors.As(err, &route) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// fenced reports whether the group goes on without this consumer, so that it
// can commit nothing any more.
func fenced(err error) bool {
	return errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.FencedInstanceID)
}
