package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKill kills the server in the middle of imports, creates and ingests, and
// compares what it has afterwards with what it acknowledged: nothing lost,
// nothing doubled, and each created record has its one inbox message.
func TestKill(t *testing.T) { everywhere(t, killUnderLoad) }

func killUnderLoad(t *testing.T, set setup, at place) {
	s := start(t, at)
	c := s.signUp("ann@example.com", "Ann's")
	for _, name := range []string{"created", "imported"} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": name}, nil)
	}
	acked := ledger{lines: set.atMost(importSize, 20)}
	rounds := set.kills()
	recovery := time.Duration(0)
	for round := range rounds {
		load(s.client(c.token), round, &acked, s.kill)
		began := time.Now()
		s = start(t, at)
		recovery = max(recovery, time.Since(began))
		c = s.logIn("ann@example.com")
	}
	acked.check(t, c)
	t.Logf("%d kills; acknowledged %d created records, %d imports, %d events; slowest start after a kill %v",
		rounds, len(acked.created), len(acked.imports), len(acked.events), recovery.Round(time.Millisecond))
	if len(acked.created) < rounds || len(acked.events) < rounds {
		t.Error("the load was too small to prove anything")
	}
}

// ledger is what the server acknowledged.
type ledger struct {
	mu      sync.Mutex
	created map[string]string // record id → its token
	tried   map[string]bool   // tokens of creates that were sent, acknowledged or not
	imports []int             // numbers of imports that were acknowledged
	sent    int               // imports that were begun
	lines   int               // of each import; zero is importSize
	events  map[string]bool
	unsure  map[string]bool // events that were sent without an answer
}

const importSize = 400

// begin makes an empty ledger, once.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.created == nil {
		l.lines = cmp.Or(l.lines, importSize)
		l.created, l.tried, l.events, l.unsure = map[string]string{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
}

// size is how many records were acknowledged.
func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.created)
}

// load runs writers against the server, has end end it at a random moment, and
// returns when the writers have noticed.
func load(c *client, round int, l *ledger, end func()) {
	l.begin()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var creates, ingests, imports atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() { l.create(ctx, c, fmt.Sprintf("%d-%d", round, w), &creates) })
		wg.Go(func() { l.ingest(ctx, c, fmt.Sprintf("%d-%d", round, w), &ingests) })
	}
	wg.Go(func() { l.importMany(ctx, c, &imports) })
	// The moment is random, but not before the writers have got under way.
	for deadline := time.Now().Add(patience); (creates.Load() < 2 || creates.Load()+ingests.Load() < 20 || imports.Load() < 1) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(150 * time.Millisecond))))
	end()
	cancel()
	wg.Wait()
}

func (l *ledger) create(ctx context.Context, c *client, writer string, acks *atomic.Int64) {
	for i := 0; ctx.Err() == nil; i++ {
		token := fmt.Sprintf("%s-%d", writer, i)
		l.mu.Lock()
		l.tried[token] = true
		l.mu.Unlock()
		a, err := c.try(ctx, "POST", "/v1/data/collections/created/records", "application/json",
			bytes.NewBufferString(`{"data":{"token":"`+token+`"}}`))
		if err != nil {
			return
		}
		var rec struct{ ID string }
		if a.status == http.StatusCreated && json.Unmarshal(a.body, &rec) == nil {
			acks.Add(1)
			l.mu.Lock()
			l.created[rec.ID] = token
			l.mu.Unlock()
		}
	}
}

