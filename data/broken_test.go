package data_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/store"
)

// breaking ends with an error after its text.
type breaking struct {
	io.Reader
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// TestImportBroken breaks an import off and sends it again: what was committed
// stays, half a record is never written, and nothing is doubled.
func TestImportBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	b := open(t, path)
	b.collection(`{"name":"things"}`)
	var file strings.Builder
	for i := range 1700 {
		fmt.Fprintf(&file, `{"k":"k%d","v":"%d"}`+"\n", i, i)
	}
	cut := file.String()[:file.Len()-7] // within a record
	p := principal(acme)
	r, err := b.service.Import(t.Context(), p, "things", &breaking{strings.NewReader(cut), io.ErrUnexpectedEOF}, data.ImportOptions{Format: data.NDJSON, Key: "k"})
	if !errors.Is(err, platform.ErrMalformed) || r.Imported != 1500 {
		t.Errorf("got %+v, %v", r, err)
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/v1/data/collections/things/records/import?key=k", &breaking{strings.NewReader(cut), io.ErrUnexpectedEOF})
	req.Header.Set("Content-Type", ndjson)
	b.mux.ServeHTTP(w, req.WithContext(platform.WithPrincipal(req.Context(), p)))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "before that 0 records were imported and 1500 updated") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	defer b.db.Close()
	if a := b.call("POST", "/things/records/count", ""); a.raw != `{"count":1500}` {
		t.Errorf("after a restart: %s", a.raw)
	}
	// The caller goes away between two batches.
	ctx, cancel := context.WithCancel(t.Context())
	stop := &faulty{Documents: b.docs, after: func(n int) {
		if n == 2 {
			cancel()
		}
	}}
	b.serve(stop)
	_, err = b.service.Import(ctx, p, "things", strings.NewReader(file.String()), data.ImportOptions{Format: data.NDJSON, Key: "k"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.serve(b.docs)
	again := b.importAs(ndjson, "/things/records/import?key=k", file.String())
	if again.Imported != 200 || again.Updated != 1500 || again.Failed != 0 {
		t.Errorf("again: %+v", again)
	}
}

// TestImportBrokenCSV cuts the last row of a batch where what is left would be a
// row too.
func TestImportBrokenCSV(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	rows := "a,b\n" + strings.Repeat("1,2\n", 499) + "1,2"
	r, err := b.service.Import(t.Context(), principal(acme), "things", &breaking{strings.NewReader(rows), io.ErrUnexpectedEOF}, data.ImportOptions{Format: data.CSV})
	if !errors.Is(err, platform.ErrMalformed) || r.Imported != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = b.service.Import(t.Context(), principal(acme), "things", strings.NewReader(rows), data.ImportOptions{Format: data.CSV}); err != nil || r.Imported != 500 {
		t.Errorf("whole: %+v, %v", r, err)
	}
}

// faulty is documents that fail, or tell, at a given call.
type faulty struct {
	store.Documents
	batches  int
	after    func(n int)
	applyErr func(n int) error
	findErr  func(n int) error
	finds    int
}

func (s *faulty) Apply(
	ctx context.Context, tenant platform.TenantID, collection string, changes []store.Change, build store.EventsBuilder,
) ([]store.Document, error) {
	if s.applyErr != nil {
		if err := s.applyErr(s.batches + 1); err != nil {
			s.batches++
			return nil, err
		}
	}
	docs, err := s.Documents.Apply(ctx, tenant, collection, changes, build)
	if s.batches++; s.after != nil {
		s.after(s.batches)
	}
	return docs, err
}

func (s *faulty) Find(ctx context.Context, tenant platform.TenantID, collection string, q store.Query) (store.Page, error) {
	if s.finds++; s.findErr != nil {
		if err := s.findErr(s.finds); err != nil {
			return store.Page{}, err
		}
	}
	return s.Documents.Find(ctx, tenant, collection, q)
}

// TestExportBroken has the store fail in the middle of an export: the connection
// must break, or the caller would take what came for all.
func TestExportBroken(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	b.importAs(ndjson, "/things/records/import", strings.Repeat("{\"a\":1}\n", 300))
	failing := errors.New("the disk is gone")
	for fail := 1; fail <= 2; fail++ {
		b.serve(&faulty{Documents: b.docs, findErr: func(n int) error {
			if n >= fail {
				return failing
			}
			return nil
		}})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.mux.ServeHTTP(w, r.WithContext(platform.WithPrincipal(r.Context(), principal(acme))))
		}))
		resp, err := server.Client().Get(server.URL + "/v1/data/collections/things/records/export")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if fail == 1 && (resp.StatusCode != http.StatusInternalServerError || err != nil) || fail == 2 && (resp.StatusCode != http.StatusOK || err == nil) {
			t.Errorf("fail at page %d: %d, %v", fail, resp.StatusCode, err)
		}
		server.Close()
	}
}

// TestImportStoreAway tells a store that is away from a line that is wrong, and
// a transaction that lost from both.
func TestImportStoreAway(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	full := platform.Errorf(platform.KindUnavailable, "disk_full", "the disk is full")
	b.serve(&faulty{Documents: b.docs, applyErr: func(n int) error {
		switch n {
		case 1:
			return platform.Errorf(platform.KindConflict, "conflict", "another transaction was faster")
		case 3:
			return full
		}
		return nil
	}})
	a := b.call("POST", "/things/records/import", strings.Repeat("{\"a\":1}\n", 1200), "Content-Type", ndjson)
	a.problem(t, http.StatusServiceUnavailable, "disk_full", "")
	if !strings.Contains(a.raw, "before that 500 records were imported") {
		t.Errorf("got %s", a.raw)
	}
	b.serve(b.docs)
	if a := b.call("POST", "/things/records/count", ""); a.raw != `{"count":500}` {
		t.Errorf("got %s", a.raw)
	}
}
