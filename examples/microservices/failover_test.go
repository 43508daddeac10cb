package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// failover kills one replica of each process while callers read and write. Reads
// go on as if nothing was; what was acknowledged is there, once, and each record
// leads to one message. Then the killed come back and the others are killed, and
// in the end all of one service.
func (v *visit) failover() {
	t, ann := v.t, v.ann
	ann.want(http.StatusCreated, "POST", "/v1/data/collections", object{"name": "load"}, nil)
	before := len(messages(t, ann))
	first, second := newClient(t, v.replicas[roleGateway][0].url), newClient(t, v.replicas[roleGateway][1].url)
	first.token, second.token = ann.token, ann.token
	l := startLoad(t, first, second)
	roles := append(services(), roleGateway)
	for _, role := range roles {
		l.progress(20, 3)
		v.replicas[role][0].kill()
		l.progress(40, 6)
	}
	l.progress(50, 3)
	l.end()
	for _, what := range l.refused {
		t.Errorf("a read was refused: %s", what)
	}
	if l.cut > readers*len(roles) {
		t.Errorf("%d reads broke off, more than were under way", l.cut)
	}
	t.Logf("%d reads, %d of them broke off; %d records and %d events acknowledged", l.reads, l.cut, len(l.records), len(l.events))

	for _, role := range roles {
		v.restart(role, 0)
		v.replicas[role][1].kill()
	}
	// A breaker may be open for what was killed, for some seconds.
	for _, path := range []string{"/v1/me", "/v1/data/collections", "/v1/notify/inbox"} {
		eventually(t, path+" from those that came back", func() bool {
			a, err := first.try("GET", path, nil)
			return err == nil && a.status == http.StatusOK
		})
	}
	eventually(t, "analytics from the one that came back", func() bool {
		a, err := first.try("POST", "/v1/analytics/events", object{"events": []object{{"id": "last", "name": "last"}}})
		return err == nil && a.status == http.StatusOK
	})
	if stored := recordIDs(t, first, "load"); !slices.Equal(stored, slices.Sorted(maps.Keys(l.records))) {
		t.Errorf("%d records are stored, %d were acknowledged", len(stored), len(l.records))
	}
	if n := counted(t, first, "load"); n != len(l.events) {
		t.Errorf("%d events are counted, %d were acknowledged", n, len(l.events))
	}
	eventually(t, "a message for each record", func() bool { return len(messages(t, first)) >= before+len(l.records) })
	told := map[string]int{}
	for _, text := range messages(t, first) {
		if strings.Contains(text, " load.") {
			told[strings.Fields(text)[1]]++
		}
	}
	for id := range l.records {
		if told[id] != 1 {
			t.Errorf("%d messages about %s", told[id], id)
		}
	}

	// Without any user process only what it serves is away.
	v.replicas[roleUser][0].kill()
	if a := first.do("GET", "/v1/me", nil); a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
		t.Errorf("a service that is away: %d %s", a.status, a.body)
	}
	first.want(http.StatusOK, "GET", "/v1/data/collections/load", nil, nil)
	if n := counted(t, first, "load"); n != len(l.events) {
		t.Errorf("%d events are counted without the user processes, want %d", n, len(l.events))
	}
}

// recordIDs are those of a collection, in order.
func recordIDs(t *testing.T, c *client, collection string) []string {
	t.Helper()
	var ids []string
	for cursor := ""; ; {
		var p page
		c.want(http.StatusOK, "GET", "/v1/data/collections/"+collection+"/records?limit=500&cursor="+cursor, nil, &p)
		for _, r := range p.Data {
			ids = append(ids, r.ID)
		}
		if cursor = p.NextCursor; cursor == "" {
			slices.Sort(ids)
			return ids
		}
	}
}
