package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/kafka"
)

// faultLoad is writers against both replicas of a rig, each of which repeats what
// was not acknowledged, and an observer of the stream.
type faultLoad struct {
	rig     *rig
	clients [2]*client // their URLs are the replicas' of the moment
	cancel  context.CancelFunc
	writers sync.WaitGroup
	watcher sync.WaitGroup

	acks, refused atomic.Int64

	mu      sync.Mutex
	created map[string]bool // records that were acknowledged
	events  map[string]bool // events that were acknowledged
	updated map[string]int  // the last number that was acknowledged, by record

	seen     map[string]bool  // ids of events that the observer has had
	versions map[string][]int // of each record, as they came first
	doubles  int              // deliveries of events it had had
}

func (r *rig) load(t *testing.T) *faultLoad {
	t.Helper()
	l := &faultLoad{
		rig: r, created: map[string]bool{}, events: map[string]bool{}, updated: map[string]int{},
		seen: map[string]bool{}, versions: map[string][]int{},
	}
	c := r.replica(0).signUp("ann@example.com", "Ann's")
	for _, name := range []string{"created", "updated"} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": name}, nil)
	}
	l.clients = [2]*client{c, r.replica(1).client(c.token)}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for i := range l.clients {
		for w := range 2 {
			l.writers.Go(func() { l.create(ctx, i, fmt.Sprintf("%d-%d", i, w)) })
		}
		l.writers.Go(func() { l.update(ctx, i) })
		l.writers.Go(func() { l.ingest(ctx, i) })
	}
	l.observe(t)
	t.Cleanup(l.end)
	return l
}

