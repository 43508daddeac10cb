package data_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/store"
)

// largeDocuments has one record of 8 MiB and notes how many are read at once.
type largeDocuments struct {
	store.Documents
	text      []byte
	now, most atomic.Int64
}

func (d *largeDocuments) Get(context.Context, platform.TenantID, string, string) (store.Document, error) {
	n := d.now.Add(1)
	defer d.now.Add(-1)
	for m := d.most.Load(); n > m && !d.most.CompareAndSwap(m, n); m = d.most.Load() {
	}
	return store.Document{ID: "r", Version: 1, Data: d.text}, nil
}

// stuck is a client that reads nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	arrived, leave chan struct{}
	once           sync.Once
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.Code == http.StatusOK {
		s.once.Do(func() { s.arrived <- struct{}{} })
		<-s.leave
	}
	return len(b), nil
}

// Many clients that get the largest record and do not read it keep a few of them
// in memory.
func TestGetsOfLargeRecordsAreBounded(t *testing.T) {
	const clients = 64
	docs := &largeDocuments{text: []byte(`{"text":"` + strings.Repeat("x", 8<<20-20) + `"}`)}
	service, err := data.New(data.Config{Documents: docs, MaxRecord: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	mux := routes.Mux(service.Routes())
	arrived, leave := make(chan struct{}, clients), make(chan struct{})
	ctx, cancel := context.WithCancel(platform.WithPrincipal(t.Context(), principal(acme)))
	var all, refused sync.WaitGroup
	refused.Add(clients - 2)
	for range clients {
		all.Go(func() {
			w := &stuck{ResponseRecorder: httptest.NewRecorder(), arrived: arrived, leave: leave}
			r := httptest.NewRequest(http.MethodGet, "/v1/data/collections/films/records/r", nil)
			mux.ServeHTTP(w, r.WithContext(ctx))
			if w.Code != http.StatusOK {
				refused.Done()
			}
		})
	}
	<-arrived // 16 MiB, the part of one tenant, are two of them
	<-arrived
	cancel() // the others wait for room
	refused.Wait()
	if len(arrived) != 0 || docs.most.Load() > 4 {
		t.Errorf("%d more were sent, up to %d read at once; want none and 4", len(arrived), docs.most.Load())
	}
	close(leave)
	all.Wait()
}
