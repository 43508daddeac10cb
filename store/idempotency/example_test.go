package idempotency_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/sqlite"
)

// invoices is a module of a host's own whose POST honours Idempotency-Key.
type invoices struct {
	db   store.Relational
	keys *idempotency.Keys
	made int
}

type invoice struct{ ID, Text string }

func (s *invoices) create(ctx context.Context, p platform.Principal, text string, key *platform.IdempotencyKey) (invoice, error) {
	call, err := s.keys.Call(ctx, key, p, "invoices.create", text)
	if err != nil {
		return invoice{}, err
	}
	var out invoice
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error {
			s.made++ // here the rows are written, and events emitted
			out = invoice{ID: fmt.Sprint("inv_", s.made), Text: text}
			return nil
		})
	})
	return out, err
}

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	keys, err := idempotency.New(idempotency.Config{DB: db})
	if err != nil {
		log.Fatal(err)
	}
	if err := keys.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer keys.Stop(ctx)
	s := &invoices{db: db, keys: keys}
	for range 2 { // the handler has it from platform.ParseIdempotencyKey(r.Header)
		key, err := platform.NewIdempotencyKey("8e03978e-40d5-43dd-bc93-6894a57f9324")
		if err != nil {
			log.Fatal(err)
		}
		out, err := s.create(ctx, platform.Principal{Tenant: "org_1", Subject: "usr_1", Kind: platform.PrincipalUser}, "hosting", key)
		fmt.Println(out.ID, key.Replayed(), err)
	}
	// Output:
	// inv_1 false <nil>
	// inv_1 true <nil>
}
