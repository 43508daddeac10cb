package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

// impatient tries again at once and gives up soon.
func impatient(tb testing.TB, broker string) kafka.Config {
	tb.Helper()
	cfg := config(tb, broker)
	cfg.MinBackoff, cfg.MaxBackoff, cfg.MaxAttempts = time.Millisecond, 5*time.Millisecond, 3
	return cfg
}

func letters(tb testing.TB, e *kafka.Events, q kafka.DeadQuery) []kafka.DeadLetter {
	tb.Helper()
	found, err := e.Dead(tb.Context(), q)
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// picky is a handler that fails on some events, by an error or a panic.
type picky struct {
	inbox
	bad map[string]error
}

func (p *picky) handle(ctx context.Context, batch []platform.Event) error {
	p.mu.Lock()
	for _, e := range batch {
		if err := p.bad[e.ID]; err != nil {
			p.mu.Unlock()
			if strings.HasPrefix(err.Error(), "panic") {
				panic(err)
			}
			return err
		}
	}
	p.mu.Unlock()
	return p.inbox.handle(ctx, batch)
}

// One in a hundred events always fails, half of them by a panic: those become
// dead letters with the cause, and the others are done, in order and once.
func TestPoisonEvents(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, impatient(t, broker))
	p := &picky{bad: map[string]error{}}
	all := events(acme, 0, 500, "a", "b")
	for n := 50; n < len(all); n += 100 {
		p.bad[all[n].ID] = errors.New("no such thing")
		if n%200 == 50 {
			p.bad[all[n].ID] = errors.New("panic")
		}
	}
	publish(t, e, all...)
	end := consume(t, e, "g", p.handle)
	until(t, "the good events", func() bool { return p.distinct() == len(all)-len(p.bad) })
	until(t, "the dead letters", func() bool { return len(letters(t, e, kafka.DeadQuery{})) == len(p.bad) })
	if n := p.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
	last := map[string]int{"a": -1, "b": -1}
	for _, got := range p.all() {
		var n int
		fmt.Sscanf(string(got.Data), `{"n":%d}`, &n)
		if n <= last[got.Subject] {
			t.Fatalf("%s: %d after %d", got.Subject, n, last[got.Subject])
		}
		last[got.Subject] = n
	}
	for _, l := range letters(t, e, kafka.DeadQuery{}) {
		if cause := p.bad[l.Event.ID]; cause == nil || !strings.Contains(l.Cause, cause.Error()) || l.Attempts != 3 || l.Group != "g" ||
			l.Event.Tenant != acme || time.Since(l.DiedAt) > time.Hour || l.Bare {
			t.Errorf("letter %+v", l)
		}
	}
	until(t, "the figures", func() bool { g := groupStats(t, e, "g"); return g.Lag == 0 && g.Dead == int64(len(p.bad)) })
	end()

	// What is replayed comes once more, for its group alone.
	p.mu.Lock()
	clear(p.bad)
	p.mu.Unlock()
	found := letters(t, e, kafka.DeadQuery{})
	var ids []string
	for _, l := range found {
		ids = append(ids, l.ID)
	}
	if err := e.Replay(t.Context(), ids[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := e.Replay(t.Context(), ids[0]); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("a second replay: %v", err)
	}
	if n := len(letters(t, e, kafka.DeadQuery{})); n != len(found)-2 {
		t.Errorf("%d letters are left of %d", n, len(found))
	}
	consume(t, e, "g", p.handle)
	until(t, "the replayed events", func() bool { return p.distinct() == len(all)-len(found)+2 })
	var other inbox
	consume(t, e, "other", other.handle)
	until(t, "the events of another group", func() bool { return other.distinct() == len(all) })
	until(t, "the end of its partitions", func() bool { return groupStats(t, e, "other").Lag == 0 })
	if n := other.duplicates(); n != 0 {
		t.Errorf("another group got %d events again", n)
	}
}

// What a dependency causes does not make an event die, however long it lasts.
func TestOutageKillsNothing(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, impatient(t, broker))
	publish(t, e, events(acme, 0, 3, "s")...)
	unavailable := platform.Errorf(platform.KindUnavailable, "store_unavailable", "the store is unavailable")
	var in inbox
	calls := 0
	consume(t, e, "g", func(ctx context.Context, batch []platform.Event) error {
		if calls++; calls < 100 {
			return fmt.Errorf("handle: %w", unavailable)
		}
		return in.handle(ctx, batch)
	})
	until(t, "all events", func() bool { return in.distinct() == 3 })
	if found := letters(t, e, kafka.DeadQuery{}); len(found) != 0 {
		t.Errorf("dead letters: %+v", found)
	}
}

