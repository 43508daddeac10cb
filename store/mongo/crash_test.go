package mongo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
)

// openOn returns documents whose commands go through a network.
func openOn(t *testing.T, name string, n *network, change ...func(*mongo.Config)) *mongo.Documents {
	t.Helper()
	c, err := driver.Connect(options.Client().ApplyURI(teststack.Mongo(t)).SetRetryWrites(false).SetRetryReads(false).
		SetServerSelectionTimeout(300 * time.Millisecond).SetTimeout(5 * time.Second).SetDialer(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	// A busy server may need longer for the first handshake than a selection
	// lasts, which is short for the sake of the cuts that follow.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for err = c.Ping(ctx, nil); err != nil; err = c.Ping(ctx, nil) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	return open(t, name, append([]func(*mongo.Config){func(cfg *mongo.Config) {
		cfg.URL, cfg.Client, cfg.Interval, cfg.Timeout = "", c, time.Hour, time.Second
	}}, change...)...)
}

func fields(sort string) []document.SortField {
	f, err := document.ParseSort(sort)
	if err != nil {
		panic(err)
	}
	return f
}

func filter(text string) document.Filter {
	f, err := document.ParseFilter([]byte(text))
	if err != nil {
		panic(err)
	}
	return f
}

func event(of platform.TenantID, id, subject string) platform.Event {
	return platform.Event{
		ID: id, Source: "/test", Type: "test.thing.changed", Tenant: of, Subject: subject, Time: time.Unix(1, 0),
	}
}

func change(op store.ChangeOp, id, data string) store.Change {
	return store.Change{Op: op, ID: id, Data: json.RawMessage(data)}
}

// crashCase is a call that is cut at every one of its writes.
type crashCase struct {
	name string
	call func(context.Context, *mongo.Documents, platform.TenantID) error
	// before and after are what the collection may then hold, nothing else.
	before, after string
	// event is the one that stands for after.
	event string
}

// state describes all documents of the collection, read in two ways.
func state(t *testing.T, docs *mongo.Documents, tenant platform.TenantID) string {
	t.Helper()
	list := func(sort string) []string {
		p, err := docs.Find(t.Context(), tenant, "c", store.Query{Sort: fields(sort), Limit: 1000})
		if errors.Is(err, platform.ErrNotFound) {
			return []string{"gone"}
		}
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range p.Documents {
			out = append(out, fmt.Sprintf("%s.%d=%.40s", d.ID, d.Version, d.Data))
		}
		return out
	}
	byID, byIndex := list(""), list("n")
	slices.Sort(byIndex)
	if !slices.Equal(byID, byIndex) {
		t.Errorf("by id %v, by the index %v", byID, byIndex)
	}
	return strings.Join(byID, " ")
}

// large is a record whose commit does not fit into the head.
func large(n int) string {
	return fmt.Sprintf(`{"n":%d,"u":"l%d","text":"%s"}`, n, n, strings.Repeat("x", 70_000))
}

var crashCases = []crashCase{
	{
		"small", func(ctx context.Context, docs *mongo.Documents, tenant platform.TenantID) error {
			_, err := docs.Apply(ctx, tenant, "c", []store.Change{
				change(store.OpInsert, "new", `{"n":5,"u":"b"}`), change(store.OpPatch, "a", `{"n":9,"u":"c"}`), change(store.OpDelete, "b", ``),
			}, func([]store.Document) []platform.Event { return []platform.Event{event(tenant, "e", "new")} })
			return err
		},
		`a.1={"n":1,"u":"a"} b.1={"n":2,"u":"x"}`, `a.2={"n":9,"u":"c"} new.1={"n":5,"u":"b"}`, "e",
	},
	{
		"large", func(ctx context.Context, docs *mongo.Documents, tenant platform.TenantID) error {
			_, err := docs.Apply(ctx, tenant, "c", []store.Change{
				change(store.OpInsert, "l1", large(4)), change(store.OpReplace, "a", `{"n":3}`), change(store.OpDelete, "b", ``),
			}, func([]store.Document) []platform.Event { return []platform.Event{event(tenant, "e", "l1")} })
			return err
		},
		`a.1={"n":1,"u":"a"} b.1={"n":2,"u":"x"}`, `a.2={"n":3} l1.1={"n":4,"u":"l4","text":"xxxxxxxxxxxxxxxx`, "e",
	},
	{
		"indexes", func(ctx context.Context, docs *mongo.Documents, tenant platform.TenantID) error {
			_, err := docs.PutCollection(ctx, tenant, store.Collection{
				Name: "c", Version: 1, Schema: json.RawMessage(`{"new":1}`),
				Indexes: []store.Index{{Fields: fields("n")}, {Fields: fields("u,n"), Unique: true}},
			}, event(tenant, "e", "c"))
			return err
		},
		`a.1={"n":1,"u":"a"} b.1={"n":2,"u":"x"}`, `a.1={"n":1,"u":"a"} b.1={"n":2,"u":"x"}`, "e",
	},
	{
		"drop", func(ctx context.Context, docs *mongo.Documents, tenant platform.TenantID) error {
			return docs.DropCollection(ctx, tenant, "c", 0, event(tenant, "e", "c"))
		},
		`a.1={"n":1,"u":"a"} b.1={"n":2,"u":"x"}`, `gone`, "e",
	},
}

