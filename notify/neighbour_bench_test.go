package notify_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

const (
	// neighbourRounds is how many webhooks and e-mails are timed before, beside
	// and after the neighbours.
	neighbourRounds = 200
	// hangingWebhooks is how many each of the neighbours has.
	hangingWebhooks = 200
)

// BenchmarkBesideHangingReceivers measures in one run how long an e-mail and a
// webhook of one tenant take, from the call that commits it until it arrives: alone,
// and beside four tenants with hundreds of webhooks each whose receivers hang. What
// their events cost to turn into webhooks is not in it.
func BenchmarkBesideHangingReceivers(b *testing.B) {
	testdb.OnEach(b, func(b *testing.B, db testdb.DB) {
		b.Helper()
		office := &postOffice{arrived: make(chan string, 1)}
		office.open(b, nil)
		w := openOn(b, nil, db, everybody(), func(c *notify.Config) { c.Mail = office.config() }, nil)
		b.Cleanup(w.close)
		arrived := make(chan struct{}, 1)
		w.svc.SetTransport(transport(func(req *http.Request) (*http.Response, error) {
			if strings.HasPrefix(req.URL.Hostname(), "good.") {
				arrived <- struct{}{}
				return reply(200, "", "")(1)
			}
			select { // as the client does where a receiver says nothing
			case <-time.After(15 * time.Second):
				return nil, context.DeadlineExceeded
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		}))
		w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": "https://good.example.com/", "types": []string{"data.*"}})
		n := 0
		measure := func() (mails, hooks []time.Duration) {
			for range neighbourRounds {
				n++
				began := time.Now()
				w.emit(recordCreated(acme, n))
				<-arrived
				hooks = append(hooks, time.Since(began))
				began = time.Now()
				if _, err := w.svc.Send(b.Context(), platform.System(acme, "test"), notify.Message{
					Emails: []string{fmt.Sprintf("user%d@example.com", n)}, Channels: []notify.Channel{notify.ChannelEmail}, Title: "Hi",
				}); err != nil {
					b.Fatal(err)
				}
				<-office.arrived
				mails = append(mails, time.Since(began))
			}
			return mails, hooks
		}
		for b.Loop() {
			mailsBefore, hooksBefore := measure()
			var hanging []platform.TenantID
			for i := range 4 {
				tenant := platform.TenantID(fmt.Sprintf("org_hangs_%d_%d", i, n))
				hanging = append(hanging, tenant)
				w.want(201, tenant, "eve", "POST", "/v1/notify/endpoints", map[string]any{"url": "https://" + string(tenant) + ".example.com/", "types": []string{"data.*"}})
				for e := range hangingWebhooks {
					w.emit(recordCreated(tenant, e))
				}
			}
			for _, tenant := range hanging {
				w.waitForDeliveries(tenant, hangingWebhooks)
			}
			mails, hooks := measure()
			for _, tenant := range hanging {
				w.endDeliveries(tenant)
			}
			mailsAfter, hooksAfter := measure()
			report(b, "mail", append(mailsBefore, mailsAfter...), mails)
			report(b, "webhook", append(hooksBefore, hooksAfter...), hooks)
		}
	})
}

// waitForDeliveries waits until so many of a tenant's events have become deliveries.
func (w *world) waitForDeliveries(tenant platform.TenantID, n int) {
	w.t.Helper()
	for count := 0; count < n; time.Sleep(20 * time.Millisecond) {
		err := w.db.InTenant(context.Background(), tenant, func(ctx context.Context, tx store.Tx) error {
			return tx.QueryRow(ctx, `SELECT count(*) FROM notify_deliveries WHERE tenant = ?`, tenant).Scan(&count)
		}, store.ReadOnly)
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// endDeliveries removes a tenant's endpoints and what waits for them.
func (w *world) endDeliveries(tenant platform.TenantID) {
	w.t.Helper()
	err := w.db.InTenant(context.Background(), tenant, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM jobs WHERE tenant = ?`, tenant)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func report(b *testing.B, what string, alone, beside []time.Duration) {
	b.Helper()
	p99 := func(took []time.Duration) float64 {
		slices.Sort(took)
		return float64(took[len(took)*99/100].Microseconds()) / 1000
	}
	p50 := func(took []time.Duration) float64 {
		slices.Sort(took)
		return float64(took[len(took)/2].Microseconds()) / 1000
	}
	b.ReportMetric(p50(beside)/p50(alone), what+"-p50-ratio")
	b.ReportMetric(p99(alone), what+"-alone-p99-ms")
	b.ReportMetric(p99(beside), what+"-beside-p99-ms")
	b.ReportMetric(p99(beside)/p99(alone), what+"-p99-ratio")
}
