package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
)

// The headers that make a dead letter of a message.
const (
	deadPrefix    = "dead_"
	deadGroup     = deadPrefix + "group"
	deadPartition = deadPrefix + "partition"
	deadOffset    = deadPrefix + "offset"
	deadAttempts  = deadPrefix + "attempts"
	deadCause     = deadPrefix + "cause"
	// deadBare marks a letter whose message did not fit.
	deadBare = deadPrefix + "bare"
	// deadReplayed makes a mark instead: that the letter of this id was replayed.
	deadReplayed = deadPrefix + "replayed"
)

// maxCause is the most bytes of a cause that are kept.
const maxCause = 2000

// counts reports whether an error of a handler says something of the event. One
// that a dependency causes does not: it would say it of every event.
func counts(err error) bool {
	var network net.Error
	kind := platform.KindOf(err)
	return kind != platform.KindUnavailable && kind != platform.KindTimeout && kind != platform.KindLimited && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network)
}

// deadLetter writes an item to the dead-letter topic until that succeeds: only
// then the partition goes on. It returns how many items are finished by it.
func (w *worker) deadLetter(at, stop context.Context, it item, attempts int, cause error) int {
	failing := delivery.Trouble{Log: w.log, What: "dead letters cannot be written", Group: w.group}
	for failures := 1; ; failures++ {
		err := w.writeLetter(at, it, attempts, cause)
		if err == nil {
			failing.End(at)
			w.counters.dead.Add(1)
			w.log.ErrorContext(at, "event dead-lettered", slog.String("group", w.group),
				slog.Int("partition", w.partition), slog.Int64("offset", it.offset), slog.Int("attempts", attempts),
				slog.String("event", it.event.ID), slog.String("type", it.event.Type),
				slog.String("tenant", string(it.event.Tenant)), slog.Any("error", cause))
			return 1
		}
		failing.Begin(stop, err)
		background.Sleep(stop, w.backoff.Pause(failures))
		if stop.Err() != nil {
			return 0
		}
	}
}

// writeLetter publishes a dead letter. Where the message does not fit, because it
// was compressed or the topic's limit was raised since, the letter says only where
// it is.
func (w *worker) writeLetter(ctx context.Context, it item, attempts int, cause error) error {
	headers := []protocol.Header{
		{Key: deadGroup, Value: []byte(w.group)},
		{Key: deadPartition, Value: strconv.AppendInt(nil, int64(w.partition), 10)},
		{Key: deadOffset, Value: strconv.AppendInt(nil, it.offset, 10)},
		{Key: deadAttempts, Value: strconv.AppendInt(nil, int64(attempts), 10)},
		{Key: deadCause, Value: []byte(cut(cause.Error(), maxCause))},
	}
	letter := message{key: it.key, value: it.value, headers: append(foreign(it.headers), headers...)}
	limit := w.maxBatch + deadRoom
	if letter.size()+batchOverhead <= limit {
		err := w.produce(ctx, w.deadTopic, limit, []message{letter})
		if !errors.Is(err, platform.ErrTooLarge) {
			return err
		}
	}
	bare := message{headers: append(headers, protocol.Header{Key: deadBare, Value: []byte("1")})}
	return w.produce(ctx, w.deadTopic, limit, []message{bare})
}

// foreign returns the headers that are not a dead letter's: what was replayed may
// have died before.
func foreign(headers []protocol.Header) []protocol.Header {
	kept := make([]protocol.Header, 0, len(headers)+8)
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, deadPrefix) {
			kept = append(kept, h)
		}
	}
	return kept
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// letter returns the dead letter of a record.
func (e *Events) letter(partition int, r record) DeadLetter {
	l := DeadLetter{ID: letterID(partition, r.offset), DiedAt: r.time.UTC().Truncate(time.Millisecond)}
	for _, h := range r.headers {
		value := string(h.Value)
		// A header that is not a number is not this package's, and stays zero.
		switch h.Key {
		case deadGroup:
			l.Group = value
		case deadPartition:
			l.Partition, _ = strconv.Atoi(value)
		case deadOffset:
			l.Offset, _ = strconv.ParseInt(value, 10, 64)
		case deadAttempts:
			l.Attempts, _ = strconv.Atoi(value)
		case deadCause:
			l.Cause = value
		case deadBare:
			l.Bare = true
		}
	}
	// What is no event leaves it zero, and the cause says why.
	l.Event, _, _ = decode(r.message)
	return l
}

func letterID(partition int, offset int64) string {
	return strconv.Itoa(partition) + "-" + strconv.FormatInt(offset, 10)
}

func parseLetterID(id string) (partition int, offset int64, ok bool) {
	p, o, found := strings.Cut(id, "-")
	partition, err := strconv.Atoi(p)
	if err != nil || !found || partition < 0 {
		return 0, 0, false
	}
	offset, err = strconv.ParseInt(o, 10, 64)
	return partition, offset, err == nil && offset >= 0 && letterID(partition, offset) == id
}

// replayed returns the letter whose replay a record marks, or "".
func replayed(r record) string {
	for _, h := range r.headers {
		if h.Key == deadReplayed {
			return string(h.Value)
		}
	}
	return ""
}
