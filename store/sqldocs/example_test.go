package sqldocs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
)

func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// m2 {"Title":"Metropolis","year":1927}
	// m1 {"Title":"Modern Times","year":1936}
}

func example(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sqldocs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	if err != nil {
		return err
	}
	if err := db.Start(ctx); err != nil {
		return err
	}
	defer db.Close()
	docs, err := sqldocs.New(sqldocs.Config{DB: db})
	if err != nil {
		return err
	}
	if err := docs.Start(ctx); err != nil {
		return err
	}

	byYear := []document.SortField{{Path: "year"}}
	_, err = docs.PutCollection(ctx, "org_1", store.Collection{Name: "movies", Indexes: []store.Index{{Fields: byYear}}})
	if err != nil {
		return err
	}
	_, err = docs.Apply(ctx, "org_1", "movies", []store.Change{
		{Op: store.OpInsert, ID: "m1", Data: json.RawMessage(`{"Title": "Modern Times", "year": 1936}`)},
		{Op: store.OpInsert, ID: "m2", Data: json.RawMessage(`{"Title": "Metropolis", "year": 1927}`)},
	}, nil)
	if err != nil {
		return err
	}
	page, err := docs.Find(ctx, "org_1", "movies", store.Query{Sort: byYear, Limit: 10})
	for _, doc := range page.Documents {
		fmt.Println(doc.ID, string(doc.Data))
	}
	return err
}
