package data_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/store"
)

// quotaBench is a bench whose acme has limits.
func quotaBench(t *testing.T, l platform.Limits) (*bench, func(time.Duration)) {
	t.Helper()
	b := setup(t)
	var now atomic.Int64
	now.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	b.limited(l, &now)
	b.call("POST", "", `{"name":"films"}`).must(t, http.StatusCreated)
	return b, func(d time.Duration) { now.Add(d.Milliseconds()) }
}

// limited serves the same documents with limits, as another process would.
func (b *bench) limited(l platform.Limits, now *atomic.Int64) *data.Service {
	b.tb.Helper()
	service, err := data.New(data.Config{
		Documents: b.docs, Now: func() time.Time { return time.UnixMilli(now.Load()) },
		Limits: func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
			if tenant == acme {
				return l, nil
			}
			return platform.Limits{}, nil
		},
	})
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() {
		if err := service.Stop(context.Background()); err != nil {
			b.tb.Error(err)
		}
	})
	b.service, b.mux = service, routes.Mux(service.Routes())
	return service
}

func (b *bench) film(id, data string) answer {
	return b.call("POST", "/films/records", fmt.Sprintf(`{"id":%q,"data":%s}`, id, data))
}

func (b *bench) used(t *testing.T, name string) int64 {
	t.Helper()
	all, err := b.service.Usage(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.Name == name {
			return u.Used
		}
	}
	t.Fatalf("no usage of %s: %+v", name, all)
	return 0
}

func TestRecordsHaveALimit(t *testing.T) {
	b, _ := quotaBench(t, platform.Limits{Records: 3})
	for i := range 3 {
		b.film(fmt.Sprint("r", i), `{}`).must(t, http.StatusCreated)
	}
	for range 3 {
		b.film("r3", `{}`).problem(t, http.StatusForbidden, "limit_exceeded", "")
	}
	// What changes only goes on.
	b.call("PUT", "/films/records/r0", `{"data":{"n":1}}`).must(t, http.StatusOK)
	b.call("PATCH", "/films/records/r0", `{"n":2}`).must(t, http.StatusOK)
	// A deletion makes room at once, for one.
	b.call("DELETE", "/films/records/r1", "").must(t, http.StatusNoContent)
	b.film("r4", `{}`).must(t, http.StatusCreated)
	b.film("r5", `{}`).problem(t, http.StatusForbidden, "limit_exceeded", "")
	if n := b.used(t, "data.records"); n != 3 {
		t.Errorf("%d records are used", n)
	}
	// Another tenant has its own.
	b.callAs(globex, "POST", "", `{"name":"films"}`).must(t, http.StatusCreated)
	for range 5 {
		b.callAs(globex, "POST", "/films/records", `{"data":{}}`).must(t, http.StatusCreated)
	}
	// So does a collection that goes.
	b.call("DELETE", "/films", "").must(t, http.StatusNoContent)
	b.call("POST", "", `{"name":"films"}`).must(t, http.StatusCreated)
	b.film("r6", `{}`).must(t, http.StatusCreated)
}

func TestBytesOfRecordsHaveALimit(t *testing.T) {
	b, _ := quotaBench(t, platform.Limits{RecordBytes: 100})
	text := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	b.film("a", text(40)).must(t, http.StatusCreated)
	b.film("b", text(40)).must(t, http.StatusCreated)
	b.film("c", text(40)).problem(t, http.StatusForbidden, "limit_exceeded", "")
	// What counts of a change is what it adds.
	b.call("PUT", "/films/records/a", `{"data":`+text(60)+`}`).must(t, http.StatusOK)
	b.call("PUT", "/films/records/b", `{"data":`+text(41)+`}`).problem(t, http.StatusForbidden, "limit_exceeded", "")
	b.call("PATCH", "/films/records/b", `{"b":1}`).problem(t, http.StatusForbidden, "limit_exceeded", "")
	b.call("PUT", "/films/records/b", `{"data":`+text(40)+`}`).must(t, http.StatusOK)
	b.call("PUT", "/films/records/a", `{"data":`+text(10)+`}`).must(t, http.StatusOK)
	b.call("PATCH", "/films/records/b", `{"b":1}`).must(t, http.StatusOK)
	b.call("PUT", "/films/records/none", `{"data":`+text(90)+`}`).must(t, http.StatusNotFound)
	if n := b.used(t, "data.record_bytes"); n != 56 {
		t.Errorf("%d bytes are used, want 56", n)
	}
}

