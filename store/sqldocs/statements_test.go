package sqldocs_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
)

// explained asks the database for the plan of each statement that goes through
// it.
type explained struct {
	store.Relational
	plans map[string]string
}

func (e *explained) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	return e.Relational.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		return fn(ctx, &explainedTx{tx, e})
	}, opts...)
}

type explainedTx struct {
	store.Tx
	to *explained
}

func (tx *explainedTx) Exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := tx.explain(ctx, text, args); err != nil {
		return nil, err
	}
	return tx.Tx.Exec(ctx, text, args...)
}

func (tx *explainedTx) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := tx.explain(ctx, text, args); err != nil {
		return nil, err
	}
	return tx.Tx.Query(ctx, text, args...)
}

func (tx *explainedTx) QueryRow(ctx context.Context, text string, args ...any) *sql.Row {
	if err := tx.explain(ctx, text, args); err != nil {
		return tx.Tx.QueryRow(ctx, err.Error()) // no SQL, so that its Scan fails
	}
	return tx.Tx.QueryRow(ctx, text, args...)
}

var manyMarks = regexp.MustCompile(`(\?|\([?, ]+\))(, (\?|\([?, ]+\)))+`)

// explain keeps the plan under the text with one of many values, without
// what cannot have a plan.
func (tx *explainedTx) explain(ctx context.Context, text string, args []any) error {
	explain, columns := "EXPLAIN QUERY PLAN ", []any{new(int), new(int), new(int)}
	if testdb.OnPostgres() {
		explain, columns = "EXPLAIN (COSTS OFF) ", nil
	}
	rows, err := tx.Tx.Query(ctx, explain+text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var detail string
		if err := rows.Scan(append(columns, &detail)...); err != nil {
			return err
		}
		plan = append(plan, strings.ReplaceAll(detail, "sqlite_autoindex_documents_1", "ids"))
	}
	if strings.HasPrefix(text, "INSERT") {
		return rows.Err()
	}
	text = manyMarks.ReplaceAllString(strings.Join(strings.Fields(text), " "), "?..")
	tx.to.plans[text] = strings.Join(plan, "; ")
	return rows.Err()
}

