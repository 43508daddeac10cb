package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/acme/platform"
)

// DeadLetter is a message whose processing failed for good.
type DeadLetter struct {
	// ID names the letter.
	ID string
	// Group is whose handler failed.
	Group string
	// Event is the message's event; zero where the message is no event.
	Event platform.Event
	// Partition and Offset are where the message stands in the stream.
	Partition int
	Offset    int64
	// Attempts is how often it failed alone, without what a dependency caused;
	// zero where it is no event.
	Attempts int
	// Cause is the text of the last error, at most 2,000 bytes. It is for
	// operators: it may name addresses and other internals.
	Cause string
	// DiedAt is when it was written.
	DiedAt time.Time
	// Bare says that the message did not fit and is only where Partition and
	// Offset say, as long as it is kept there. It cannot be replayed.
	Bare bool
}

// DeadQuery asks for dead letters. The zero value asks for the oldest 100.
type DeadQuery struct {
	// Tenant and Group, where they are not empty, select.
	Tenant platform.TenantID
	Group  string
	// Limit is the most letters, up to 1,000; zero is 100.
	Limit int
	// After continues after the letter of this ID, the last of an earlier answer.
	After string
}

// Dead returns the dead letters that were not replayed, of all tenants unless the
// query names one, the oldest first. It reads the whole dead-letter topic: it is
// for an operator, not for a request. Error: KindInvalid for an After that is no
// id.
func (e *Events) Dead(ctx context.Context, query DeadQuery) ([]DeadLetter, error) {
	limit := min(query.Limit, 1000)
	if limit <= 0 {
		limit = 100
	}
	afterPartition, afterOffset := 0, int64(-1)
	if query.After != "" {
		var ok bool
		if afterPartition, afterOffset, ok = parseLetterID(query.After); !ok {
			return nil, platform.Invalid(platform.Field{Path: "/after", Code: "format", Detail: "after must be the id of a dead letter"})
		}
	}
	gone, err := e.replays(ctx)
	if err != nil {
		return nil, err
	}
	var letters []DeadLetter
	err = e.scanDead(ctx, func(partition int, r record) (more bool) {
		if partition < afterPartition || partition == afterPartition && r.offset <= afterOffset {
			return true
		}
		if replayed(r) != "" {
			return true
		}
		l := e.letter(partition, r)
		if gone[l.ID] || query.Group != "" && l.Group != query.Group || query.Tenant != "" && l.Event.Tenant != query.Tenant {
			return true
		}
		letters = append(letters, l)
		return len(letters) < limit
	})
	return letters, err
}

// Replay publishes the messages of dead letters again, as they were, for the
// group that they died in: other groups pass over them. They come after all that
// was published meanwhile, so also after later events of their subjects. Errors:
// KindNotFound for an id that is none, or of a letter that was replayed before;
// KindConflict "bare" for one without its message; those of Publish. After an
// error the letters before the one that failed are replayed.
func (e *Events) Replay(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	gone, err := e.replays(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if gone[id] {
			return platform.NotFound("dead letter")
		}
		if err := e.replay(ctx, id); err != nil {
			return err
		}
		gone[id] = true
	}
	return nil
}

func (e *Events) replay(ctx context.Context, id string) error {
	partition, offset, ok := parseLetterID(id)
	partitions, err := e.partitions(ctx, e.deadTopic)
	if err != nil {
		return failed(ctx, "read dead letter", err)
	}
	if !ok || partition >= len(partitions) {
		return platform.NotFound("dead letter")
	}
	records, _, err := e.fetch(ctx, e.deadTopic, partition, offset)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return platform.NotFound("dead letter").Because(err)
	}
	if err != nil {
		return failed(ctx, "read dead letter", err)
	}
	if len(records) == 0 || records[0].offset != offset || replayed(records[0]) != "" {
		return platform.NotFound("dead letter")
	}
	r := records[0]
	l := e.letter(partition, r)
	if l.Bare {
		return platform.Errorf(platform.KindConflict, "bare", "the dead letter has no message to replay")
	}
	headers := foreign(r.headers)
	if !hasHeader(headers, headerGroup) {
		headers = append(headers, protocol.Header{Key: headerGroup, Value: []byte(l.Group)})
	}
	if err := e.produce(ctx, e.cfg.Topic, e.maxBatch, []message{{key: r.key, value: r.value, headers: headers}}); err != nil {
		return err
	}
	mark := message{headers: []protocol.Header{{Key: deadReplayed, Value: []byte(id)}}}
	return e.produce(ctx, e.deadTopic, e.maxBatch, []message{mark})
}

func hasHeader(headers []protocol.Header, key string) bool {
	for _, h := range headers {
		if h.Key == key {
			return true
		}
	}
	return false
}

// replays returns the ids of the letters that were replayed.
func (e *Events) replays(ctx context.Context) (map[string]bool, error) {
	gone := make(map[string]bool)
	err := e.scanDead(ctx, func(_ int, r record) bool {
		if id := replayed(r); id != "" {
			gone[id] = true
		}
		return true
	})
	return gone, err
}

// scanDead calls f for what is in the dead-letter topic now, until it returns
// false.
func (e *Events) scanDead(ctx context.Context, f func(partition int, r record) (more bool)) error {
	if err := e.ready(); err != nil {
		return err
	}
	partitions, err := e.partitions(ctx, e.deadTopic)
	if err != nil {
		return failed(ctx, "read dead letters", err)
	}
	all, err := e.ends(ctx, e.deadTopic, partitions)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		for at, end := all[p.id].first, all[p.id].next; at < end; {
			records, next, err := e.fetch(ctx, e.deadTopic, p.id, at)
			if err != nil {
				return failed(ctx, "read dead letters", err)
			}
			for _, r := range records {
				if r.offset >= end {
					break
				}
				if !f(p.id, r) {
					return nil
				}
			}
			at = next
		}
	}
	return nil
}