// What fails uses nothing.
func TestRefusedWritesUseNoQuota(t *testing.T) {
	b, _ := quotaBench(t, platform.Limits{Records: 3})
	b.film("r0", `{}`).must(t, http.StatusCreated)
	for range 10 {
		b.film("r0", `{}`).must(t, http.StatusConflict)
	}
	b.film("r1", `{}`).must(t, http.StatusCreated)
	b.film("r2", `{}`).must(t, http.StatusCreated)
}

// What another process writes and removes is known after a while, and nothing is
// refused for what is not there any more.
func TestOtherProcessesAreCounted(t *testing.T) {
	b, pass := quotaBench(t, platform.Limits{Records: 5})
	b.film("r0", `{}`).must(t, http.StatusCreated)
	other, err := data.New(data.Config{Documents: b.docs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Stop(context.Background()) })
	for i := range 4 {
		if _, err := other.CreateRecord(t.Context(), principal(acme), "films", fmt.Sprint("o", i), json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	pass(2 * time.Minute)
	if n := b.used(t, "data.records"); n != 5 {
		t.Errorf("%d are counted, want 5", n)
	}
	b.film("r1", `{}`).problem(t, http.StatusForbidden, "limit_exceeded", "")
	if err := other.DeleteRecord(t.Context(), principal(acme), "films", "o0", nil); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	b.film("r1", `{}`).must(t, http.StatusCreated)
}

// An import writes what there is room for, and names the first line without.
func TestImportsHaveTheLimit(t *testing.T) {
	b, pass := quotaBench(t, platform.Limits{Records: 700})
	r := b.importAs(ndjson, "/films/records/import", strings.Repeat("{}\n", 2000))
	wantErrors(t, r, "701 limit_exceeded")
	if r.Imported != 700 || r.Failed != 1300 {
		t.Errorf("%+v", r)
	}
	// An import that replaces needs no room.
	b.call("DELETE", "/films", "").must(t, http.StatusNoContent)
	b.call("POST", "", `{"name":"films"}`).must(t, http.StatusCreated)
	pass(time.Minute)
	var lines strings.Builder
	for i := range 702 {
		fmt.Fprintf(&lines, "{\"k\":%d}\n", i)
	}
	r = b.importAs(ndjson, "/films/records/import?key=k", lines.String())
	wantErrors(t, r, "701 limit_exceeded")
	if r.Imported != 700 || r.Failed != 2 {
		t.Errorf("with a key: %+v", r)
	}
	r = b.importAs(ndjson, "/films/records/import?key=k", lines.String())
	wantErrors(t, r, "701 limit_exceeded")
	if r.Updated != 700 || r.Failed != 2 {
		t.Errorf("again: %+v", r)
	}
}

func TestCollectionsHaveALimit(t *testing.T) {
	b, _ := quotaBench(t, platform.Limits{Collections: 4})
	var wg sync.WaitGroup
	var made, refused atomic.Int64
	for i := range 12 {
		wg.Go(func() {
			_, err := b.service.CreateCollection(t.Context(), principal(acme), data.Collection{Name: fmt.Sprint("c", i)})
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, &platform.Error{Kind: platform.KindForbidden, Code: "limit_exceeded"}):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 3 || refused.Load() != 9 || b.used(t, "data.collections") != 4 {
		t.Errorf("%d were made, %d refused", made.Load(), refused.Load())
	}
	b.call("DELETE", "/films", "").must(t, http.StatusNoContent)
	b.call("POST", "", `{"name":"films"}`).must(t, http.StatusCreated)
}

func TestLimitsOfRecordsThatCannotBeRead(t *testing.T) {
	b := setup(t)
	b.call("POST", "", `{"name":"films"}`)
	fault := errors.New("away")
	service, err := data.New(data.Config{Documents: b.docs, Limits: func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{}, fault
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.CreateRecord(t.Context(), principal(acme), "films", "", json.RawMessage(`{}`)); !errors.Is(err, fault) {
		t.Errorf("a record: %v", err)
	}
	if _, err := service.CreateCollection(t.Context(), principal(acme), data.Collection{Name: "others"}); !errors.Is(err, fault) {
		t.Errorf("a collection: %v", err)
	}
}

// sizedDocuments takes everything, and counts as it is told.
type sizedDocuments struct {
	store.Documents
	size  func(context.Context) (store.Size, error)
	count atomic.Int64
}

func (d *sizedDocuments) Size(ctx context.Context, _ platform.TenantID) (store.Size, error) {
	d.count.Add(1)
	return d.size(ctx)
}

func (*sizedDocuments) Collections(context.Context, platform.TenantID, ...string) ([]store.Collection, error) {
	return []store.Collection{{Name: "films", Version: 1}}, nil
}

func (*sizedDocuments) Apply(_ context.Context, _ platform.TenantID, _ string, changes []store.Change, _ store.EventsBuilder) ([]store.Document, error) {
	return []store.Document{{ID: changes[0].ID, Version: 1, Data: changes[0].Data}}, nil
}

func sized(t *testing.T, records int64, size func(context.Context) (store.Size, error)) (*sizedDocuments, func(context.Context) error, *data.Service) {
	t.Helper()
	docs := &sizedDocuments{size: size}
	service, err := data.New(data.Config{Documents: docs, Limits: func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{Records: records}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return docs, func(ctx context.Context) error {
		_, err := service.CreateRecord(ctx, principal(acme), "films", "", json.RawMessage(`{}`))
		return err
	}, service
}

// A count that takes long keeps no write waiting but the first, and that for a
// moment; one of many writes is counted once.
func TestWritesDoNotWaitForCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context) (store.Size, error) {
			select {
			case <-time.After(20 * time.Second):
				return store.Size{Documents: 10}, nil
			case <-ctx.Done():
				return store.Size{}, ctx.Err()
			}
		}
		docs, create, service := sized(t, 1000, slow)
		start := time.Now()
		if err := create(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("the first write: %v after %v", err, time.Since(start))
		}
		time.Sleep(30 * time.Second)
		start = time.Now()
		for range 100 {
			if err := create(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 || docs.count.Load() != 1 {
			t.Errorf("they took %v, with %d counts", time.Since(start), docs.count.Load())
		}
		// Counts are rare where they take long.
		time.Sleep(10 * time.Minute)
		_ = create(t.Context())
		synctest.Wait()
		if n := docs.count.Load(); n != 1 {
			t.Errorf("%d counts in 10 minutes, of 20 s each", n)
		}
		time.Sleep(10 * time.Minute)
		if err := create(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := docs.count.Load(); n != 2 {
			t.Errorf("%d counts, want the second one", n)
		}
		if err := service.Stop(t.Context()); err != nil { // it ends the count
			t.Error(err)
		}
		if err := create(t.Context()); err != nil {
			t.Errorf("after Stop: %v", err)
		}
	})
}

// What cannot be counted is neither refused as too much nor taken where it may be.
func TestWhatCannotBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault error
		docs, create, service := sized(t, 5, func(context.Context) (store.Size, error) { return store.Size{Documents: 4}, fault })
		if err := create(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		fault = errors.New("away")
		if err := create(t.Context()); !errors.Is(err, &platform.Error{Kind: platform.KindUnavailable, Code: "usage_unknown"}) {
			t.Errorf("at the limit: %v", err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		docs.size = func(ctx context.Context) (store.Size, error) { <-ctx.Done(); return store.Size{}, ctx.Err() }
		if err := create(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("of a call that was given up: %v", err)
		}
		if err := service.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := create(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("after Stop: %v", err)
		}
	})
}
