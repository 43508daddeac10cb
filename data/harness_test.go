package data_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	acme   platform.TenantID = "org_acme"
	globex platform.TenantID = "org_globex"
)

func principal(tenant platform.TenantID) platform.Principal { return platform.System(tenant, "usr_1") }

// bench is a service over a real file, behind a ServeMux.
type bench struct {
	tb      testing.TB
	db      *sqlite.DB
	docs    store.Documents
	service *data.Service
	mux     *http.ServeMux
}

// open opens the file, which may have been there before.
func open(tb testing.TB, path string) *bench {
	tb.Helper()
	ctx := context.Background()
	db, err := sqlite.New(path)
	if err == nil {
		err = db.Start(ctx)
	}
	if err != nil {
		tb.Fatal(err)
	}
	docs, err := sqldocs.New(sqldocs.Config{DB: db})
	if err == nil {
		err = docs.Start(ctx)
	}
	if err != nil {
		_ = db.Close()
		tb.Fatal(err)
	}
	b := &bench{tb: tb, db: db, docs: docs}
	b.serve(docs)
	return b
}

// serve puts the service over other documents.
func (b *bench) serve(docs store.Documents) {
	b.tb.Helper()
	b.serveWith(data.Config{Documents: docs})
}

func (b *bench) serveWith(cfg data.Config) {
	b.tb.Helper()
	service, err := data.New(cfg)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.service, b.mux = service, routes.Mux(service.Routes())
}

func setup(tb testing.TB) *bench {
	tb.Helper()
	b := open(tb, filepath.Join(tb.TempDir(), "data.db"))
	tb.Cleanup(func() {
		if err := b.db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// answer is what came back, with the body decoded where it is JSON.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// call makes a request of acme; extra are header names and values in turn.
func (b *bench) call(method, path, body string, extra ...string) answer {
	b.tb.Helper()
	return b.callAs(acme, method, path, body, extra...)
}

func (b *bench) callAs(tenant platform.TenantID, method, path, body string, extra ...string) answer {
	b.tb.Helper()
	return b.callBy(principal(tenant), method, path, body, extra...)
}

func (b *bench) callBy(p platform.Principal, method, path, body string, extra ...string) answer {
	b.tb.Helper()
	r := httptest.NewRequest(method, "/v1/data/collections"+path, strings.NewReader(body))
	r = r.WithContext(platform.WithPrincipal(r.Context(), p))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(extra); i += 2 {
		r.Header.Set(extra[i], extra[i+1])
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), raw: w.Body.String()}
	if t := w.Header().Get("Content-Type"); (t == "application/json" || t == "application/problem+json") && strings.HasPrefix(a.raw, "{") {
		if err := json.Unmarshal([]byte(a.raw), &a.body); err != nil || !strings.HasSuffix(a.raw, "}\n") {
			b.tb.Errorf("%s %s: not an object on a line of its own: %q, %v", method, path, a.raw, err)
		}
		a.raw = strings.TrimSuffix(a.raw, "\n")
	}
	return a
}

// must fails the test unless the status is the wanted one.
func (a answer) must(tb testing.TB, status int) answer {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("got %d %s, want %d", a.status, a.raw, status)
	}
	return a
}

// problem fails the test unless a is the problem, with the field path where it
// is not empty.
func (a answer) problem(tb testing.TB, status int, code, path string) {
	tb.Helper()
	if a.status != status || a.body["code"] != code || a.header.Get("Content-Type") != "application/problem+json" {
		tb.Errorf("got %d %s, want %d %s", a.status, a.raw, status, code)
		return
	}
	if path != "" && !strings.Contains(a.raw, `"path":"`+path+`"`) {
		tb.Errorf("got %s, want the path %s", a.raw, path)
	}
}

func (b *bench) collection(body string) {
	b.tb.Helper()
	b.call("POST", "", body).must(b.tb, http.StatusCreated)
}

// events returns the types and data of what the outbox holds.
func (b *bench) events() []string {
	b.tb.Helper()
	var out []string
	err := b.db.AcrossTenants(context.Background(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT tenant, type, subject, actor, data FROM outbox ORDER BY seq`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tenant, typ, subject, actor, data string
			if err := rows.Scan(&tenant, &typ, &subject, &actor, &data); err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("%s %s %s %s %s", tenant, typ, subject, actor, data))
		}
		return rows.Err()
	}, store.ReadOnly)
	if err != nil {
		b.tb.Fatal(err)
	}
	return out
}