// prepare makes the collection that the cases begin with.
func prepare(t *testing.T, docs *mongo.Documents, tenant platform.TenantID) {
	t.Helper()
	_, err := docs.PutCollection(t.Context(), tenant, store.Collection{
		Name: "c", Schema: json.RawMessage(`{"old":1}`),
		Indexes: []store.Index{{Fields: fields("n")}, {Fields: fields("u"), Unique: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = docs.Apply(t.Context(), tenant, "c", []store.Change{
		change(store.OpInsert, "a", `{"n":1,"u":"a"}`), change(store.OpInsert, "b", `{"n":2,"u":"x"}`),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrash lets a process die at every write of a call, before the server
// gets it and after, or live on without the answer, and looks at what others
// then find.
func TestCrash(t *testing.T) {
	for _, c := range crashCases {
		for _, mode := range []failure{lostRequest, lostAnswer, deaf} {
			t.Run(c.name+" "+mode.String(), func(t *testing.T) {
				t.Parallel() // most of the time is waiting for answers that do not come
				name := database(t)
				other := open(t, name, func(cfg *mongo.Config) { cfg.Interval, cfg.Grace = time.Hour, noGrace })
				client := connect(t, teststack.Mongo(t))
				ends := map[bool]int{}
				at := 0
				for ; ; at++ {
					tenant := platform.TenantID(fmt.Sprintf("org_%d", at))
					made, hit := crash(t, name, client, other, tenant, c, at, mode)
					if !hit {
						break
					}
					ends[made]++
				}
				if at < 4 || ends[true] == 0 || ends[false] == 0 && mode != deaf {
					t.Errorf("%d writes were cut, with the outcomes %v", at, ends)
				}
			})
		}
	}
}

func crash(t *testing.T, name string, client *driver.Client, other *mongo.Documents, tenant platform.TenantID, c crashCase, at int, mode failure) (made, hit bool) {
	t.Helper()
	prepare(t, other, tenant)
	n := &network{}
	victim := openOn(t, name, n)
	n.arm(at, mode)
	err := c.call(t.Context(), victim, tenant)
	if !n.hit() && err != nil {
		t.Fatalf("without a cut: %v", err)
	}
	what := fmt.Sprintf("cut at %d of %v, answered %v", at, n.commands(), err)

	// Two reads that must not see more, or less, than what they then find.
	first, getErr := other.Get(t.Context(), tenant, "c", "a")
	count, countErr := other.Count(t.Context(), tenant, "c", document.Filter{}, nil)
	got := state(t, other, tenant)
	if seen := fmt.Sprintf("%s.%d=%s", first.ID, first.Version, first.Data); !strings.Contains(got, seen) && getErr == nil ||
		(getErr != nil || countErr != nil) != (got == "gone") || int(count) != strings.Count(got, "=") {
		t.Errorf("%s: got %s (%v) and counted %d (%v) of %s", what, seen, getErr, count, countErr, got)
	}
	collections, listErr := other.Collections(t.Context(), tenant)
	if listErr != nil {
		t.Fatal(listErr)
	}
	switch {
	case c.before != c.after:
		made = got == c.after
	default:
		made = len(collections) == 1 && collections[0].Version == 2
	}
	if !made && got != c.before {
		t.Errorf("%s: half of it is there: %s", what, got)
	}
	if err == nil && !made {
		t.Errorf("%s: what was acknowledged is lost", what)
	}
	if err != nil && made && !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("%s: what was refused is there", what)
	}
	// The other process goes on where the victim stopped.
	if got != "gone" {
		if _, err := other.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpUpsert, "a", `{"n":7,"u":"x2"}`)}, nil); err != nil {
			t.Errorf("%s: another process cannot go on: %v", what, err)
		}
		_, err := other.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "dup", `{"u":"x2"}`)}, nil)
		if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) && (c.name != "indexes" || !made) {
			t.Errorf("%s: a unique value twice: %v", what, err)
		}
	}
	if err := other.Sweep(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	events, evErr := emitted(t.Context(), client, name, tenant)
	if evErr != nil {
		t.Fatal(evErr)
	}
	if made != slices.Equal(events, []string{c.event}) || !made && len(events) > 0 {
		t.Errorf("%s: made %v, with the events %v", what, made, events)
	}
	wrong, left, auditErr := other.Audit(t.Context())
	if auditErr != nil {
		t.Fatal(auditErr)
	}
	for _, w := range wrong {
		t.Errorf("%s: %s", what, w)
	}
	for _, l := range left {
		t.Errorf("%s: left behind: %s", what, l)
	}
	return made, n.hit()
}

