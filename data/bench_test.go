package data_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/internal/test/testdb"
)

// clients is how many requests are under way at once, over all processors.
const clients = 16

// row is the record of shared/bench: six members, about 180 bytes.
func row(i int) string {
	return fmt.Sprintf(`{"title":"item %d alpha beta gamma","num":%d,"flag":%t,"meta":{"a":%d,"b":"delta","tags":["x","y"]},"when":"2026-%02d-%02d","tag":"tag-%03d"}`,
		i, i*7919%1000+1, i%2 == 0, i%100, i%12+1, i%28+1, i*31%100)
}

// request sends what the handler of a path gets behind the gateway.
func (b *bench) request(method, path, body string) int {
	r := httptest.NewRequest(method, "/v1/data/collections"+path, strings.NewReader(body))
	r = r.WithContext(platform.WithPrincipal(r.Context(), principal(acme)))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, r)
	return w.Code
}

func parallel(b *testing.B, f func(i int) bool) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(clients / 2)
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !f(int(next.Add(1))) {
				b.Error("a request failed")
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func fill(tb testing.TB, n int) *bench {
	tb.Helper()
	bench := setup(tb)
	bench.collection(`{"name":"bench","indexes":[{"fields":["tag","-when"]}]}`)
	var file strings.Builder
	for i := range n {
		file.WriteString(strings.Replace(row(i), `{`, fmt.Sprintf(`{"k":"r%d",`, i), 1) + "\n")
	}
	r, err := bench.service.Import(tb.Context(), principal(acme), "bench", strings.NewReader(file.String()), data.ImportOptions{Format: data.NDJSON, Key: "k"})
	if err != nil || r.Imported != int64(n) {
		tb.Fatalf("import: %+v, %v", r, err)
	}
	return bench
}

func BenchmarkCreate(b *testing.B) {
	for name, body := range map[string]string{
		"plain":  `{"name":"bench","indexes":[{"fields":["tag"]}]}`,
		"schema": `{"name":"bench","schema":{"type":"object","required":["title"],"properties":{"title":{"type":"string"},"num":{"type":"integer"},"flag":{"type":"boolean"},"tag":{"type":"string"}}},"indexes":[{"fields":["tag"]}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			bench := setup(b)
			bench.collection(body)
			parallel(b, func(i int) bool {
				return bench.request("POST", "/bench/records", `{"data":`+row(i)+`}`) == http.StatusCreated
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	const n = 10_000
	bench := fill(b, n)
	parallel(b, func(i int) bool {
		return bench.request("GET", fmt.Sprintf("/bench/records/r%d", i*7919%n), "") == http.StatusOK
	})
}

func BenchmarkList(b *testing.B) {
	bench := fill(b, 100_000)
	for _, c := range []struct{ name, more string }{{"default", ""}, {"total", "&count=true"}} {
		b.Run(c.name, func(b *testing.B) {
			parallel(b, func(i int) bool {
				filter := url.QueryEscape(fmt.Sprintf(`{"tag":"tag-%03d","num":{"$gt":500}}`, i%100))
				return bench.request("GET", "/bench/records?sort=-when&filter="+filter+c.more, "") == http.StatusOK
			})
		})
	}
}

func BenchmarkImport(b *testing.B) {
	const n = 20_000
	var file strings.Builder
	for i := range n {
		file.WriteString(row(i) + "\n")
	}
	bench := setup(b)
	bench.collection(`{"name":"bench","indexes":[{"fields":["tag"]}]}`)
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		r, err := bench.service.Import(b.Context(), principal(acme), "bench", strings.NewReader(file.String()), data.ImportOptions{Format: data.NDJSON})
		if err != nil || r.Imported != n {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
}

// What a create with an idempotency key costs more than one without, in one run.
func BenchmarkCreateWithKey(b *testing.B) {
	bench := fill(b, 0)
	if err := bench.service.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = bench.service.Stop(context.WithoutCancel(b.Context())) }()
	var next atomic.Int64
	create := func(keyed bool) error {
		n := int(next.Add(1))
		var keys []*platform.IdempotencyKey
		if keyed {
			k, err := platform.NewIdempotencyKey(fmt.Sprint("8e03978e-40d5-43dd-bc93-", n))
			if err != nil {
				return err
			}
			keys = append(keys, k)
		}
		_, err := bench.service.CreateRecord(b.Context(), principal(acme), "bench", "", []byte(row(n)), keys...)
		return err
	}
	testdb.Compare(b, 8, func() error { return create(false) }, func() error { return create(true) })
}
