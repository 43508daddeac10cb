package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

var subjects = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

// load publishes an event of each subject after the other, each until it is
// acknowledged, until end is called, which returns how many each has.
func load(tb testing.TB, e *kafka.Events) (end func() int) {
	tb.Helper()
	stop, done := make(chan struct{}), make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			for e.Publish(tb.Context(), events(acme, n, n+1, subjects...)...) != nil {
				if tb.Context().Err() != nil {
					done <- n
					return
				}
			}
		}
	}()
	return func() int {
		close(stop)
		return <-done
	}
}

// Three processes join and leave one after the other under load: nothing is
// lost, nothing comes twice, no subject is out of order, and no two have a
// partition at once.
func TestJoinAndLeave(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	e := start(t, cfg)
	var (
		in     inbox
		mu     sync.Mutex
		atWork = map[string]bool{}
	)
	handle := func(ctx context.Context, batch []platform.Event) error {
		mine := map[string]bool{}
		for _, ev := range batch {
			mine[ev.Subject] = true
		}
		mu.Lock()
		for s := range mine {
			if atWork[s] {
				t.Errorf("two handlers have subject %s", s)
			}
			atWork[s] = true
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			for s := range mine {
				delete(atWork, s)
			}
		}()
		return in.handle(ctx, batch)
	}
	published := load(t, e)
	var ends []func()
	join := func() {
		at := in.distinct()
		ends = append(ends, consume(t, start(t, cfg), "g", handle))
		until(t, "progress", func() bool { return in.distinct() > at+500 })
	}
	join()
	join()
	join()
	ends[0]()
	join()
	ends[2]()
	ends[1]()
	each := published()
	until(t, "all events", func() bool { return in.distinct() == each*len(subjects) })
	in.wantOrder(t, each)
	if n := in.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
	if g := groupStats(t, e, "g"); g.Group != "g" || len(g.Partitions) != 4 {
		t.Errorf("stats: %+v", g)
	}
}

// A process dies in the middle of a rebalance, with a batch finished that it can
// not commit any more: others take over, and only what it had not committed
// comes again.
func TestKilledInARebalance(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	e := start(t, cfg)
	published := load(t, e)
	var in inbox
	var died wire
	dead := cfg
	dead.Dial = died.dial
	consume(t, start(t, dead), "g", in.handle)
	until(t, "the first to work", func() bool { return in.distinct() > 500 })
	// The second joins; the first is killed as soon as it is to hand over.
	var once sync.Once
	second := start(t, cfg)
	kill := func(ctx context.Context, batch []platform.Event) error {
		once.Do(died.kill)
		return in.handle(ctx, batch)
	}
	third := start(t, cfg)
	consume(t, second, "g", kill)
	consume(t, third, "g", in.handle)
	each := published()
	until(t, "all events", func() bool { return in.distinct() == each*len(subjects) })
	in.wantOrder(t, each)
	t.Logf("%d duplicates", in.duplicates())
}

// The connections break now and then; the members find each other again.
func TestDroppedConnections(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	var w wire
	cfg.Dial = w.dial
	e := start(t, cfg)
	var in inbox
	consume(t, e, "g", in.handle)
	published := load(t, e)
	for i := 1; i <= 3; i++ {
		until(t, "progress", func() bool { return in.distinct() >= i*500 })
		w.drop()
	}
	each := published()
	until(t, "all events", func() bool { return in.distinct() == each*len(subjects) })
	in.wantOrder(t, each)
	t.Logf("%d duplicates", in.duplicates())
}

// Handlers that are at work when the group is shared again finish their batches
// first: no other gets their partitions meanwhile.
func TestRebalanceWaitsForHandlers(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Concurrency = cfg.Partitions
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 5, subjects...)...)
	var in inbox
	busy, free := make(chan struct{}, 100), make(chan struct{})
	endFirst := consume(t, start(t, cfg), "g", func(ctx context.Context, batch []platform.Event) error {
		busy <- struct{}{}
		<-free
		return in.handle(ctx, batch)
	})
	for range cfg.Partitions {
		<-busy
	}
	consume(t, start(t, cfg), "g", in.handle)
	// The group is shared again, and waits for the first.
	client := bare(t, broker)
	until(t, "the rebalance", func() bool { return groupState(t, client, cfg.Topic+"/g") != "Stable" })
	// Long enough for the first to have noticed, which is when one that did not
	// wait would hand over.
	for began := time.Now(); time.Since(began) < cfg.SessionTimeout/3; {
		if state := groupState(t, client, cfg.Topic+"/g"); state != "PreparingRebalance" || in.distinct() != 0 {
			t.Fatalf("the group is %s, and %d events came, while handlers are at work", state, in.distinct())
		}
	}
	close(free)
	until(t, "all events", func() bool { return in.distinct() == 40 })
	publish(t, e, events(acme, 5, 10, subjects...)...)
	until(t, "all events", func() bool { return in.distinct() == 80 })
	endFirst()
	if n := in.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
	in.wantOrder(t, 10)
}

func groupState(tb testing.TB, c *kafkago.Client, group string) string {
	tb.Helper()
	answer, err := c.DescribeGroups(tb.Context(), &kafkago.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return ""
	}
	return answer.Groups[0].GroupState
}

