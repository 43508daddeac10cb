package analytics_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
)

// sample makes an event such as a web shop sends: some 200 bytes of properties,
// spread over the 90 days before now.
func sample(r *rand.Rand, i int) analytics.Event {
	country := [...]string{"DE", "FR", "US", "IN", "BR", "JP", "GB", "PL"}[r.IntN(8)]
	return analytics.Event{
		ID:   platform.NewID("evt"),
		Name: [...]string{"page.viewed", "page.viewed", "page.viewed", "cart.filled", "order.paid"}[r.IntN(5)],
		User: fmt.Sprintf("usr_01k0000000000000000%07d", r.IntN(max(1, i/5+1000))),
		Time: now.Add(-time.Duration(r.Int64N(int64(90 * 24 * time.Hour)))),
		Properties: []byte(fmt.Sprintf(`{"country":%q,"plan":"pro","path":"/products/%d","referrer":"https://example.com/search","width":%d,"browser":{"name":"Firefox","version":%d},"price":%d.5,"new":%t}`,
			country, r.IntN(1000), 800+r.IntN(1200), 100+r.IntN(30), r.IntN(100), r.IntN(2) == 0)),
	}
}

func samples(n int) []analytics.Event {
	r := rand.New(rand.NewPCG(1, 2))
	events := make([]analytics.Event, n)
	for i := range events {
		events[i] = sample(r, i)
	}
	// They come in as they happen. Rows that came in out of order, as an
	// import of old ones may, take two to three times as long to filter.
	slices.SortFunc(events, func(a, b analytics.Event) int { return a.Time.Compare(b.Time) })
	return events
}

const benchTenant platform.TenantID = "org_01k00000000000000000000000"

func body(events []analytics.Event) []byte {
	var b bytes.Buffer
	b.WriteString(`{"events":[`)
	for i, e := range events {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%q,"name":%q,"user":%q,"time":%q,"properties":%s}`,
			e.ID, e.Name, e.User, e.Time.Format(time.RFC3339Nano), e.Properties)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkIngest(b *testing.B) {
	benchmarkIngest(b, func(b *testing.B) *analytics.Service { return newService(b, analytics.Config{}) })
}

// One server, which forces each commit to its disk; the load is made beside it.
func BenchmarkIngestOnPostgres(b *testing.B) {
	db := testdb.OnServer(b).Open(b)
	benchmarkIngest(b, func(b *testing.B) *analytics.Service { return newService(b, analytics.Config{DB: db}) })
}

func benchmarkIngest(b *testing.B, open func(*testing.B) *analytics.Service) {
	for _, size := range []int{1, 100, 1000} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("events=%d/clients=%d", size, clients), func(b *testing.B) {
				h := handler(open(b))
				bodies := make([]string, b.N)
				events := samples(b.N * size)
				for i := range bodies {
					bodies[i] = string(body(events[i*size : (i+1)*size]))
				}
				var next atomic.Int64
				b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0)))
				b.ResetTimer()
				work := func() bool {
					i := int(next.Add(1)) - 1
					if i >= len(bodies) {
						return false
					}
					if w := post(h, benchTenant, "/v1/analytics/events", bodies[i]); w.Code != http.StatusOK {
						b.Errorf("got %d %s", w.Code, w.Body)
					}
					return true
				}
				if clients == 1 {
					for work() {
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							work()
						}
					})
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func BenchmarkQuery(b *testing.B) { benchmarkQuery(b, newService(b, analytics.Config{})) }

func BenchmarkQueryOnPostgres(b *testing.B) {
	benchmarkQuery(b, newService(b, analytics.Config{DB: testdb.OnServer(b).Open(b)}))
}

func benchmarkQuery(b *testing.B, s *analytics.Service) {
	const n = 100_000
	events := samples(n)
	for i := range events {
		events[i].Name = "page.viewed"
	}
	ingest(b, s, benchTenant, events...)
	sel := analytics.Selection{Event: "page.viewed", From: now.AddDate(0, 0, -90), To: now}
	berlin := zone(b, "Europe/Berlin")
	filtered := sel
	filtered.Filter = filter(b, `{"country":"DE","width":{"$gte":1000}}`)
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"series-month", func() error {
			_, err := s.Series(b.Context(), platform.System(benchTenant, "test"), analytics.SeriesQuery{Selection: sel, Interval: analytics.Month, Location: berlin})
			return err
		}},
		{"series-hour", func() error {
			_, err := s.Series(b.Context(), platform.System(benchTenant, "test"), analytics.SeriesQuery{Selection: sel, Interval: analytics.Hour, Location: berlin})
			return err
		}},
		{"series-filter", func() error {
			_, err := s.Series(b.Context(), platform.System(benchTenant, "test"), analytics.SeriesQuery{Selection: filtered, Interval: analytics.Day, Location: berlin})
			return err
		}},
		{"series-breakdown", func() error {
			_, err := s.Series(b.Context(), platform.System(benchTenant, "test"), analytics.SeriesQuery{Selection: sel, Interval: analytics.Day, Location: berlin, Breakdown: "country"})
			return err
		}},
		{"uniques-day", func() error {
			_, err := s.Uniques(b.Context(), platform.System(benchTenant, "test"), analytics.SeriesQuery{Selection: sel, Interval: analytics.Day, Location: berlin})
			return err
		}},
		{"breakdown", func() error {
			_, err := s.Breakdown(b.Context(), platform.System(benchTenant, "test"), analytics.BreakdownQuery{Selection: sel, Property: "path"})
			return err
		}},
	} {
		b.Run(fmt.Sprintf("%s/events=%d", c.name, n), func(b *testing.B) {
			for b.Loop() {
				if err := c.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