// TestLate holds back one write of a call after the other, lets others change
// the same documents, and delivers it then: it must change nothing any more.
func TestLate(t *testing.T) {
	for _, c := range crashCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := database(t)
			other := open(t, name, func(cfg *mongo.Config) { cfg.Interval, cfg.Grace = time.Hour, noGrace })
			at := 0
			for ; ; at++ {
				if !comesLate(t, name, other, platform.TenantID(fmt.Sprintf("org_%d", at)), c, at) {
					break
				}
			}
			if at < 4 {
				t.Errorf("%d writes came late", at)
			}
		})
	}
}

func comesLate(t *testing.T, name string, other *mongo.Documents, tenant platform.TenantID, c crashCase, at int) bool {
	t.Helper()
	prepare(t, other, tenant)
	n := &network{}
	victim := openOn(t, name, n)
	n.arm(at, late)
	err := c.call(t.Context(), victim, tenant)
	what := fmt.Sprintf("late was %d of %v, answered %v", at, n.commands(), err)
	if !n.hit() {
		return false
	}
	if state(t, other, tenant) == "gone" {
		prepare(t, other, tenant)
	}
	// What the call inserted is removed, what it removed is there again, and
	// the unique value that it took has another owner.
	for _, ch := range []store.Change{
		change(store.OpUpsert, "a", `{"n":1,"u":"z"}`), change(store.OpDelete, "new", ``), change(store.OpDelete, "l1", ``),
		change(store.OpUpsert, "other", `{"n":4,"u":"c"}`),
		change(store.OpUpsert, "b", `{"n":5,"u":"b"}`), change(store.OpDelete, "b", ``), change(store.OpInsert, "b", `{"n":2,"u":"x"}`),
	} {
		if _, err := other.Apply(t.Context(), tenant, "c", []store.Change{ch}, nil); err != nil && !errors.Is(err, platform.ErrNotFound) {
			t.Fatal(err)
		}
	}
	before := state(t, other, tenant)
	if err := n.release(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if after := state(t, other, tenant); after != before {
		t.Errorf("%s: it changed %s to %s", what, before, after)
	}
	if n, err := other.Count(t.Context(), tenant, "c", filter(`{"n":{"$gte":0}}`), nil); err != nil || n != int64(strings.Count(before, "=")) {
		t.Errorf("%s: %d are counted in %s, %v", what, n, before, err)
	}
	// Each unique value can be taken once, and is taken.
	if _, err := other.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "free", `{"u":"b"}`)}, nil); err != nil {
		t.Errorf("%s: a unique value that is free: %v", what, err)
	}
	if _, err := other.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "taken", `{"u":"c"}`)}, nil); err == nil && !strings.HasPrefix(c.name, "indexes") {
		t.Errorf("%s: a unique value twice", what)
	}
	if err := other.Sweep(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	wrong, left, err := other.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Errorf("%s: %s", what, w)
	}
	for _, l := range left {
		if !strings.HasPrefix(l, "entries ") && !strings.HasPrefix(l, "claims ") { // nobody believes them
			t.Errorf("%s: left behind: %s", what, l)
		}
	}
	return true
}
