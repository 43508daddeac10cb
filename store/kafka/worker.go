package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
)

// worker works on one partition for one generation.
type worker struct {
	*consumer
	offsets   *offsets
	partition int
	from      int64 // the offset to begin with; negative is the oldest

	size     delivery.Size
	attempts int // failures of one event alone that count
}

// item is a record and the event in it, or why there is none.
type item struct {
	record
	event platform.Event
	err   error
}

// chunk is what was read at once.
type chunk struct {
	items []item
	next  int64
	reset bool // the offset goes back: the topic was made again
}

// run works until stop is done. Handlers have the context at, which lasts longer.
func (w *worker) run(at, stop context.Context) {
	chunks := make(chan chunk)
	var reading sync.WaitGroup
	reading.Go(func() { w.read(stop, chunks) })
	defer reading.Wait()
	for {
		select {
		case c := <-chunks:
			w.work(at, stop, c)
		case <-stop.Done():
			return
		}
	}
}

// read reads one chunk ahead of the handler.
func (w *worker) read(ctx context.Context, chunks chan<- chunk) {
	reading := delivery.Trouble{Log: w.log, What: "the stream cannot be read", Group: w.group}
	backoff := w.readBackoff()
	for offset, failures := w.from, 0; ctx.Err() == nil; {
		c, err := w.readOnce(ctx, offset)
		if err != nil {
			reading.Begin(ctx, err)
			failures++
			background.Sleep(ctx, backoff.Pause(failures))
			w.routes.refresh(w.cfg.Now())
			continue
		}
		reading.End(ctx)
		failures = 0
		if c.next == offset {
			continue
		}
		offset = c.next
		select {
		case chunks <- c:
		case <-ctx.Done():
		}
	}
}

// readOnce reads from an offset, or says where to go on if there is nothing
// there.
func (w *worker) readOnce(ctx context.Context, offset int64) (chunk, error) {
	if offset >= 0 {
		records, next, err := w.fetch(ctx, w.cfg.Topic, w.partition, offset)
		if err == nil {
			return chunk{items: w.decode(records), next: next}, nil
		}
		if !errors.Is(err, kafka.OffsetOutOfRange) {
			return chunk{}, err
		}
	}
	all, err := w.ends(ctx, w.cfg.Topic, []partition{{id: w.partition}})
	if err != nil {
		return chunk{}, err
	}
	b := all[w.partition]
	switch {
	case offset < 0: // a new group begins with the oldest
		return chunk{next: b.first}, nil
	case offset < b.first:
		w.counters.lost.Add(b.first - offset)
		w.log.ErrorContext(ctx, "a group lost events: it is further behind than the retention", slog.String("group", w.group),
			slog.Int("partition", w.partition), slog.Int64("lost", b.first-offset))
		return chunk{next: b.first}, nil
	case offset > b.next:
		w.log.ErrorContext(ctx, "a group was further than the stream, which must have been made again; it begins with the oldest",
			slog.String("group", w.group), slog.Int("partition", w.partition), slog.Int64("offset", offset), slog.Int64("end", b.next))
		return chunk{next: b.first, reset: true}, nil
	}
	return chunk{}, kafka.OffsetOutOfRange // it is in range by now
}

// decode leaves out what is for other groups.
func (w *worker) decode(records []record) []item {
	items := make([]item, 0, len(records))
	for _, r := range records {
		it := item{record: r}
		var group string
		if it.event, group, it.err = decode(r.message); group != "" && group != w.group {
			continue
		}
		if r.unsure {
			it.err = errors.New("written in a transaction, which may have been aborted")
		}
		items = append(items, it)
	}
	return items
}

// work hands a chunk to the handler, batch by batch, until stop is done.
func (w *worker) work(at, stop context.Context, c chunk) {
	if c.reset {
		w.offsets.finish(w.partition, c.next, true)
	}
	for items := c.items; len(items) > 0; {
		if stop.Err() != nil {
			return
		}
		if n := w.step(at, stop, items); n > 0 {
			w.offsets.finish(w.partition, items[n-1].offset+1, false)
			items = items[n:]
		}
	}
	w.offsets.finish(w.partition, c.next, false)
}

// step delivers or dead-letters what is in front, and returns how many items are
// finished. After a failure it waits.
func (w *worker) step(at, stop context.Context, items []item) int {
	n := 0
	for n < len(items) && n < w.size.Now() && items[n].err == nil {
		n++
	}
	if n == 0 {
		return w.deadLetter(at, stop, items[0], 0, items[0].err)
	}
	select {
	case w.slots <- struct{}{}:
	case <-stop.Done():
		return 0
	}
	err := w.deliver(at, items[:n])
	<-w.slots
	if err == nil {
		w.handler.End(at)
		w.attempts = 0
		w.size.Done()
		return n
	}
	if stop.Err() != nil {
		return 0
	}
	return w.fail(at, stop, items[:n], err)
}

// fail makes the next batch smaller, and dead-letters an event that failed alone
// too often.
func (w *worker) fail(at, stop context.Context, items []item, err error) int {
	w.handler.Begin(stop, err)
	first := items[0]
	stuck := w.size.Failed(len(items))
	if len(items) == 1 && counts(err) {
		w.attempts++
	}
	if w.attempts >= w.cfg.MaxAttempts {
		n := w.deadLetter(at, stop, first, w.attempts, err)
		w.attempts = 0
		w.size.Done()
		return n
	}
	if stuck {
		w.log.ErrorContext(stop, "an event holds up its partition", slog.String("group", w.group),
			slog.Int("partition", w.partition), slog.Int64("offset", first.offset),
			slog.String("event", first.event.ID), slog.String("type", first.event.Type),
			slog.String("tenant", string(first.event.Tenant)), slog.Any("error", err))
	}
	background.Sleep(stop, w.backoff.Pause(w.size.Failures()))
	return 0
}

// deliver calls the handler.
func (w *worker) deliver(ctx context.Context, items []item) error {
	batch := make([]platform.Event, len(items))
	for i := range items {
		batch[i] = items[i].event
	}
	return delivery.Call(ctx, w.log, w.group, w.handle, batch)
}