// observe follows the stream as a service of the host's own would.
func (l *faultLoad) observe(t *testing.T) {
	t.Helper()
	broker, topic := l.rig.brokers()
	events, err := kafka.New(kafka.Config{Brokers: []string{broker}, Topic: topic, Plaintext: true, Replication: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.watcher.Go(func() {
		if err := events.Consume(ctx, "observer", l.see); err != nil {
			t.Errorf("observer: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		l.watcher.Wait()
		if err := events.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func (l *faultLoad) see(_ context.Context, batch []platform.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range batch {
		if l.seen[e.ID] {
			l.doubles++
			continue
		}
		l.seen[e.ID] = true
		if !strings.HasPrefix(e.Type, "data.record.") {
			continue
		}
		var d struct {
			Collection, ID string
			Version        int
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		key := d.Collection + "/" + d.ID
		l.versions[key] = append(l.versions[key], d.Version)
	}
	return nil
}

// pause is how long a writer waits between its requests, so that the load is
// steady and not the most there can be.
var pause = flag.Duration("fault-pause", 50*time.Millisecond, "how long a writer of TestFaults waits between its requests")

// until sends a request to a replica until it is answered with one of the
// statuses, and reports false once the load has ended.
func (l *faultLoad) until(ctx context.Context, i int, method, path, body string, statuses ...int) bool {
	for ctx.Err() == nil {
		c := *l.clients[i]
		c.url = l.rig.replica(i).url
		asking, cancel := context.WithTimeout(ctx, 20*time.Second)
		a, err := c.try(asking, method, path, "application/json", strings.NewReader(body))
		cancel()
		if err == nil {
			for _, s := range statuses {
				if a.status == s {
					l.acks.Add(1)
					return true
				}
			}
			if a.status < 500 && a.status != http.StatusConflict && a.status != http.StatusTooManyRequests {
				l.rig.replica(i).t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
		l.refused.Add(1)
		time.Sleep(*pause)
	}
	return false
}

// makeRecord creates a record with an id of its own: where an earlier try was
// made and its answer lost, it exists already.
func (l *faultLoad) makeRecord(ctx context.Context, i int, id string) bool {
	ok := l.until(ctx, i, "POST", "/v1/data/collections/created/records", fmt.Sprintf(`{"id":%q,"data":{"n":1}}`, id),
		http.StatusCreated, http.StatusConflict)
	if ok {
		l.mu.Lock()
		l.created[id] = true
		l.mu.Unlock()
	}
	return ok
}

func (l *faultLoad) create(ctx context.Context, i int, writer string) {
	for n := 0; l.makeRecord(ctx, i, fmt.Sprintf("r-%s-%d", writer, n)); n++ {
		time.Sleep(*pause)
	}
}

func (l *faultLoad) update(ctx context.Context, i int) {
	id := fmt.Sprintf("u-%d", i)
	if !l.until(ctx, i, "POST", "/v1/data/collections/updated/records", fmt.Sprintf(`{"id":%q,"data":{"n":0}}`, id),
		http.StatusCreated, http.StatusConflict) {
		return
	}
	for n := 1; l.until(ctx, i, "PUT", "/v1/data/collections/updated/records/"+id, fmt.Sprintf(`{"data":{"n":%d}}`, n), http.StatusOK); n++ {
		l.mu.Lock()
		l.updated[id] = n
		l.mu.Unlock()
		time.Sleep(*pause / 2)
	}
}

func (l *faultLoad) ingest(ctx context.Context, i int) {
	for n := 0; ; n++ {
		var ids, events []string
		for k := range 20 {
			id := fmt.Sprintf("e-%d-%d-%d", i, n, k)
			ids = append(ids, id)
			events = append(events, fmt.Sprintf(`{"id":%q,"name":"fault","user":"u","time":"2026-01-01T00:00:00Z"}`, id))
		}
		if !l.until(ctx, i, "POST", "/v1/analytics/events", `{"events":[`+strings.Join(events, ",")+`]}`, http.StatusOK) {
			return
		}
		l.mu.Lock()
		for _, id := range ids {
			l.events[id] = true
		}
		l.mu.Unlock()
		time.Sleep(*pause)
	}
}

// settle waits until the writers have got under way.
func (l *faultLoad) settle(t *testing.T) {
	t.Helper()
	before := l.acks.Load()
	eventually(t, "acknowledgements", func() bool { return l.acks.Load() >= before+40 })
}

// recovered makes a record through each replica and waits until the stream has
// brought both: writes, the relay and consumers work again. It returns how long
// that took.
func (l *faultLoad) recovered(t *testing.T, marker string) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for i := range l.clients {
		id := fmt.Sprintf("%s-%d", marker, i)
		if !l.makeRecord(ctx, i, id) {
			t.Fatalf("no write through replica %d after the fault", i)
		}
		eventually(t, "the event of "+id, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.versions["created/"+id]) > 0
		})
	}
	return time.Since(began)
}

func (l *faultLoad) end() {
	l.cancel()
	l.writers.Wait()
}

// check compares what is there with what was acknowledged.
func (l *faultLoad) check(t *testing.T) {
	t.Helper()
	c := l.rig.replica(0).client(l.clients[0].token)
	records := everyRecord(t, c, "created")
	l.mu.Lock()
	created, events := len(l.created), len(l.events)
	for id := range l.created {
		if _, ok := records[id]; !ok {
			t.Errorf("the acknowledged record %s is lost", id)
		}
	}
	updated := map[string]int{}
	for id, n := range l.updated {
		updated[id] = n
	}
	l.mu.Unlock()
	if created == 0 || events == 0 || len(updated) != len(l.clients) {
		t.Error("the load was too small to prove anything")
	}
	// Each record, of both collections, is one message.
	checkInbox(t, c, len(records)+len(everyRecord(t, c, "updated")))

	var series struct {
		Series []struct{ Points []struct{ Count int } }
	}
	c.want(http.StatusOK, "POST", "/v1/analytics/query/series", map[string]any{
		"event": "fault", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "interval": "day", "timezone": "UTC",
	}, &series)
	// A last request of each ingester may be there without its acknowledgement.
	if n := series.Series[0].Points[0].Count; n < events || n > events+20*len(l.clients) {
		t.Errorf("%d events are counted, %d were acknowledged", n, events)
	}
	for id, n := range updated {
		l.checkUpdates(t, c, id, n)
	}
}

// checkUpdates looks at a record that was replaced again and again: the last
// acknowledged number is there, and the stream brought each version once, in
// order, none left out.
func (l *faultLoad) checkUpdates(t *testing.T, c *client, id string, acknowledged int) {
	t.Helper()
	var rec struct {
		Version int
		Data    struct{ N int }
	}
	c.want(http.StatusOK, "GET", "/v1/data/collections/updated/records/"+id, nil, &rec)
	if rec.Data.N < acknowledged || rec.Data.N > acknowledged+1 {
		t.Errorf("record %s holds %d, %d was acknowledged", id, rec.Data.N, acknowledged)
	}
	var versions []int
	eventually(t, "all versions of "+id, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		versions = append([]int(nil), l.versions["updated/"+id]...)
		return len(versions) >= rec.Version
	})
	for i, v := range versions {
		if v != i+1 {
			t.Fatalf("the events of %s came in the order %v…, want 1, 2, 3…", id, versions[max(0, i-3):min(len(versions), i+3)])
		}
	}
}

func (l *faultLoad) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	updates := 0
	for _, n := range l.updated {
		updates += n
	}
	return fmt.Sprintf("acknowledged %d records, %d updates, %d ingested events; %d requests refused; the observer got %d events and %d of them again",
		len(l.created), updates, len(l.events), l.refused.Load(), len(l.seen), l.doubles)
}
