package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// load is callers who read, and callers who write and try again until they are
// answered, as the clients of an API do.
type load struct {
	t        *testing.T
	gateways []*client // the same caller at each
	next     atomic.Uint64
	ending   chan struct{}
	callers  sync.WaitGroup

	mu      sync.Mutex
	reads   int
	records map[string]bool // that were acknowledged
	events  map[string]bool
	refused []string // reads that were answered with a failure
	cut     int      // reads whose answer broke off
}

const (
	readers = 4
	writers = 2 // of records, and as many of events
)

func startLoad(t *testing.T, gateways ...*client) *load {
	t.Helper()
	l := &load{
		t: t, gateways: gateways, ending: make(chan struct{}),
		records: make(map[string]bool), events: make(map[string]bool),
	}
	for i := range readers {
		l.callers.Go(func() { l.untilEnd(func(n int) { l.read(i + n) }) })
	}
	for i := range writers {
		l.callers.Go(func() { l.untilEnd(func(n int) { l.writeRecord(fmt.Sprintf("r%d-%d", i, n)) }) })
		l.callers.Go(func() { l.untilEnd(func(n int) { l.writeEvent(fmt.Sprintf("e%d-%d", i, n)) }) })
	}
	return l
}

func (l *load) untilEnd(call func(n int)) {
	for n := 0; ; n++ {
		select {
		case <-l.ending:
			return
		default:
			call(n)
		}
	}
}

// end waits until everything that was begun was acknowledged.
func (l *load) end() {
	close(l.ending)
	l.callers.Wait()
}

// call takes the gateways in turns. One that cannot be reached is passed over, as a
// load balancer does.
func (l *load) call(method, path string, body any) (answer, error) {
	var a answer
	var err error
	first, n := l.next.Add(1), uint64(len(l.gateways))
	for i := range n {
		c := l.gateways[(first+i)%n]
		if a, err = c.try(method, path, body); err == nil || a.status != 0 {
			return a, err
		}
	}
	return a, err
}

func (l *load) read(n int) {
	paths := []string{
		"/v1/data/collections/load/records?limit=5", "/v1/data/collections/load", "/v1/me", "/v1/members",
		"/v1/notify/inbox?limit=5",
	}
	path := paths[n%len(paths)]
	a, err := l.call("GET", path, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.cut++
	case a.status != http.StatusOK:
		l.refused = append(l.refused, fmt.Sprintf("%s: %d %s", path, a.status, a.body))
	default:
		l.reads++
	}
}

// writeRecord tries until the record is there: an answer that was lost leaves
// open whether it is.
func (l *load) writeRecord(id string) {
	l.insist(l.records, id, func() (bool, error) {
		a, err := l.call("POST", "/v1/data/collections/load/records", object{"id": id, "data": object{"n": id}})
		return a.status == http.StatusCreated || a.status == http.StatusConflict && a.code() == "exists", err
	})
}

// writeEvent tries until the event is counted; one that comes twice counts once.
func (l *load) writeEvent(id string) {
	l.insist(l.events, id, func() (bool, error) {
		a, err := l.call("POST", "/v1/analytics/events", object{"events": []object{
			{"id": id, "name": "load", "user": "u", "time": "2026-02-03T10:00:00Z"},
		}})
		return a.status == http.StatusOK, err
	})
}

func (l *load) insist(acknowledged map[string]bool, id string, call func() (bool, error)) {
	for l.t.Context().Err() == nil {
		if ok, err := call(); ok && err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			acknowledged[id] = true
			return
		}
	}
}

// progress waits until so many more calls of each kind succeeded.
func (l *load) progress(reads, writes int) {
	l.t.Helper()
	now := func() [3]int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return [...]int{l.reads, len(l.records), len(l.events)}
	}
	before := now()
	eventually(l.t, "progress", func() bool {
		after := now()
		return after[0] >= before[0]+reads && after[1] >= before[1]+writes && after[2] >= before[2]+writes
	})
}