func (l *ledger) ingest(ctx context.Context, c *client, writer string, acks *atomic.Int64) {
	// All events are sent again at the end: where an import is slow they would
	// become too many meanwhile.
	const most = 200
	for i := 0; i < most && ctx.Err() == nil; i++ {
		var body bytes.Buffer
		var ids []string
		body.WriteString(`{"events":[`)
		for k := range 20 {
			id := fmt.Sprintf("e-%s-%d-%d", writer, i, k)
			ids = append(ids, id)
			if k > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"id":%q,"name":"kill","user":"u","time":"2026-01-01T00:00:00Z"}`, id)
		}
		body.WriteString(`]}`)
		a, err := c.try(ctx, "POST", "/v1/analytics/events", "application/json", &body)
		l.mu.Lock()
		for _, id := range ids {
			if err == nil && a.status == http.StatusOK {
				l.events[id] = true
			} else {
				l.unsure[id] = true
			}
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
		acks.Add(1)
	}
}

// importMany imports files with a key, so that each can be sent again.
func (l *ledger) importMany(ctx context.Context, c *client, acks *atomic.Int64) {
	for ctx.Err() == nil {
		l.mu.Lock()
		n := l.sent
		l.sent++
		l.mu.Unlock()
		a, err := c.try(ctx, "POST", "/v1/data/collections/imported/records/import?key=k", "application/x-ndjson", importFile(n, l.lines))
		if err != nil || a.status != http.StatusOK {
			return
		}
		acks.Add(1)
		l.mu.Lock()
		l.imports = append(l.imports, n)
		l.mu.Unlock()
	}
}

// importFile is the n-th file, line by line, so that the kill hits it midway.
func importFile(n, lines int) io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := range lines {
			if _, err := fmt.Fprintf(w, "{\"k\":\"f%d-%d\",\"n\":%d}\n", n, i, i); err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	return r
}

// check compares the ledger with the server. It returns how many records and
// events are there that the server did not acknowledge, as it may leave them
// when it is killed between a commit and its answer.
func (l *ledger) check(t *testing.T, c *client) (unanswered int) {
	t.Helper()
	byToken := map[string]int{}
	ids := map[string]bool{}
	for id, rec := range everyRecord(t, c, "created") {
		ids[id] = true
		byToken[rec["token"].(string)]++
	}
	for id, token := range l.created {
		if !ids[id] {
			t.Errorf("the acknowledged record %s (%s) is lost", id, token)
		}
	}
	for token, n := range byToken {
		if n > 1 || !l.tried[token] {
			t.Errorf("the record %s is there %d times", token, n)
		}
	}
	imported := everyRecord(t, c, "imported")
	for _, n := range l.imports {
		for i := range l.lines {
			if _, ok := imported[fmt.Sprintf("f%d-%d", n, i)]; !ok {
				t.Fatalf("record %d of the acknowledged import %d is lost", i, n)
			}
		}
	}
	unanswered = len(ids) - len(l.created) + len(imported) - l.lines*len(l.imports) + l.checkEvents(t, c)
	checkInboxOf(t, c, func() int { return len(everyRecord(t, c, "created")) })
	return unanswered
}

// checkEvents sends every event again: each that was acknowledged must be a
// duplicate, and the count must be that of the ids. It returns how many others
// were there.
func (l *ledger) checkEvents(t *testing.T, c *client) (unanswered int) {
	t.Helper()
	all := map[string]bool{}
	var batch []map[string]any
	duplicates, certain := 0, -1
	flush := func() {
		var r struct{ Accepted, Duplicates int }
		c.want(http.StatusOK, "POST", "/v1/analytics/events", map[string]any{"events": batch}, &r)
		duplicates += r.Duplicates
		batch = nil
	}
	for _, ids := range []map[string]bool{l.events, l.unsure} {
		for id := range ids {
			all[id] = true
			batch = append(batch, map[string]any{"id": id, "name": "kill", "user": "u", "time": "2026-01-01T00:00:00Z"})
			if len(batch) == 1000 {
				flush()
			}
		}
		if len(batch) > 0 {
			flush()
		}
		if certain < 0 {
			certain = duplicates
		}
	}
	if certain != len(l.events) {
		t.Errorf("of %d acknowledged events %d were there", len(l.events), certain)
	}
	var series struct {
		Series []struct{ Points []struct{ Count int } }
	}
	c.want(http.StatusOK, "POST", "/v1/analytics/query/series", map[string]any{
		"event": "kill", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "interval": "day", "timezone": "UTC",
	}, &series)
	if n := series.Series[0].Points[0].Count; n != len(all) {
		t.Errorf("%d events are counted, %d have been sent", n, len(all))
	}
	return duplicates - certain
}

// checkInbox waits until each record has its message, and sees that none has two.
func checkInbox(t *testing.T, c *client, records int) {
	t.Helper()
	var page inboxPage
	eventually(t, fmt.Sprintf("an inbox of %d messages", records), func() bool {
		page = inboxPage{}
		c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=1", nil, &page)
		return page.Unread >= records
	})
	if page.Unread != records {
		t.Errorf("%d messages for %d records", page.Unread, records)
	}
}

// checkInboxOf is checkInbox after a kill: a server of documents may finish a
// write of the killed process after the records were counted, so they are counted
// again.
func checkInboxOf(t *testing.T, c *client, records func() int) {
	t.Helper()
	n, unread := 0, 0
	eventually(t, "one message for each record", func() bool {
		var page inboxPage
		c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=1", nil, &page)
		if n, unread = records(), page.Unread; n != unread {
			t.Logf("%d messages for %d records", unread, n)
			time.Sleep(100 * time.Millisecond)
		}
		return n == unread
	})
}

// everyRecord returns the data of all records of a collection by id.
func everyRecord(t *testing.T, c *client, collection string) map[string]map[string]any {
	t.Helper()
	a := c.do("GET", "/v1/data/collections/"+collection+"/records/export", nil, "Accept", "application/x-ndjson")
	if a.status != http.StatusOK {
		t.Fatalf("export: got %d %s", a.status, a.body)
	}
	all := map[string]map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	for dec.More() {
		var rec struct {
			ID   string
			Data map[string]any
		}
		if err := dec.Decode(&rec); err != nil {
			t.Fatal(err)
		}
		if _, twice := all[rec.ID]; twice {
			t.Errorf("record %s is there twice", rec.ID)
		}
		all[rec.ID] = rec.Data
	}
	return all
}
