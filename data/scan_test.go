package data_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/store"
)

// heldDocuments stop scans until they are let go.
type heldDocuments struct {
	store.Documents

	began chan struct{} // one value for each scan
	letGo chan struct{}
	panic atomic.Bool
}

func (d *heldDocuments) hold(ctx context.Context, b *store.Budget) error {
	if b.Short() {
		return nil
	}
	if d.panic.Load() {
		panic("a bug")
	}
	d.began <- struct{}{}
	select {
	case <-d.letGo:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *heldDocuments) Find(ctx context.Context, tenant platform.TenantID, c string, q store.Query) (store.Page, error) {
	if err := d.hold(ctx, q.Budget); err != nil {
		return store.Page{}, err
	}
	return d.Documents.Find(ctx, tenant, c, q)
}

// scanBench has a service with scans that are held, over a large collection of
// each tenant, and a small one.
func scanBench(t *testing.T, cfg store.ScanConfig, limits platform.LimitsFunc) (*bench, *heldDocuments, *store.Scans) {
	t.Helper()
	b := setup(t)
	for _, tenant := range []platform.TenantID{acme, globex} {
		b.callAs(tenant, "POST", "", `{"name":"many","indexes":[{"fields":["n"]}]}`).must(t, http.StatusCreated)
		b.callAs(tenant, "POST", "", `{"name":"few"}`).must(t, http.StatusCreated)
		b.callAs(tenant, "POST", "/few/records", `{"id":"one","data":{"n":1}}`).must(t, http.StatusCreated)
		var lines strings.Builder
		for i := range store.ShortReads + 1 {
			fmt.Fprintf(&lines, "{\"n\":%d,\"x\":%d}\n", i, i%7)
		}
		b.callAs(tenant, "POST", "/many/records/import", lines.String(), "Content-Type", "application/x-ndjson").must(t, http.StatusOK)
	}
	scans, err := store.NewScans(cfg)
	if err != nil {
		t.Fatal(err)
	}
	held := &heldDocuments{Documents: b.docs, began: make(chan struct{}), letGo: make(chan struct{})}
	b.serveWith(data.Config{Documents: held, Limits: limits, Scans: scans})
	return b, held, scans
}

func oneScan(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
	return platform.Limits{Share: "share of " + string(tenant), Scans: 1}, nil
}

// TestScansOfATenantAreBounded fills the tenant's slot and its line.
func TestScansOfATenantAreBounded(t *testing.T) {
	b, held, scans := scanBench(t, store.ScanConfig{Cores: 1, Open: 2, Line: 1}, oneScan)
	const sort = "/many/records?sort=x&limit=5"
	answers := make(chan answer, 2)
	for range 2 {
		go func() { answers <- b.call("GET", sort, "") }()
	}
	<-held.began
	for scans.Waiting("share of "+string(acme)) == 0 { // the other one is on its way
		select {
		case a := <-answers:
			t.Fatalf("got %d %s", a.status, a.raw)
		default:
		}
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", sort, ""},
		{"GET", "/many/records?sort=n&limit=5&filter=" + `{"x":99}`, ""},
		{"POST", "/many/records/count", `{"filter":{"x":1}}`},
		{"POST", "/many/records/count", `{}`},
		{"POST", "/many/records/query", `{"sort":["-x"],"count":true}`},
		{"GET", "/few/records/export", ""},
		{"GET", "/many/records/export?format=csv", ""},
	} {
		a := b.call(c.method, strings.ReplaceAll(c.path, `"`, "%22"), c.body)
		a.problem(t, http.StatusTooManyRequests, "scans_exceeded", "")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: it does not say when to try again", c.method, c.path)
		}
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/few/records/one", ""},
		{"PUT", "/few/records/one", `{"data":{"n":2}}`},
		{"GET", "/few/records?sort=n", ""},
		{"POST", "/few/records/count", `{"filter":{"n":1}}`},
		{"GET", "/many/records?limit=1000", ""},
		{"GET", "/many/records?sort=-n&limit=1000", ""},
		{"POST", "/many/records/count", `{"filter":{"n":{"$lt":100}}}`},
	} {
		b.call(c.method, c.path, c.body).must(t, http.StatusOK)
	}
	// Another tenant scans at once.
	other := make(chan answer)
	go func() { other <- b.callAs(globex, "GET", sort, "") }()
	<-held.began
	held.letGo <- struct{}{}
	held.letGo <- struct{}{}
	(<-other).must(t, http.StatusOK)
	<-held.began
	held.letGo <- struct{}{}
	for range 2 {
		(<-answers).must(t, http.StatusOK)
	}
}

func TestAScanGivesItsSlotBack(t *testing.T) {
	b, held, scans := scanBench(t, store.ScanConfig{Cores: 1, Open: 1, Line: 1}, nil)
	const share = string(acme)
	q := data.Query{Sort: "x"}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := b.service.Find(ctx, platform.System(acme, "test"), "many", q)
		failed <- err
	}()
	<-held.began
	if scans.Running(share) != 1 {
		t.Error("it has no slot")
	}
	cancel()
	if err := <-failed; err == nil || scans.Running(share) != 0 {
		t.Errorf("after its caller has gone: %v, %d run", err, scans.Running(share))
	}
	held.panic.Store(true)
	func() {
		defer func() { _ = recover() }()
		_, _ = b.service.Find(t.Context(), platform.System(acme, "test"), "many", q)
	}()
	if scans.Running(share) != 0 {
		t.Error("after a panic it is still under way")
	}
}

// TestAQueryThatIsTooCostlyNamesTheIndex has scans that may read little.
func TestAQueryThatIsTooCostlyNamesTheIndex(t *testing.T) {
	b := setup(t)
	scans, err := store.NewScans(store.ScanConfig{MaxReads: store.ShortReads + 10})
	if err != nil {
		t.Fatal(err)
	}
	b.serveWith(data.Config{Documents: b.docs, Scans: scans})
	b.collection(`{"name":"many","indexes":[{"fields":["n"]}]}`)
	fill := func(n int) {
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, "{\"n\":%d,\"x\":%d}\n", i, i%7)
		}
		b.call("POST", "/many/records/import", lines.String(), "Content-Type", "application/x-ndjson").must(t, http.StatusOK)
	}
	const query = `{"filter":{"x":5,"$or":[{"y.z":1},{"x":5}]},"sort":["-w","x"]}`
	fill(store.ShortReads + 10)
	b.call("POST", "/many/records/query", query).must(t, http.StatusOK)
	fill(1)
	a := b.call("POST", "/many/records/query", query)
	a.problem(t, http.StatusUnprocessableEntity, "query_too_costly", "/filter")
	if !strings.Contains(a.raw, "one on x,y.z,-w may") {
		t.Errorf("it does not name the index: %s", a.raw)
	}
	b.call("GET", "/many/records?sort=-x", "").problem(t, http.StatusUnprocessableEntity, "query_too_costly", "/sort")
	b.call("POST", "/many/records/count", `{"filter":{"x":5}}`).problem(t, http.StatusUnprocessableEntity, "query_too_costly", "/filter")
	b.call("GET", "/many/records?sort=-n", "").must(t, http.StatusOK)
	if a := b.call("GET", "/many/records/export", "").must(t, http.StatusOK); strings.Count(a.raw, "\n") != store.ShortReads+11 {
		t.Error("an export is not whole") // each of its pages is a scan
	}
}
