package store

import (
	"context"

	"github.com/acme/platform"
)

// Sealer encrypts what must not be readable in a store: signing keys, the secrets
// of webhooks, the seeds of one-time passwords. What it returns opens only at the
// cell that it was sealed for, so that copying a value to another row, column or
// tenant does not work. Package store/seal has one. It must be safe for concurrent
// use.
type Sealer interface {
	// Seal encrypts plain for a cell.
	Seal(ctx context.Context, at Cell, plain []byte) ([]byte, error)
	// Open returns what was sealed for the cell. An error of
	// kind [platform.KindInternal] says that it was not sealed for this cell, or not
	// under a key that is known.
	Open(ctx context.Context, at Cell, sealed []byte) ([]byte, error)
	// Current reports whether sealed is under the key that Seal uses now: what is
	// not is sealed again by the work in the background of the part it belongs to.
	Current(sealed []byte) bool
}

// Cell is the place of one value in a store.
type Cell struct {
	// Tenant is [platform.NoTenant] for what belongs to the installation or to a
	// person.
	Tenant platform.TenantID
	Table  string
	Column string
	// Row is the rest of the primary key.
	Row string
}
