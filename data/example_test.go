package data_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
)

// A program that keeps records in a file and never speaks HTTP.
func Example() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 imported, 1 refused: line 3: /year must be integer
	// {"title":"Ran","year":1985}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "data")
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
	documents, err := sqldocs.New(sqldocs.Config{DB: db})
	if err != nil {
		return err
	}
	if err := documents.Start(ctx); err != nil {
		return err
	}
	records, err := data.New(data.Config{Documents: documents})
	if err != nil {
		return err
	}

	p := platform.System("org_acme", "catalogue")
	if _, err := records.CreateCollection(ctx, p, data.Collection{
		Name: "movies", Schema: []byte(`{"properties": {"year": {"type": "integer"}}}`),
	}); err != nil {
		return err
	}
	file := `{"title": "Ran", "year": 1985}
{"title": "Amélie", "year": 2001}
{"title": "Lost", "year": "long ago"}`
	result, err := records.Import(ctx, p, "movies", strings.NewReader(file), data.ImportOptions{Format: data.NDJSON})
	if err != nil {
		return err
	}
	fmt.Printf("%d imported, %d refused: line %d: %s\n",
		result.Imported, result.Failed, result.Errors[0].Line, result.Errors[0].Detail)

	page, err := records.Find(ctx, p, "movies", data.Query{Filter: []byte(`{"year": {"$lt": 2000}}`), Sort: "-year"})
	if err != nil {
		return err
	}
	for _, r := range page.Records {
		fmt.Println(string(r.Data))
	}
	return nil
}
