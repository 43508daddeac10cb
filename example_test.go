package platform_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// visits is a module of the host's own: a table, a route, a permission and an
// event.
type visits struct{ parts standard.Parts }

func (*visits) Name() string { return "visits" }

// Needs has the platform refuse an assembly without the store.
func (v *visits) Needs() []any { return []any{v.parts.DB} }

// Start makes the table. A program keeps the files in a folder and embeds it.
func (v *visits) Start(ctx context.Context) error {
	return v.parts.DB.Migrate(ctx, store.Migrations{Component: "visits", Files: fstest.MapFS{
		"sqlite/0001_visits.sql":   {Data: []byte("CREATE TABLE visits (tenant TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;")},
		"postgres/0001_visits.sql": {Data: []byte(`CREATE TABLE visits (tenant TEXT COLLATE "C" PRIMARY KEY, n BIGINT NOT NULL);`)},
	}})
}

func (v *visits) Routes() []platform.Route {
	return []platform.Route{{
		Operation: "visits.count", Method: http.MethodPost, Path: "/v1/visits", Summary: "Count a visit",
		Access:  platform.Require("host.visits.write"),
		Handler: http.HandlerFunc(v.serve),
	}}
}

// Count counts a visit in the tenant of p and returns how many there were. The
// row and the event commit together.
func (v *visits) Count(ctx context.Context, p platform.Principal) (n int, err error) {
	err = v.parts.DB.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO visits (tenant, n) VALUES (?, 1)
			ON CONFLICT (tenant) DO UPDATE SET n = visits.n + 1 RETURNING n`, tx.Tenant()).Scan(&n)
		if err != nil {
			return err
		}
		event, err := platform.NewEvent(p, "visit.counted", "visits", map[string]int{"n": n})
		if err != nil {
			return err
		}
		return tx.Emit(ctx, event)
	})
	return n, err
}

func (v *visits) serve(w http.ResponseWriter, r *http.Request) {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		platform.WriteProblem(w, r, v.parts.Logger, err)
		return
	}
	n, err := v.Count(r.Context(), p)
	if err != nil {
		platform.WriteProblem(w, r, v.parts.Logger, err)
		return
	}
	_, _ = fmt.Fprintf(w, "visit %d", n)
}

// The whole platform over one file, and a module of the host's own that is
// reached only with a credential and sees only its caller's tenant.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "platform")
	check(err)
	defer os.RemoveAll(dir)

	api, err := standard.Open(ctx, standard.Config{
		Data: dir,
		Modules: func(p standard.Parts) ([]platform.Module, error) {
			return []platform.Module{&visits{parts: p}}, nil
		},
	})
	check(err)
	defer api.Close(ctx)
	fmt.Println("ready:", api.Health(ctx).Ready)

	for _, email := range []string{"ann@example.com", "ben@example.com"} {
		in, err := api.Users.SignUp(ctx, user.SignUp{
			Email: email, Password: "violet tractor umbrella", Name: "A person", Organization: "Of " + email,
		})
		check(err)
		for range 2 {
			fmt.Println(call(api, string(in.Tokens.Access)))
		}
	}
	fmt.Println(call(api, "no token"))

	// Output:
	// ready: true
	// 200 visit 1
	// 200 visit 2
	// 200 visit 1
	// 200 visit 2
	// 401
}

// call visits with a token. A program has an http.Server instead.
func call(h http.Handler, token string) string {
	r := httptest.NewRequest(http.MethodPost, "/v1/visits", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return fmt.Sprint(w.Code)
	}
	return fmt.Sprintf("%d %s", w.Code, w.Body)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