// wantedPlans say by a part of the text what the plan must hold.
var wantedPlans = []struct{ part, plan string }{
	{"d.seq = i.seq", "SEARCH d USING INTEGER PRIMARY KEY (rowid=?)"},
	{"AND seq IN (?", "SEARCH documents USING INTEGER PRIMARY KEY (rowid=?)"},
	{"collection = ? AND id IN (?", "SEARCH documents USING INDEX ids (tenant=? AND collection=? AND id=?)"},
	{"collection = ? AND id = ?", "SEARCH documents USING INDEX ids (tenant=? AND collection=? AND id=?)"},
	{"AND d.id = ?", "SEARCH d USING INDEX ids (tenant=? AND collection=? AND id=?)"},
	{"updated_at, data FROM documents WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id", "SEARCH documents USING INDEX ids (tenant=? AND collection=? AND id>?)"},
	{"AND id < ? ORDER BY id DESC", "SEARCH documents USING INDEX ids (tenant=? AND collection=? AND id<?)"},
	{"collection = ? ORDER BY id DESC", "SEARCH documents USING INDEX ids (tenant=? AND collection=?)"},
	{"SELECT id, data FROM documents WHERE tenant", "SEARCH documents USING INDEX ids (tenant=? AND collection=?)"},
	{"WHERE seq BETWEEN ? AND ?", "SEARCH documents USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	{"COALESCE(MIN(seq), 0)", "SEARCH documents USING COVERING INDEX ids (tenant=? AND collection=? AND id>?)"},
	{"SELECT 1 FROM documents", "SEARCH documents USING COVERING INDEX ids (tenant=? AND collection=?)"},
	{"SELECT COUNT(*) FROM documents", "SEARCH documents USING COVERING INDEX ids (tenant=? AND collection=?)"},
	{"DELETE FROM documents WHERE tenant = ? AND collection = ?", "SEARCH documents USING INDEX ids (tenant=? AND collection=?"},
	{"number = ? AND (sort_key, id) > (?", "USING PRIMARY KEY (tenant=? AND number=? AND (sort_key,id)>(?,?) AND sort_key<?)"},
	{"number = ? AND (i.sort_key, i.id) > (?", "SEARCH i USING PRIMARY KEY (tenant=? AND number=? AND (sort_key,id)>(?,?) AND sort_key<?)"},
	{"i.sort_key < ? AND d.tenant", "SEARCH i USING PRIMARY KEY (tenant=? AND number=? AND "},
	{"sort_key >= ? AND sort_key < ? ORDER BY sort_key DESC, id DESC LIMIT ?", "USING PRIMARY KEY (tenant=? AND number=? AND sort_key>? AND sort_key<?)"},
	{"SELECT COUNT(*) FROM document_index", "USING PRIMARY KEY (tenant=? AND number=? AND sort_key>? AND sort_key<?)"},
	{"SELECT 1 FROM document_index", "USING PRIMARY KEY (tenant=? AND number=? AND sort_key>? AND sort_key<?)"},
	{"DELETE FROM document_index WHERE tenant = ? AND number = ?", "USING PRIMARY KEY (tenant=? AND number=?"},
	{"document_index WHERE tenant = ? AND number = ? AND sort_key = ? AND id = ?", "USING PRIMARY KEY (tenant=? AND number=? AND sort_key=? AND id=?)"},
	{"DELETE FROM document_unique WHERE tenant = ? AND number = ?", "USING PRIMARY KEY (tenant=? AND number=?"},
	{"document_unique WHERE tenant = ? AND number = ? AND sort_key = ? AND id = ?", "USING PRIMARY KEY (tenant=? AND number=? AND sort_key=?)"},
	{"SELECT name FROM document_collections", "USING PRIMARY KEY (tenant=?)"},
	{"WHERE tenant = ? AND name = ?", "SEARCH document_collections USING PRIMARY KEY (tenant=? AND name=?)"},
	{"c.tenant = ? AND c.name = ?", "SEARCH c USING PRIMARY KEY (tenant=? AND name=?)"},
}

// TestStatementsUseTheirIndex holds the plan of every statement: SQLite has no
// statistics here, and a guess of its own may read a collection as a whole.
func TestStatementsUseTheirIndex(t *testing.T) {
	testdb.SQLiteOnly(t)
	db, err := sqlite.New(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := &explained{db, map[string]string{}}
	docs, err := sqldocs.New(sqldocs.Config{DB: e})
	if err != nil {
		t.Fatal(err)
	}
	if err := docs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	useAll(t, docs)
	seen := make([]bool, len(wantedPlans))
	for text, plan := range e.plans {
		known := false
		for i, want := range wantedPlans {
			if !strings.Contains(text, want.part) {
				continue
			}
			seen[i], known = true, true
			if !strings.Contains(plan, want.plan) {
				t.Errorf("%s\n\tis done by %s\n\twant        %s", text, plan, want.plan)
			}
		}
		if !known {
			t.Errorf("no plan is wanted of %s", text)
		}
		if strings.Contains(plan, "SCAN document") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s\n\tis done by %s", text, plan)
		}
	}
	for i, want := range wantedPlans {
		if !seen[i] {
			t.Errorf("no statement has %q", want.part)
		}
	}
}

// wholeTable finds in a plan that a large table, or what a tenant has in a
// collection, is read as a whole: a condition on an id or a key is only a filter.
var wholeTable = regexp.MustCompile(`Seq Scan on (documents|document_index|document_unique)|Filter: \(+(id|seq|sort_key) `)

// TestStatementsUseAnIndexOnPostgres holds that none reads a table as a whole,
// behind row-level security, whether the database has statistics or not.
func TestStatementsUseAnIndexOnPostgres(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("see TestStatementsUseTheirIndex")
	}
	for _, statistics := range []bool{false, true} {
		t.Run(fmt.Sprintf("statistics %v", statistics), func(t *testing.T) {
			place := testdb.NewPlace(t)
			db := place.Open(t)
			e := &explained{db, map[string]string{}}
			docs := start(t, e)
			var data []string
			for i := range 3000 {
				data = append(data, fmt.Sprintf(`{"g":%d,"n":%d,"u":%d}`, i%2, i, i))
			}
			fill(t, docs, "others", []string{"g,n", "-n"}, data)
			if statistics {
				place.Alter(t, db, "ANALYZE")
			}
			clear(e.plans)
			useAll(t, docs)
			for text, plan := range e.plans {
				// A removal of all that a collection has may read all there is.
				if !strings.HasPrefix(text, "DELETE") && wholeTable.MatchString(plan) {
					t.Errorf("%s\n\tis done by %s", text, plan)
				}
			}
		})
	}
}

