package mongo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// audit fails the test where rows are missing, and with tidy where any are
// left over.
func audit(t *testing.T, docs *mongo.Documents, tidy bool) {
	t.Helper()
	wrong, left, err := docs.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	for _, l := range left {
		if tidy {
			t.Errorf("left behind: %s", l)
		}
	}
}

func number(data json.RawMessage, field string) int {
	var all map[string]int
	if err := json.Unmarshal(data, &all); err != nil {
		panic(err)
	}
	return all[field]
}

// TestTransfers moves amounts between accounts from several processes. A
// transfer reads two accounts and writes both under their versions, so that
// nothing may be lost or made, and its event tells of it.
func TestTransfers(t *testing.T) {
	const accounts, processes, workers, transfers = 5, 2, 3, 8
	name := database(t)
	client := connect(t, teststack.Mongo(t))
	var all []*mongo.Documents
	for range processes {
		all = append(all, open(t, name))
	}
	if _, err := all[0].PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("amount")}}}); err != nil {
		t.Fatal(err)
	}
	var opening []store.Change
	for i := range accounts {
		opening = append(opening, change(store.OpInsert, fmt.Sprint("acc", i), `{"amount":100}`))
	}
	if _, err := all[0].Apply(t.Context(), tenant, "c", opening, nil); err != nil {
		t.Fatal(err)
	}
	var made sync.Map
	var wg sync.WaitGroup
	for w := range processes * workers {
		wg.Go(func() {
			docs, r := all[w%processes], rand.New(rand.NewPCG(7, uint64(w)))
			for i := range transfers {
				id := fmt.Sprintf("t%d.%d", w, i)
				if err := transfer(t.Context(), docs, r, accounts, id); err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				made.Store(id, true)
			}
		})
	}
	wg.Wait()
	sum, versions := 0, int64(0)
	page, err := all[1].Find(t.Context(), tenant, "c", store.Query{Sort: fields("amount"), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Documents {
		sum += number(d.Data, "amount")
		versions += d.Version
	}
	const done = processes * workers * transfers
	if sum != 100*accounts || len(page.Documents) != accounts || versions != accounts+2*done {
		t.Errorf("%d accounts hold %d, their versions come to %d", len(page.Documents), sum, versions)
	}
	ids, err := emitted(t.Context(), client, name)
	if err != nil || len(ids) != done {
		t.Errorf("%d events for %d transfers, %v", len(ids), done, err)
	}
	for _, id := range ids {
		if _, ok := made.LoadAndDelete(id); !ok {
			t.Errorf("an event twice, or of nothing: %s", id)
		}
	}
	audit(t, all[0], true)
}

func transfer(ctx context.Context, docs *mongo.Documents, r *rand.Rand, accounts int, id string) error {
	for {
		i := r.IntN(accounts)
		j := (i + 1 + r.IntN(accounts-1)) % accounts
		from, err := docs.Get(ctx, tenant, "c", fmt.Sprint("acc", i))
		if err != nil {
			return err
		}
		to, err := docs.Get(ctx, tenant, "c", fmt.Sprint("acc", j))
		if err != nil {
			return err
		}
		amount := 1 + r.IntN(20)
		change := func(d store.Document, by int) store.Change {
			return store.Change{
				Op: store.OpReplace, ID: d.ID, IfVersion: d.Version,
				Data: fmt.Appendf(nil, `{"amount":%d}`, number(d.Data, "amount")+by),
			}
		}
		_, err = docs.Apply(ctx, tenant, "c", []store.Change{change(from, -amount), change(to, amount)},
			func([]store.Document) []platform.Event { return []platform.Event{event(tenant, id, from.ID)} })
		if !errors.Is(err, platform.ErrStale) {
			return err
		}
	}
}

// TestUniqueRaces has many insert the same unique value at once.
func TestUniqueRaces(t *testing.T) {
	name := database(t)
	all := []*mongo.Documents{open(t, name, func(cfg *mongo.Config) { cfg.Grace = noGrace }), open(t, name)}
	_, err := all[0].PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("u"), Unique: true}}})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		var won atomic.Int32
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				_, err := all[w%2].Apply(t.Context(), tenant, "c", []store.Change{
					change(store.OpInsert, fmt.Sprintf("r%d.%d", round, w), fmt.Sprintf(`{"u":%d}`, round)),
				}, nil)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}):
					t.Errorf("a loser got %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d have the same unique value", won.Load())
		}
	}
	audit(t, all[1], false)
	if err := all[0].Sweep(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	audit(t, all[1], true)
}