// A handler that does not end holds a rebalance up for a bounded time: its
// context ends, and its batch goes to another.
func TestRebalanceEndsHandlers(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Partitions, cfg.RebalanceTimeout = 1, 3*time.Second
	e := start(t, cfg)
	publish(t, e, event(acme, "s", 0))
	var in inbox
	var once sync.Once
	busy := make(chan struct{})
	handle := func(ctx context.Context, batch []platform.Event) (err error) {
		once.Do(func() {
			close(busy)
			<-ctx.Done()
			err = ctx.Err()
		})
		if err != nil {
			return err
		}
		return in.handle(ctx, batch)
	}
	consume(t, start(t, cfg), "g", handle)
	<-busy
	consume(t, start(t, cfg), "g", handle)
	until(t, "the event to come again", func() bool { return in.distinct() == 1 })
}

// A handler that does not heed its context returns long after its group went on
// without it: what it finished cannot be committed any more, and the offset of the
// one that took over stands.
func TestLateHandlerCommitsNothing(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Partitions, cfg.RebalanceTimeout = 1, 2*time.Second
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 5, "s")...)
	var late, in inbox
	busy, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	consume(t, start(t, cfg), "g", func(ctx context.Context, batch []platform.Event) error {
		once.Do(func() {
			close(busy)
			<-free
		})
		return late.handle(ctx, batch)
	})
	<-busy
	end := consume(t, start(t, cfg), "g", in.handle)
	until(t, "another to take over", func() bool { return in.distinct() == 5 })
	publish(t, e, events(acme, 5, 10, "s")...)
	next := func() int64 { return groupStats(t, e, "g").Partitions[0].Next }
	until(t, "its offset", func() bool { return next() == 10 })
	close(free)
	until(t, "the late one to return", func() bool { return late.distinct() == 5 })
	end()
	publish(t, e, events(acme, 10, 15, "s")...)
	until(t, "the late one to have the partition", func() bool { return late.distinct()+in.distinct() == 20 })
	until(t, "the last offset", func() bool { return next() == 15 })
	if got, n := late.distinct(), late.duplicates()+in.duplicates(); got != 10 || n != 0 {
		t.Errorf("the late one got %d events and %d came twice: the offset went back", got, n)
	}
}

// Partitions are added: events go there, and are read, without a restart.
func TestPartitionsAdded(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	var in inbox
	consume(t, e, "g", in.handle)
	publish(t, e, events(acme, 0, 10, subjects...)...)
	until(t, "the first events", func() bool { return in.distinct() == 80 })
	answer, err := bare(t, broker).CreatePartitions(t.Context(), &kafkago.CreatePartitionsRequest{
		Topics: []kafkago.TopicPartitionsConfig{{Name: cfg.Topic, Count: 3}},
	})
	if err != nil || answer.Errors[cfg.Topic] != nil {
		t.Fatal(err, answer)
	}
	next := 10
	until(t, "events in the new partitions", func() bool {
		publish(t, e, events(acme, next, next+1, subjects...)...)
		next++
		g := groupStats(t, e, "g")
		return len(g.Partitions) == 3 && g.Partitions[1].End > 0 && g.Partitions[2].End > 0
	})
	until(t, "all events", func() bool { return in.distinct() == next*len(subjects) })
}

// One Consume call calls its handler for one batch at a time, unless it was told
// that the handler is safe for more.
func TestConcurrency(t *testing.T) {
	broker := teststack.Kafka(t)
	for _, n := range []int{1, 4} {
		cfg := config(t, broker)
		cfg.Concurrency = n
		e := start(t, cfg)
		publish(t, e, events(acme, 0, 50, subjects...)...)
		var now, most atomic.Int32
		var in inbox
		together := make(chan struct{})
		consume(t, e, "g", func(ctx context.Context, batch []platform.Event) error {
			at := now.Add(1)
			defer now.Add(-1)
			for {
				was := most.Load()
				if at <= was || most.CompareAndSwap(was, at) {
					break
				}
			}
			if n > 1 && at == 2 {
				close(together)
			}
			if n > 1 {
				<-together // two are at work, or this never ends
			}
			return in.handle(ctx, batch)
		})
		until(t, "all events", func() bool { return in.distinct() == 400 })
		if got := most.Load(); n == 1 && got != 1 || n > 1 && got < 2 {
			t.Errorf("Concurrency %d: %d at once", n, got)
		}
	}
}

// The end of a Consume call commits what is finished and leaves the group, so
// that the next one goes on at once and at the right offset.
func TestEndCommits(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, config(t, broker))
	var in inbox
	for round := range 5 {
		end := consume(t, e, "g", in.handle)
		publish(t, e, events(acme, round*3, round*3+3, subjects...)...)
		until(t, "the round's events", func() bool { return in.distinct() == (round+1)*3*len(subjects) })
		end()
	}
	if n := in.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
	in.wantOrder(t, 15)
	if g := groupStats(t, e, "g"); g.Lag != 0 || g.Rebalances < 5 {
		t.Errorf("stats: %+v", g)
	}
	for _, group := range []string{"", fmt.Sprintf("%101d", 1)} {
		if err := e.Consume(t.Context(), group, in.handle); err == nil {
			t.Errorf("group %q is taken", group)
		}
	}
}
