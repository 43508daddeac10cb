package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sqlite")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := sqlite.New(filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	// A component of a host embeds its files; these are in memory.
	err = db.Migrate(ctx, store.Migrations{Component: "notes", Files: fstest.MapFS{"sqlite/0001_init.sql": {
		Data: []byte("CREATE TABLE notes (tenant TEXT, id INTEGER, body TEXT, PRIMARY KEY (tenant, id));"),
	}}})
	if err != nil {
		log.Fatal(err)
	}

	err = db.InTenant(ctx, "org_acme", func(ctx context.Context, tx store.Tx) error {
		tx.AfterCommit(func() { fmt.Println("written") })
		_, err := tx.Exec(ctx, "INSERT INTO notes VALUES (?, ?, ?)", string(tx.Tenant()), 1, "remember the milk")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	err = db.InTenant(ctx, "org_acme", func(ctx context.Context, tx store.Tx) error {
		var body string
		err := tx.QueryRow(ctx, "SELECT body FROM notes WHERE tenant = ? AND id = ?", string(tx.Tenant()), 1).Scan(&body)
		fmt.Println(body)
		return err
	}, store.ReadOnly)
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// written
	// remember the milk
}