// useAll calls everything that runs a statement of its own.
func useAll(t *testing.T, docs *sqldocs.Documents) {
	t.Helper()
	var data []string
	for i := range 3000 {
		data = append(data, fmt.Sprintf(`{"g":%d,"n":%d,"u":%d}`, i%2, i, i))
	}
	fill(t, docs, "apart", nil, data[:1])
	fill(t, docs, "c", []string{"g,n", "-n"}, data)
	first := []store.Change{{Op: store.OpInsert, ID: "r9", Data: json.RawMessage(`{"n":9}`)}}
	if _, err := docs.Apply(t.Context(), tenant, "apart", first, nil); err != nil {
		t.Fatal(err)
	}
	c := store.Collection{Name: "c", Version: 1, Indexes: []store.Index{
		{Fields: fields("g,n")}, {Fields: fields("n")}, {Fields: fields("u"), Unique: true},
	}}
	if _, err := docs.PutCollection(t.Context(), tenant, c); err != nil {
		t.Fatal(err)
	}
	if _, err := docs.Collections(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if _, err := docs.Get(t.Context(), tenant, "c", "r00001"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{}`, `{"x":1}`, `{"g":1}`, `{"g":1,"x":1}`, `{"g":{"$gte":0},"n":5}`, `{"g":{"$gte":0},"n":5,"x":1}`, `{"@version":1}`, `{"g":{"$gte":0},"n":{"$gte":0}}`} {
		for _, sort := range []string{"", "-@id", "n", "-n", "g", "-g", "x", "@version"} {
			q := store.Query{Filter: filter(text), Sort: fields(sort), Limit: 20}
			for range 2 {
				p, err := docs.Find(t.Context(), tenant, "c", q)
				if err != nil {
					t.Fatal(text, sort, err)
				}
				if q.Cursor = p.Next; q.Cursor == nil {
					break
				}
			}
		}
		for _, budget := range []*store.Budget{nil, store.NewBudget(store.ShortReads)} {
			_, err := docs.Count(t.Context(), tenant, "c", filter(text), budget)
			if err != nil && !errors.Is(err, store.ErrTooCostly) {
				t.Fatal(text, err)
			}
		}
	}
	if _, err := docs.Find(t.Context(), tenant, "apart", store.Query{Sort: fields("n"), Limit: 1}); err != nil {
		t.Fatal(err)
	}
	changes := []store.Change{
		{Op: store.OpReplace, ID: "r00001", Data: json.RawMessage(`{"g":7,"u":-1}`)}, {Op: store.OpDelete, ID: "r00002"},
	}
	if _, err := docs.Apply(t.Context(), tenant, "c", changes, nil); err != nil {
		t.Fatal(err)
	}
	if err := docs.DropCollection(t.Context(), tenant, "c", 0); err != nil {
		t.Fatal(err)
	}
	if n, err := docs.Count(t.Context(), tenant, "c", document.Filter{}, nil); err == nil {
		t.Fatal(n)
	}
}