// TestBuildBesideWriters makes and drops indexes while others change the
// documents.
func TestBuildBesideWriters(t *testing.T) {
	name := database(t)
	all := []*mongo.Documents{open(t, name), open(t, name)}
	all[0].FillBy(6)
	c, err := all[0].PutCollection(t.Context(), tenant, store.Collection{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	var first []store.Change
	for i := range 24 {
		first = append(first, change(store.OpInsert, fmt.Sprintf("d%03d", i), fmt.Sprintf(`{"n":%d,"u":%d}`, i%7, i)))
	}
	if _, err := all[0].Apply(t.Context(), tenant, "c", first, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	changes := 0
	wg.Go(func() {
		r := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			i := r.IntN(6) // those that a build comes to first
			_, err := all[1].Apply(t.Context(), tenant, "c", []store.Change{
				change(store.OpUpsert, fmt.Sprintf("d%03d", i), fmt.Sprintf(`{"n":[%d,%d],"u":%d}`, r.IntN(9), r.IntN(9), i)),
				change(store.OpUpsert, fmt.Sprintf("e%03d", r.IntN(12)), `{"n":1}`),
			}, nil)
			if err != nil {
				t.Errorf("a change beside a build: %v", err)
				return
			}
			changes++
		}
	})
	for _, indexes := range [][]store.Index{
		{{Fields: fields("n")}},
		{{Fields: fields("n")}, {Fields: fields("u"), Unique: true}},
		{{Fields: fields("u"), Unique: true}, {Fields: fields("-n,u")}},
	} {
		c.Indexes = indexes
		if c, err = all[0].PutCollection(t.Context(), tenant, c); err != nil {
			t.Fatal(err)
		}
	}
	// Not possible, and nothing of it may stay.
	broken := c
	broken.Indexes = append(slices.Clone(c.Indexes), store.Index{Fields: fields("n"), Unique: true})
	if _, err := all[0].PutCollection(t.Context(), tenant, broken); !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) {
		t.Errorf("a unique index over equal values: %v", err)
	}
	cancel()
	wg.Wait()
	if changes == 0 {
		t.Error("nothing was changed beside the builds")
	}
	audit(t, all[1], false)
}

// TestGiveUp has a call give up that waits behind another one, whose commit the
// network holds back.
func TestGiveUp(t *testing.T) {
	n := &network{}
	docs := openOn(t, database(t), n, func(cfg *mongo.Config) { cfg.Timeout = 10 * time.Second })
	collection(t, docs, tenant, "c")
	n.armFor("update collections", 0, late)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "first", `{}`)}, nil); err != nil {
			t.Errorf("the first call: %v", err)
		}
	})
	until(t, "the commit of the first call", n.hit)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := docs.Apply(ctx, tenant, "c", []store.Change{change(store.OpInsert, "second", `{}`)}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second call: %v", err)
	}
	wg.Wait()
	if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "third", `{}`)}, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.release(); err != nil {
		t.Fatal(err)
	}
	page, err := docs.Find(t.Context(), tenant, "c", store.Query{Limit: 10})
	if err != nil || len(page.Documents) != 2 || page.Documents[0].ID != "first" || page.Documents[1].ID != "third" {
		t.Errorf("found %+v, %v", page.Documents, err)
	}
}

// TestLateCommitOfARefusedCall holds back the commit of a call that is tried
// again and then refused: the commit must not come to be when it arrives.
func TestLateCommitOfARefusedCall(t *testing.T) {
	n := &network{}
	docs := openOn(t, database(t), n, func(cfg *mongo.Config) { cfg.Timeout = 10 * time.Second })
	collection(t, docs, tenant, "c")
	n.armFor("update collections", 0, late)
	calls := 0
	_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)}, func([]store.Document) []platform.Event {
		calls++
		return []platform.Event{event([]platform.TenantID{tenant, other}[calls-1], "1", "x")}
	})
	if err == nil || calls != 2 {
		t.Fatalf("built events %d times, %v; the network saw %v", calls, err, n.commands())
	}
	if err := n.release(); err != nil {
		t.Fatal(err)
	}
	if _, err := docs.Get(t.Context(), tenant, "c", "x"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("the change of a refused call: %v", err)
	}
}

// TestRefusedBesideOthers has calls that are refused, that lose a race for a
// new document, and that are made, together in the same commits.
func TestRefusedBesideOthers(t *testing.T) {
	name := database(t)
	all := []*mongo.Documents{open(t, name), open(t, name)}
	collection(t, all[0], tenant, "c")
	var made, refused atomic.Int32
	for round := range 6 {
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				id := fmt.Sprintf("r%d.%d", round, w/4) // two of each process want the same
				_, err := all[w%2].Apply(t.Context(), tenant, "c", []store.Change{
					change(store.OpInsert, id, `{}`), change(store.OpInsert, id+"b", `{}`),
				}, nil)
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if made.Load() != 6*3 || refused.Load() != 6*9 {
		t.Errorf("%d calls were made, %d refused", made.Load(), refused.Load())
	}
	audit(t, all[0], false)
}
