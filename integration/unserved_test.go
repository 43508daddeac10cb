package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	inmemory "github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// A host that assembles the platform by hand and forgets the stream learns so from
// the health check, a minute after 20,000 updates of one record, and by the line
// to add. With the stream all of them leave the outbox.
func TestForgottenStreamIsNotReady(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.RelationalOpener{
		"sqlite": func(t *testing.T) store.RelationalOpener {
			return sqlite.Open(filepath.Join(t.TempDir(), "acme.db"), sqlite.Synchronous(sqlite.Normal))
		},
		"postgres": func(t *testing.T) store.RelationalOpener {
			return postgres.Open(teststack.Postgres(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testclock.At(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
			opened, err := open(t)(store.Env{Logger: slog.New(slog.DiscardHandler), Now: clock.Now, NewID: platform.NewID})
			if err != nil {
				t.Fatal(err)
			}
			testForgottenStream(t, opened, clock)
		})
	}
}

func testForgottenStream(t *testing.T, db store.Relational, clock *testclock.Clock) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var log syncBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	cache := inmemory.NewCache(1 << 20)
	sealer := testseal.New(t)
	users, err := user.New(user.Config{DB: db, Sealer: sealer, Issuer: "https://api.example.com", Cache: cache, Now: clock.Now})
	must(err)
	documents, err := sqldocs.New(sqldocs.Config{DB: db, Now: clock.Now})
	must(err)
	records, err := data.New(data.Config{Documents: documents, Now: clock.Now})
	must(err)
	gw, err := gateway.New(gateway.Config{
		Authenticators: gateway.Credentials(users), Authorizer: users, Cache: cache, Logger: logger, Now: clock.Now,
	}, users, records)
	must(err)
	p, err := platform.New(platform.Config{}, db.(platform.Module), sealer, documents, users, records, gw)
	must(err)
	must(p.Start(t.Context()))
	defer func() { must(p.Stop(context.WithoutCancel(t.Context()))) }()
	ready := func() int {
		clock.Advance(time.Second)
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		return w.Code
	}

	const tenant, updates, at = platform.TenantID("org_acme"), 20_000, 500
	_, err = documents.PutCollection(t.Context(), tenant, store.Collection{Name: "films"})
	must(err)
	emitted := 0
	for n := 0; n < updates; n += at {
		var changes []store.Change
		for i := range at {
			changes = append(changes, store.Change{Op: store.OpUpsert, ID: "one", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n+i))})
		}
		_, err := documents.Apply(t.Context(), tenant, "films", changes, func(applied []store.Document) (events []platform.Event) {
			for range applied {
				emitted++
				events = append(events, platform.Event{
					ID: fmt.Sprint("evt_", emitted), Source: "/data", Type: "data.record.updated",
					Tenant: tenant, Subject: "films/one", Time: clock.Now(), Data: json.RawMessage(`{}`),
				})
			}
			return events
		})
		must(err)
	}
	if code := ready(); code != http.StatusOK {
		t.Errorf("at once: %d", code)
	}
	clock.Advance(time.Minute)
	if code := ready(); code != http.StatusServiceUnavailable {
		t.Errorf("after a minute with %d events that nobody takes: %d", emitted, code)
	}
	if said := log.String(); !strings.Contains(said, "no relay") || !strings.Contains(said, "sqlevents.New(sqlevents.Config{DB: db})") {
		t.Errorf("the log does not name the line to add: %s", said)
	}

	// The line that was named.
	events, err := sqlevents.New(sqlevents.Config{DB: db, Now: clock.Now})
	must(err)
	must(events.Start(t.Context()))
	if code := ready(); code != http.StatusOK {
		t.Errorf("with the stream: %d", code)
	}
	for left := int64(1); left > 0; time.Sleep(5 * time.Millisecond) {
		s, err := events.Relay().Stats(t.Context())
		must(err)
		left = s.Depth
	}
	s, err := events.Stats(t.Context())
	must(err)
	if s.Events != int64(emitted) || emitted < updates {
		t.Errorf("%d events in the stream, %d emitted", s.Events, emitted)
	}
	must(events.Stop(t.Context()))
}

// syncBuffer is a log that many may write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