// Records that are no events, of other programs or of bugs, become dead letters
// as they are, at once, and delay nobody.
func TestWhatIsNoEvent(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := impatient(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	header := func(name, value string) kafkago.Header { return kafkago.Header{Key: name, Value: []byte(value)} }
	whole := []kafkago.Header{
		header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/s"), header("ce_type", "t"),
		header("ce_subject", "s"), header("ce_time", "2026-01-02T03:04:05Z"), header("ce_tenantid", "org_acme"),
	}
	change := func(name, value string) []kafkago.Header {
		changed := append([]kafkago.Header(nil), whole...)
		for i := range changed {
			if changed[i].Key == name {
				changed[i].Value = []byte(value)
			}
		}
		return changed
	}
	bad := []kafkago.Record{
		{Value: kafkago.NewBytes([]byte("hello"))},
		{},
		{Headers: change("ce_specversion", "0.3")},
		{Headers: change("ce_time", "yesterday")},
		{Headers: change("ce_tenantid", "../x")},
		{Headers: change("ce_id", "")},
		{Headers: whole, Value: kafkago.NewBytes([]byte("{"))},
	}
	publish(t, e, event(acme, "s", 0))
	put(t, broker, cfg.Topic, 0, bad...)
	// One that no test of a header can tell from an event is one.
	put(t, broker, cfg.Topic, 0, kafkago.Record{Headers: whole, Value: kafkago.NewBytes([]byte(`{}`))})
	publish(t, e, event(acme, "s", 1))
	var in inbox
	consume(t, e, "g", in.handle)
	until(t, "the events", func() bool { return in.distinct() == 3 })
	found := letters(t, e, kafka.DeadQuery{})
	if len(found) != len(bad) {
		t.Fatalf("%d letters of %d", len(found), len(bad))
	}
	for i, l := range found {
		if l.Event.ID != "" || l.Cause == "" || l.Attempts != 0 || l.Partition != 0 || l.Offset != int64(1+i) {
			t.Errorf("letter %+v", l)
		}
	}
	raw := get(t, broker, cfg.Topic+".dead", 0)
	if string(raw[0].Value) != "hello" || raw[1].Value != nil {
		t.Errorf("the messages changed: %q %q", raw[0].Value, raw[1].Value)
	}
	// Replayed, it dies again, and has a new letter.
	if err := e.Replay(t.Context(), found[0].ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the new letter", func() bool {
		now := letters(t, e, kafka.DeadQuery{})
		return len(now) == len(bad) && now[len(now)-1].Offset > found[len(found)-1].Offset
	})
}

// A message that was compressed can be larger than a dead letter may be: the
// letter then says where it is.
func TestLetterThatDoesNotFit(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := impatient(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	until(t, "the write", func() bool {
		answer, err := bare(t, broker).Produce(t.Context(), &kafkago.ProduceRequest{
			Topic: cfg.Topic, RequiredAcks: kafkago.RequireAll, Compression: kafkago.Zstd,
			Records: kafkago.NewRecordReader(kafkago.Record{Value: kafkago.NewBytes(make([]byte, 4<<20))}),
		})
		return err == nil && answer.Error == nil
	})
	publish(t, e, event(acme, "s", 0))
	var in inbox
	consume(t, e, "g", in.handle)
	until(t, "the event behind it", func() bool { return in.distinct() == 1 })
	found := letters(t, e, kafka.DeadQuery{})
	if len(found) != 1 || !found[0].Bare || found[0].Offset != 0 {
		t.Fatalf("letters %+v", found)
	}
	if err := e.Replay(t.Context(), found[0].ID); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("Replay: %v", err)
	}
}

// A letter is found by tenant and by group, page by page, and only by ids that
// exist.
func TestDeadQueries(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := impatient(t, broker)
	e := start(t, cfg)
	publish(t, e, append(events(acme, 0, 3, "s"), events(globex, 0, 2, "s")...)...)
	var wg sync.WaitGroup
	for _, group := range []string{"one", "two"} {
		wg.Go(func() {
			consume(t, e, group, func(context.Context, []platform.Event) error { return errors.New("never") })
		})
	}
	wg.Wait()
	until(t, "the letters", func() bool { return len(letters(t, e, kafka.DeadQuery{})) == 10 })
	for want, q := range map[int]kafka.DeadQuery{
		6: {Tenant: acme}, 4: {Tenant: globex}, 5: {Group: "one"}, 2: {Tenant: globex, Group: "two"}, 0: {Tenant: "org_other"}, 7: {Limit: 7},
	} {
		found := letters(t, e, q)
		if len(found) != want {
			t.Errorf("%+v: %d letters, want %d", q, len(found), want)
		}
		for _, l := range found {
			if q.Tenant != "" && l.Event.Tenant != q.Tenant || q.Group != "" && l.Group != q.Group {
				t.Errorf("%+v: got %+v", q, l)
			}
		}
	}
	var paged []string
	for q := (kafka.DeadQuery{Limit: 3}); ; {
		found := letters(t, e, q)
		if len(found) == 0 {
			break
		}
		for _, l := range found {
			paged = append(paged, l.ID)
		}
		q.After = found[len(found)-1].ID
	}
	if len(paged) != 10 || paged[0] != "0-0" || paged[9] != "0-9" {
		t.Errorf("pages: %v", paged)
	}
	if _, err := e.Dead(t.Context(), kafka.DeadQuery{After: "x"}); platform.KindOf(err) != platform.KindInvalid {
		t.Errorf("After: %v", err)
	}
	for _, id := range []string{"", "x", "0-99", "7-0", "-1-0"} {
		if err := e.Replay(t.Context(), id); platform.KindOf(err) != platform.KindNotFound {
			t.Errorf("Replay %q: %v", id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Dead(ctx, kafka.DeadQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dead, cancelled: %v", err)
	}
	if err := e.Replay(ctx, "0-0"); !errors.Is(err, context.Canceled) {
		t.Errorf("Replay, cancelled: %v", err)
	}
}
